// SPDX-License-Identifier: Apache-2.0

package gpio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"edged/devices"
)

// Line is a GPIO line that was taken. Next may be called while another goroutine calls the others.
type Line struct {
	kernel kernel
	name   string
	config devices.LineConfig
	file   *os.File

	buf    [16 * eventSize]byte // of Next
	events []byte               // read and not given out
	seqno  uint32               // of the newest that was given out
}

// consumer is what other programs see as the line's user.
const consumer = "edged"

// Line takes a line. Its errors are of type [devices.Trouble].
func (c *Chips) Line(config devices.LineConfig) (*Line, error) {
	at, err := c.find(config.Name)
	if err != nil {
		return nil, err
	}
	chip, err := open(at.chip)
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	request := lineRequest{numLines: 1, config: configOf(config), eventSize: uint32(config.Edges)}
	request.offsets[0] = at.offset
	copy(request.consumer[:], consumer)
	if err := c.kernel.ioctl(chip, getLine, unsafe.Pointer(&request)); err != nil {
		return nil, c.refused(chip, at, config, err)
	}
	fd := int(request.fd)
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil { // for the poller: a read that waits ends when the line is closed
		return nil, errors.Join(fmt.Errorf("take the line %s: %w", config.Name, err), unix.Close(fd))
	}
	return &Line{kernel: c.kernel, name: config.Name, config: config, file: os.NewFile(uintptr(fd), config.Name)}, nil
}

// configOf says to the kernel how a line is to be used.
func configOf(c devices.LineConfig) lineConfig {
	var k lineConfig
	k.flags = map[string]uint64{"up": flagPullUp, "down": flagPullDown, "off": flagPullOff}[c.Pull]
	if c.Low {
		k.flags |= flagActiveLow
	}
	attribute := func(id uint32, value uint64) {
		a := &k.attrs[k.numAttrs]
		a.attr.id, a.mask = id, 1
		if id == attrDebounce {
			binary.NativeEndian.PutUint32(a.attr.value[:], uint32(value))
		} else {
			binary.NativeEndian.PutUint64(a.attr.value[:], value)
		}
		k.numAttrs++
	}
	if c.Output {
		k.flags |= flagOutput | map[string]uint64{"open-drain": flagOpenDrain, "open-source": flagOpenSource}[c.Drive]
		if c.Initial {
			attribute(attrValues, 1)
		}
		return k
	}
	k.flags |= flagInput | flagEdgeRising
	if !c.Rising {
		k.flags |= flagEdgeFalling
	}
	if c.Debounce > 0 {
		attribute(attrDebounce, uint64(c.Debounce.Microseconds()))
	}
	return k
}

// refused says why the kernel does not give a line.
func (c *Chips) refused(chip *os.File, at place, config devices.LineConfig, err error) error {
	t := &devices.Trouble{Code: devices.Absent, Text: "the kernel does not give the line " + config.Name, Err: err}
	switch {
	case errors.Is(err, unix.EBUSY):
		t.Code, t.Text = devices.Busy, "the line "+config.Name+" is in use"
		info := lineInfo{offset: at.offset}
		if c.kernel.ioctl(chip, getLineInfo, unsafe.Pointer(&info)) == nil && text(info.consumer) != "" {
			t.Text += fmt.Sprintf(" by %q", text(info.consumer))
		}
		t.Do = "end the program that has it, or the overlay in config.txt"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		t.Code = devices.Forbidden
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENXIO):
		t.Do = "its chip has no such line, or can't pull, drive or tell edges as is asked: leave pull, drive or debounce out"
	}
	return t
}

// gone is the error of a line that was there.
func (l *Line) gone(what string, err error) error {
	if errors.Is(err, os.ErrClosed) {
		return err
	}
	return &devices.Trouble{Code: devices.Absent, Text: what + " the line " + l.name, Err: err, Do: "plug its chip in again"}
}

// Active reads whether it is active.
func (l *Line) Active() (bool, error) {
	v := lineValues{mask: 1}
	if err := l.kernel.ioctl(l.file, getValues, unsafe.Pointer(&v)); err != nil {
		return false, l.gone("can't read", err)
	}
	return v.bits&1 != 0, nil
}

// Set makes an output active or inactive.
func (l *Line) Set(active bool) error {
	v := lineValues{mask: 1}
	if active {
		v.bits = 1
	}
	if err := l.kernel.ioctl(l.file, setValues, unsafe.Pointer(&v)); err != nil {
		return l.gone("can't set", err)
	}
	return nil
}

// Next waits for the next edge. Its time is that of the kernel's stamp, brought to the wall clock as it is now: a clock
// that is set meanwhile changes no difference.
func (l *Line) Next() (devices.Edge, error) {
	for {
		if len(l.events) < eventSize {
			n, err := l.file.Read(l.buf[:])
			if err == nil && n%eventSize != 0 || err == nil && n == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return devices.Edge{}, l.gone("no edges come from", err)
			}
			l.events = l.buf[:n]
		}
		e, ok := parseEvent(l.events)
		l.events = l.events[eventSize:]
		if !ok {
			continue // a kind that only a later kernel has
		}
		lost := int(int32(e.seqno - l.seqno - 1))
		l.seqno = e.seqno
		stamp := time.Duration(e.timestamp)
		age := max(l.kernel.mono()-stamp, 0)
		return devices.Edge{At: time.Now().Add(-age), Clock: stamp, Active: e.rising, Lost: max(lost, 0)}, nil
	}
}

// Close gives the line back. What the level of an output is then is the chip's business; most keep it.
func (l *Line) Close() error { return l.file.Close() }
