// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// uart is a serial port with two handles. The library's sets baud rate and modem lines. The bytes go through a
// descriptor of our own on Go's netpoller: deadlines work, Close unblocks a stalled Write, the end is seen at once,
// and neither a descriptor of 1024 and more panics (the library reads with select(2)) nor does a write after Close
// land in whatever got its number.
type uart struct {
	*os.File
	control serial.Port
}

// closeTimeout is how long Close waits: the kernel's close of a tty may wait for its hardware.
const closeTimeout = time.Second

// openUART opens the tty at path for us alone.
func (s *System) openUART(path string, m Mode) (Port, error) {
	mode, err := m.library()
	if err != nil {
		return nil, &Error{Code: Missing, Port: path, Text: err.Error(), Err: err}
	}
	if st, err := os.Stat(path); err != nil {
		return nil, s.explain(path, err)
	} else if st.Mode()&fs.ModeCharDevice == 0 {
		return nil, notSerial(path, "is a "+kind(st.Mode())+", not a serial port", nil)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, s.explain(path, err)
	}
	control, err := s.seize(fd, path, mode)
	if err != nil {
		return nil, errors.Join(s.explain(path, err), unix.Close(fd))
	}
	if !pseudo(fd) {
		lowLatency(s.drivers, fd)
	}
	return &uart{os.NewFile(uintptr(fd), path), control}, nil
}

// seize takes the tty behind fd for us and sets its mode.
func (s *System) seize(fd int, path string, mode *serial.Mode) (serial.Port, error) {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return nil, err
	}
	// TIOCEXCL, which the library sets, stops neither root nor a second of us; this does.
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, err
	}
	// Not by its name, which may lead to another port by now.
	same := fmt.Sprintf("/proc/self/fd/%d", fd)
	if _, err := os.Stat(same); err != nil {
		same = path
	}
	control, err := serial.Open(same, mode)
	if err != nil {
		return nil, err
	}
	if pseudo(fd) {
		// The library's TIOCEXCL ends with the last close of a real port, but outlives us on a pseudo terminal whose
		// master stays open: after a crash an unprivileged process would find it busy for ever (bugst/go-serial#199).
		if err := unix.IoctlSetInt(fd, unix.TIOCNXCL, 0); err != nil {
			return nil, errors.Join(err, control.Close())
		}
	}
	// What came before the mode was set is of unknown age and rate.
	if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH); err != nil {
		return nil, errors.Join(err, control.Close())
	}
	return control, nil
}

// Close drops what the peer has not taken, and lets the port go.
func (u *uart) Close() error {
	// A tty that is closed with bytes to send waits for them, up to 30 s.
	if raw, err := u.SyscallConn(); err == nil {
		err = raw.Control(func(fd uintptr) {
			_ = unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCOFLUSH) // it fails only where the port is gone
		})
		if err != nil {
			return os.ErrClosed
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(u.File.Close(), u.control.Close()) }()
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	select {
	case err := <-closed:
		return err
	case <-late.C:
		return fmt.Errorf("close %s: the kernel has not closed it after %v", u.Name(), closeTimeout)
	}
}

// pseudo says whether fd is the slave of a pseudo terminal.
func pseudo(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	major := unix.Major(uint64(st.Rdev))
	return major >= 136 && major <= 143 // Documentation/admin-guide/devices.txt: Unix98 PTY slaves
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "block device"
	default:
		return "file"
	}
}
