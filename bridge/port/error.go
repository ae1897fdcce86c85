// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Codes of what is wrong with a port.
const (
	Missing   = "E101" // not there, or unplugged
	Forbidden = "E102" // no permission
	Busy      = "E103" // in use by another program
)

// Error is why a port cannot be opened.
type Error struct {
	Code string // Missing, Forbidden or Busy
	Port string // as the configuration names it
	Text string // what is wrong
	Do   string // what to do about it; may be ""
	Err  error  // the cause; may be nil

	Pause time.Duration // longest before it is opened again; 0: as usual
}

// Error tells all in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("open %s: %s (%s)", e.Port, e.Text, e.Code)
	if e.Do != "" {
		s += ": " + e.Do
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// named puts the configured name in place of the path that it led to.
func named(err error, name string) error {
	e := new(Error)
	if !errors.As(err, &e) {
		return &Error{Code: Missing, Port: name, Text: err.Error(), Err: err}
	}
	if e.Port != name {
		e.Text = e.Port + ": " + e.Text
		e.Port = name
	}
	return e
}

func hangs(name string, err error) error {
	return &Error{
		Code: Missing, Port: name, Text: "the port does not answer: opening it hangs in the kernel",
		Do: "unplug the adapter and plug it in again", Err: err,
	}
}

// notSerial is the error of a name that leads to something else.
func notSerial(path, what string, err error) *Error {
	return &Error{Code: Missing, Port: path, Text: what, Do: "name the serial port, see ls /dev/serial/by-id", Err: err}
}

// explain turns the error of an open of path into one that says what to do.
func (s *System) explain(path string, err error) error {
	var lib *serial.PortError
	if errors.As(err, &lib) {
		switch lib.Code() {
		case serial.PortBusy:
			return s.busy(path, err)
		case serial.PermissionDenied:
			return forbidden(path, err)
		default:
			return notSerial(path, fmt.Sprintf("is no working serial port: %v", err), err)
		}
	}
	var n syscall.Errno
	if !errors.As(err, &n) {
		return &Error{Code: Missing, Port: path, Text: err.Error(), Err: err}
	}
	switch n {
	case unix.ENOENT, unix.ENOTDIR, unix.ENODEV, unix.ENXIO:
		return &Error{Code: Missing, Port: path, Text: "no such port", Do: "plug it in, or see ls /dev/serial/by-id for what is there", Err: err}
	case unix.EACCES, unix.EPERM:
		return forbidden(path, err)
	case unix.EBUSY, unix.EWOULDBLOCK:
		return s.busy(path, err)
	case unix.ENOTTY, unix.EINVAL:
		return notSerial(path, "is not a serial port", err)
	case unix.EIO:
		return &Error{
			Code: Missing, Port: path, Text: "the port is there, but no hardware behind it answers",
			Do: "take another port", Err: err,
		}
	default:
		return &Error{Code: Missing, Port: path, Text: n.Error(), Err: err}
	}
}

// forbidden says whose the port is and how to get at it.
func forbidden(path string, err error) *Error {
	e := &Error{
		Code: Forbidden, Port: path, Text: "no permission", Err: err,
		Do: "let the service open it: DeviceAllow= in its unit, and a udev rule that gives the port to its group",
	}
	st, serr := os.Stat(path)
	if serr != nil {
		return e
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return e
	}
	group := groupName(sys.Gid)
	e.Text = fmt.Sprintf("no permission: it belongs to %s:%s, mode %04o", userName(sys.Uid), group, st.Mode().Perm())
	if st.Mode().Perm()&0o060 == 0o060 && errors.Is(err, fs.ErrPermission) && !inGroup(sys.Gid) {
		e.Do = fmt.Sprintf("add the user %s to the group %s (usermod -aG %s %s) and start edged again",
			userName(uint32(os.Geteuid())), group, group, userName(uint32(os.Geteuid())))
	}
	return e
}

func inGroup(gid uint32) bool {
	if os.Getegid() == int(gid) {
		return true
	}
	all, err := os.Getgroups()
	if err != nil {
		return false
	}
	for _, g := range all {
		if g == int(gid) {
			return true
		}
	}
	return false
}

func groupName(id uint32) string {
	n := strconv.Itoa(int(id))
	if g, err := user.LookupGroupId(n); err == nil {
		return g.Name
	}
	return n
}

func userName(id uint32) string {
	n := strconv.Itoa(int(id))
	if u, err := user.LookupId(n); err == nil {
		return u.Username
	}
	return n
}
