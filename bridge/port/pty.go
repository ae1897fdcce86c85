// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo terminal that stands in for a UART: whoever holds it plays the device, and Name is the port that a
// bridge opens.
type PTY struct {
	*os.File        // the device's end
	Name     string // of the port, /dev/pts/N
	held     *os.File
}

// OpenPTY makes a pseudo terminal without echo and line editing, as a UART is.
func OpenPTY() (_ *PTY, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pseudo terminal: %w", err)
	}
	p := &PTY{File: os.NewFile(uintptr(fd), "/dev/ptmx")}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a pseudo terminal: %w", err), p.File.Close())
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return nil, err
	}
	p.Name = fmt.Sprintf("/dev/pts/%d", n)
	// While nobody has the port open, the device's end reads EIO. One that we hold keeps it alive, as a wire does.
	p.held, err = os.OpenFile(p.Name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	return p, err
}

// Close takes the port away, as when its adapter is unplugged.
func (p *PTY) Close() error { return errors.Join(p.held.Close(), p.File.Close()) }
