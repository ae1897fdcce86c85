// SPDX-License-Identifier: Apache-2.0

package port

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// busy names the program that has the port open, where /proc lets us see it.
func (s *System) busy(path string, err error) *Error {
	e := &Error{
		Code: Busy, Port: path, Text: "in use by another program", Err: err,
		Do: "stop that program (sudo fuser " + path + " names it), or give this device another port",
	}
	if holder := s.holder(path); holder != "" {
		e.Text = "in use by " + holder
		e.Do = "stop that program, or give this device another port"
	}
	return e
}

// holder returns "NAME (pid N)" of a process other than ours that has the device at path open, "" if none is seen.
func (s *System) holder(path string) string {
	want, ok := device(path)
	if !ok {
		return ""
	}
	dirs, err := filepath.Glob(filepath.Join(s.root, "/proc/[0-9]*/fd"))
	if err != nil {
		return ""
	}
	own := strconv.Itoa(os.Getpid())
	us := ""
	for _, dir := range dirs {
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // not ours to see, or gone
		}
		for _, fd := range fds {
			name := filepath.Join(dir, fd.Name())
			if to, err := os.Readlink(name); err != nil || !strings.HasPrefix(to, "/dev/") {
				continue
			}
			if d, ok := device(name); !ok || d != want {
				continue
			}
			process := filepath.Dir(dir)
			if filepath.Base(process) == own {
				us = "edged itself, for another device"
				continue
			}
			comm, err := os.ReadFile(filepath.Join(process, "comm"))
			if err != nil {
				continue
			}
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), filepath.Base(process))
		}
	}
	return us
}

// device returns the number of the device at path.
func device(path string) (uint64, bool) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || sys.Rdev == 0 {
		return 0, false
	}
	return uint64(sys.Rdev), true
}
