// SPDX-License-Identifier: Apache-2.0

// Package scan finds out what speaks on a serial port: by listening alone, or, where it is told to, by asking Modbus
// addresses.
package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"edged/bridge/port"
	"edged/devices"
)

const (
	tick       = 50 * time.Millisecond // between two looks at what came
	enough     = 512                   // bytes in which a driver that fits has shown
	fewUnread  = 64                    // bytes of which half are unreadable: a wrong rate (bytes of frames are no text either)
	longerText = 3                     // times the dwell, where readable text comes: a telegram may come each 10 s
	kept       = 8 << 10               // newest bytes, in which lines are looked for
)

// Listening is how a port is listened to.
type Listening struct {
	Drivers []*devices.Driver // those that speak by themselves are tried
	Modes   []port.Mode       // in their order
	Dwell   time.Duration     // with each of them, unless what came is plain before
}

// Heard is what came in one mode.
type Heard struct {
	Mode     port.Mode
	Bytes    uint64
	Readable float64 // share of printable ASCII, tab, CR and LF; 1: all
	Lines    int     // that ended
}

// Match is what speaks.
type Match struct {
	Mode     port.Mode
	Driver   string
	Also     []string       // other drivers that understand all of it too
	Options  map[string]any // of the driver; nil: none
	Proven   bool           // by frames with their checksums; else it looks like it
	Frames   uint64
	Readings []devices.Reading // of the last frame
}

// Report is what listening found.
type Report struct {
	Heard []Heard // mode by mode
	Match *Match  // nil: not known
}

// Silent reports whether nothing came at all.
func (r Report) Silent() bool {
	return !slices.ContainsFunc(r.Heard, func(h Heard) bool { return h.Bytes > 0 })
}

// Modes are the usual ones, the likeliest first, and those that drivers name besides.
func Modes(drivers []*devices.Driver) []port.Mode {
	var modes []port.Mode
	for _, baud := range []int{9600, 115200, 57600, 19200, 38400, 4800, 2400, 1200} {
		modes = append(modes, port.Mode{Baud: baud, DataBits: 8, Parity: 'N', StopBits: 1})
	}
	for _, d := range drivers {
		if m, err := port.ParseSerial(d.Serial); err == nil && streams(d) && !slices.Contains(modes, m) {
			modes = append(modes, m)
		}
	}
	return modes
}

// Listen tries the modes in turn until it is known what speaks. It writes nothing. Where no byte comes in the first of
// them it does not go on: a wrong rate makes other bytes, not none.
func Listen(ctx context.Context, p port.Tunable, l Listening) (Report, error) {
	var r Report
	for _, m := range l.Modes {
		if err := p.SetMode(m); err != nil {
			return r, err
		}
		h, match, err := l.dwell(ctx, p, m)
		if h.Bytes > 0 || len(r.Heard) == 0 {
			r.Heard = append(r.Heard, h)
		}
		if err != nil || match != nil {
			r.Match = match
			return r, err
		}
		if r.Silent() {
			break
		}
	}
	return r, nil
}

// dwell listens in one mode.
func (l Listening) dwell(ctx context.Context, p port.Port, m port.Mode) (h Heard, match *Match, err error) {
	h.Mode = m
	c := newCrowd(l.Drivers)
	var text []byte
	var readable uint64
	buf := make([]byte, 512)
	for begun := time.Now(); ; {
		now := time.Now()
		if ctx.Err() != nil {
			return h, nil, ctx.Err()
		}
		over := l.Dwell
		if h.Bytes > 0 && h.Readable >= textShare && h.Lines > 0 {
			over *= longerText
		}
		lost := h.Bytes >= enough || h.Bytes >= fewUnread && h.Readable < 0.5 && c.frames() == 0 && now.Sub(begun) >= l.Dwell/2
		if now.Sub(begun) >= over || lost {
			return h, lastly(c, text, m, h), nil
		}
		if err := p.SetReadDeadline(now.Add(tick)); err != nil {
			return h, nil, err
		}
		n, err := p.Read(buf)
		if n > 0 {
			h.Bytes += uint64(n)
			readable += devices.Readable(buf[:n])
			h.Readable = float64(readable) / float64(h.Bytes)
			h.Lines += lineEnds(buf[:n])
			c.feed(buf[:n], now)
			text = append(text, buf[:n]...)
			text = text[max(0, len(text)-kept):]
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return h, nil, fmt.Errorf("listen: %w", err)
		}
		if match := c.match(m); match != nil {
			return h, match, nil
		}
		// Frames may be text as well, so that lines are believed only when no driver has found any.
		if now.Sub(begun) < l.Dwell {
			continue
		}
		if match := lines(l.Drivers, text, m, h); match != nil {
			return h, match, nil
		}
	}
}

// lastly decides with what has come.
func lastly(c *crowd, text []byte, m port.Mode, h Heard) *Match {
	if match := c.match(m); match != nil {
		return match
	}
	return lines(c.drivers, text, m, h)
}
