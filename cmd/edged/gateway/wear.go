// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What a card is taken to bear, of small writes that each wait for the disk: it may be erased wearCycles times, and has to
// write wearFactor bytes for each of ours. docs/metrics.md says where this comes from.
const (
	wearCycles = 300
	wearFactor = 3
)

// wearAfter is how long the machine must have run before its writes say anything about years: at its start it writes
// more than ever after.
const wearAfter = time.Hour

const (
	sector = 512 // the unit of the kernel's figures, whatever the device's is
	year   = 365.25 * 24 * float64(time.Hour)
)

// block is the directory of the whole device that dir is on, in sysfs; "" where it has none, as on tmpfs.
func (m machine) block(dir string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return ""
	}
	return m.blockOf(st.Dev)
}

// blockOf is block of a device number, in the coding of glibc's gnu_dev_major and gnu_dev_minor.
func (m machine) blockOf(dev uint64) string {
	major, minor := dev>>8&0xfff|dev>>32&0xfffff000, dev&0xff|dev>>12&0xffffff00
	path, err := filepath.EvalSymlinks(filepath.Join(m.root, "sys/dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(path, "partition")); err == nil {
		path = filepath.Dir(path)
	}
	return path
}

// written is how many bytes were written to a device since the machine started, by everybody; nil: not known. The seventh
// figure of stat is sectors written (Documentation/block/stat.rst).
func written(block string) *uint64 {
	b, err := os.ReadFile(filepath.Join(block, "stat"))
	if err != nil {
		return nil
	}
	f := strings.Fields(string(b))
	if len(f) < 7 {
		return nil
	}
	n, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil {
		return nil
	}
	n *= sector
	return &n
}

// lifeYears is how many years a device without moving parts lasts if it goes on being written as in the time up; nil: not
// known.
func lifeYears(block string, up time.Duration) *float64 {
	n := written(block)
	size, ok := number(filepath.Join(block, "size"))
	turning, told := number(filepath.Join(block, "queue/rotational"))
	if n == nil || *n == 0 || !ok || size == 0 || !told || turning != 0 || up < wearAfter {
		return nil
	}
	years := float64(size) * sector * wearCycles / wearFactor / float64(*n) * float64(up) / year
	return &years
}

func number(file string) (n uint64, ok bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// machineUptime is how long the machine has run; 0: not known.
func machineUptime() time.Duration {
	var s syscall.Sysinfo_t
	if err := syscall.Sysinfo(&s); err != nil {
		return 0
	}
	return time.Duration(s.Uptime) * time.Second
}
