// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"edged/bridge"
)

// machine tells of the board that edged runs on, by what the kernel shows under root ("/" on a real system).
type machine struct{ root string }

// facts are what changes slowly and costs system calls to find out.
type facts struct {
	mu           sync.Mutex
	at           time.Time
	disk         *bridge.Disk
	temperature  *float64
	underVoltage *bool
}

// factsFor is how long facts are good for.
const factsFor = 10 * time.Second

// of returns the facts of a machine whose state is in dir, not older than factsFor.
func (f *facts) of(m machine, dir string, writable bool) (disk *bridge.Disk, temperature *float64, underVoltage *bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) >= factsFor || f.disk != nil && f.disk.Writable != writable {
		f.at, f.disk, f.temperature, f.underVoltage = time.Now(), m.disk(dir, writable), m.temperature(), m.underVoltage()
	}
	return f.disk, f.temperature, f.underVoltage
}

// model is the board's name, "" where there is no device tree and no DMI.
func (m machine) model() string {
	for _, name := range []string{"proc/device-tree/model", "sys/class/dmi/id/product_name"} {
		if b, err := os.ReadFile(filepath.Join(m.root, name)); err == nil {
			if s := strings.Trim(string(b), "\x00 \n"); s != "" {
				return s
			}
		}
	}
	return ""
}

// temperature is the processor's, in °C; nil where the board has no sensor.
func (m machine) temperature() *float64 {
	b, err := os.ReadFile(filepath.Join(m.root, "sys/class/thermal/thermal_zone0/temp"))
	if err != nil {
		return nil
	}
	milli, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil {
		return nil
	}
	t := milli / 1000
	return &t
}

// underVoltage says whether a Raspberry Pi's supply is too low now; nil on other boards. The kernel's raspberrypi-hwmon
// driver has the name rpi_volt and raises in0_lcrit_alarm.
func (m machine) underVoltage() *bool {
	names, err := filepath.Glob(filepath.Join(m.root, "sys/class/hwmon/hwmon*/name"))
	if err != nil {
		return nil
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(b)) != "rpi_volt" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(filepath.Dir(name), "in0_lcrit_alarm"))
		if err != nil {
			return nil
		}
		low := strings.TrimSpace(string(b)) == "1"
		return &low
	}
	return nil
}

// disk tells of the file system that dir is on; nil where it can't be asked.
func (m machine) disk(dir string, writable bool) *bridge.Disk {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return nil
	}
	size, block := uint64(st.Bsize), m.block(dir)
	return &bridge.Disk{
		FreeBytes: st.Bavail * size, TotalBytes: st.Blocks * size, Writable: writable,
		WrittenBytes: written(block), LifeYears: lifeYears(block, machineUptime()),
	}
}

// addresses are those by which other machines may reach this one.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return []string{}
	}
	list := []string{}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	slices.Sort(list)
	return list
}
