// SPDX-License-Identifier: Apache-2.0

package port

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RS485 is how the direction of a line with one pair of wires is switched.
type RS485 string

// The ways.
const (
	RS485Off    RS485 = "off"    // the adapter does it by itself
	RS485Auto   RS485 = "auto"   // by the kernel on ports that are no USB adapters and where its driver can; else as off
	RS485Kernel RS485 = "kernel" // by the kernel, or not at all
	RS485RTS    RS485 = "rts"    // by RTS, which we switch
)

// Of linux/serial.h.
const (
	rs485Enabled   = 1 << 0  // SER_RS485_ENABLED
	rs485RTSOnSend = 1 << 1  // SER_RS485_RTS_ON_SEND
	rs485Size      = 32      // of struct serial_rs485, whose first word are the flags
	asyncLatency   = 1 << 13 // ASYNC_LOW_LATENCY
	serialFlags    = 16      // offset of flags in struct serial_struct
	serialSize     = 128     // more than that struct has anywhere
	lineEmpty      = 1       // TIOCSER_TEMT
)

// drivers are the calls to a tty's driver that not every one knows; a test has others.
type drivers interface {
	// ioctl hands over a struct, which may come back changed.
	ioctl(fd int, request uint, p []byte) error
	// number gets one.
	number(fd int, request uint) (int, error)
}

type kernel struct{}

func (kernel) ioctl(fd int, request uint, p []byte) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&p[0]))); errno != 0 {
		return errno
	}
	return nil
}

func (kernel) number(fd int, request uint) (int, error) { return unix.IoctlGetInt(fd, request) }

// lowLatency has an adapter hand on bytes at once rather than each 16 ms. Most drivers know it, and none needs it.
func lowLatency(d drivers, fd int) {
	p := make([]byte, serialSize)
	if d.ioctl(fd, unix.TIOCGSERIAL, p) != nil {
		return
	}
	flags := binary.NativeEndian.Uint32(p[serialFlags:])
	if flags&asyncLatency != 0 {
		return
	}
	binary.NativeEndian.PutUint32(p[serialFlags:], flags|asyncLatency)
	_ = d.ioctl(fd, unix.TIOCSSERIAL, p) // slower is no fault
}

// turnRound has the line of an open UART turned round as it is configured. usb: it is an adapter at USB, which does it by
// itself, and of which some fail on the very question.
func turnRound(d drivers, u *uart, r Request, usb bool) (Port, error) {
	switch {
	case r.RS485 == RS485RTS:
		if err := u.control.SetRTS(false); err != nil {
			return nil, &Error{Code: Missing, Port: r.Name, Text: fmt.Sprintf("RTS cannot be switched: %v", err), Do: `write rs485 = "off" where the adapter turns the line round by itself`, Err: err}
		}
		return &rtsLine{uart: u, drivers: d, mode: r.Mode, rts: u.control.SetRTS}, nil
	case r.RS485 == RS485Kernel, r.RS485 == RS485Auto && !usb:
		err := u.onFD(func(fd int) error { return kernelRS485(d, fd) })
		if err != nil && r.RS485 == RS485Kernel {
			return nil, &Error{Code: Missing, Port: r.Name, Text: fmt.Sprintf("the kernel's driver of this port does not turn an RS-485 line round (%v)", err), Do: `write rs485 = "rts", or "off" where the adapter does it by itself`, Err: err}
		}
	}
	return u, nil
}

// kernelRS485 has the kernel raise RTS while it sends.
func kernelRS485(d drivers, fd int) error {
	p := make([]byte, rs485Size)
	binary.NativeEndian.PutUint32(p, rs485Enabled|rs485RTSOnSend)
	return d.ioctl(fd, unix.TIOCSRS485, p)
}

// onFD calls f with the port's descriptor.
func (u *uart) onFD(f func(fd int) error) error {
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// rtsLine is a UART whose RTS we raise while it sends.
type rtsLine struct {
	*uart
	drivers drivers
	mode    Mode
	rts     func(bool) error
}

// Write sends, and gives the line free once the last bit is out.
func (l *rtsLine) Write(p []byte) (n int, err error) {
	if err := l.rts(true); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.rts(false)) }()
	begun := time.Now()
	if n, err = l.uart.Write(p); err != nil {
		return n, err
	}
	return n, l.onFD(func(fd int) error { return drained(l.drivers, fd, begun, n, l.mode) })
}

// drained waits until n bytes, sent since begun, are out: the kernel's buffer is empty and so is the chip. Where the driver
// does not tell of the chip it takes the time that the bytes need.
func drained(d drivers, fd int, begun time.Time, n int, m Mode) error {
	out := begun.Add(time.Duration(n+1) * m.Character())
	late := out.Add(writeLate)
	for time.Now().Before(late) {
		waiting, err := d.number(fd, unix.TIOCOUTQ)
		if err != nil {
			return err
		}
		state, unknown := d.number(fd, unix.TIOCSERGETLSR)
		switch {
		case waiting > 0:
		case unknown == nil && state&lineEmpty != 0:
			return nil
		case unknown != nil && !time.Now().Before(out):
			return nil
		}
		time.Sleep(drainLook)
	}
	return nil
}

const (
	writeLate = 200 * time.Millisecond // a chip that is never empty by its own account
	drainLook = 200 * time.Microsecond
)
