// SPDX-License-Identifier: Apache-2.0

// Package gpio takes GPIO lines through the kernel's character device, version 2: edges with the kernel's time stamps,
// debounced by it, and counted, so that a lost one is known.
package gpio

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"edged/devices"
)

// Chips are the GPIO chips of a machine.
type Chips struct {
	dev    string // the directory of the chips' devices
	kernel kernel
}

// kernel is what is asked of the kernel; a test has its own.
type kernel struct {
	ioctl func(f *os.File, request uintptr, arg unsafe.Pointer) error
	mono  func() time.Duration // CLOCK_MONOTONIC, by which edges are stamped
}

// New gives the chips whose devices are in dev, "/dev" on a real system.
func New(dev string) *Chips { return &Chips{dev, kernel{ioctl, monotonic}} }

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var n unix.Errno
	if err := raw.Control(func(fd uintptr) { _, _, n = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg)) }); err != nil {
		return err
	}
	if n != 0 {
		return n
	}
	return nil
}

func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// list gives the paths of the chips in the order of their numbers. A link is another name of one: a Raspberry Pi 5 has
// gpiochip4 for old programs.
func (c *Chips) list() []string {
	all, err := filepath.Glob(filepath.Join(c.dev, "gpiochip*"))
	if err != nil {
		return nil
	}
	all = slices.DeleteFunc(all, func(p string) bool {
		st, err := os.Lstat(p)
		return err != nil || st.Mode()&fs.ModeSymlink != 0
	})
	number := func(p string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(p), "gpiochip"))
		return n
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return all
}

// place is where a line is.
type place struct {
	chip   string // path of its device
	offset uint32
}

// find finds a line by its name, "GPIO17", by its chip and number, "gpiochip0:17", or by its pin of a Raspberry Pi's
// header, "J8-11".
func (c *Chips) find(name string) (place, error) {
	if chip, number, ok := strings.Cut(name, ":"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || !strings.HasPrefix(chip, "gpiochip") || strings.Contains(chip, "/") {
			return place{}, &devices.Trouble{Code: devices.Absent, Text: fmt.Sprintf("%q is no GPIO line", name), Do: `write "GPIO17", "gpiochip0:17" or "J8-11"`}
		}
		return place{filepath.Join(c.dev, chip), uint32(n)}, nil
	}
	wanted := name
	if pin, ok := strings.CutPrefix(name, "J8-"); ok {
		n, known := header()[pin]
		if !known {
			return place{}, &devices.Trouble{Code: devices.Absent, Text: fmt.Sprintf("pin %q of the header is no GPIO line", name), Do: "see pinout.xyz"}
		}
		wanted = "GPIO" + strconv.Itoa(n)
	}
	return c.search(name, wanted)
}

// search looks through all chips for a line of that name.
func (c *Chips) search(name, wanted string) (place, error) {
	chips := c.list()
	if len(chips) == 0 {
		return place{}, &devices.Trouble{Code: devices.Absent, Text: "this machine has no GPIO lines (no /dev/gpiochip*)", Do: "check that its kernel is 5.10 or later"}
	}
	var found []place
	var failed error
	for _, path := range chips {
		names, err := c.names(path)
		if err != nil {
			failed = err
			continue
		}
		for offset, line := range names {
			if line == wanted {
				found = append(found, place{path, uint32(offset)})
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return place{}, &devices.Trouble{
			Code: devices.Absent, Text: fmt.Sprintf("several lines are named %q", wanted),
			Do: fmt.Sprintf("say which, such as %q", fmt.Sprintf("%s:%d", filepath.Base(found[0].chip), found[0].offset)),
		}
	case failed != nil:
		return place{}, failed
	}
	return place{}, &devices.Trouble{Code: devices.Absent, Text: fmt.Sprintf("no line is named %q", wanted), Do: fmt.Sprintf("see gpioinfo, or write its chip and number in place of %q", name)}
}

// names are those of a chip's lines by their numbers.
func (c *Chips) names(path string) ([]string, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var info chipInfo
	if err := c.kernel.ioctl(f, getChipInfo, unsafe.Pointer(&info)); err != nil {
		return nil, &devices.Trouble{Code: devices.Absent, Text: path + " is no GPIO chip", Err: err}
	}
	var all []string
	for i := range info.lines {
		line := lineInfo{offset: i}
		if err := c.kernel.ioctl(f, getLineInfo, unsafe.Pointer(&line)); err != nil {
			return nil, &devices.Trouble{Code: devices.Absent, Text: "the lines of " + path + " can't be listed: the kernel must be 5.10 or later", Err: err}
		}
		all = append(all, text(line.name))
	}
	return all, nil
}

func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, &devices.Trouble{
			Code: devices.Forbidden, Text: "no permission for " + path, Err: err,
			Do: "add the user that edged runs as to the group gpio, and start edged again",
		}
	}
	return nil, &devices.Trouble{Code: devices.Absent, Text: "there is no " + path, Err: err, Do: "see ls /dev/gpiochip*"}
}

// header are the lines at the pins of a Raspberry Pi's 40 pin header J8; the others are power and ground.
func header() map[string]int {
	return map[string]int{
		"3": 2, "5": 3, "7": 4, "8": 14, "10": 15, "11": 17, "12": 18, "13": 27, "15": 22, "16": 23, "18": 24, "19": 10, "21": 9, "22": 25,
		"23": 11, "24": 8, "26": 7, "27": 0, "28": 1, "29": 5, "31": 6, "32": 12, "33": 13, "35": 19, "36": 16, "37": 26, "38": 20, "40": 21,
	}
}
