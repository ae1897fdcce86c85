// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"time"

	"edged/devices"
)

// packetDecoder reads frames that something cuts out of the stream: delimiters, or silences. What lies between is one
// whole frame or none. A delimiter may end one frame and begin the next.
type packetDecoder struct {
	base
	buf  []byte    // between the last delimiter and the end; its capacity never grows
	held int       // bytes that are pending: those of buf and the delimiter before them that belongs to no frame
	long bool      // more than any frame holds: the rest up to the delimiter is dropped
	at   time.Time // of the first pending byte
	last time.Time // of the last
}

// Feed takes bytes.
func (d *packetDecoder) Feed(p []byte, at time.Time, emit func(devices.Sample)) {
	d.counts.Bytes += uint64(len(p))
	if d.p.stuffing == nil {
		if d.held > 0 && at.Sub(d.last) >= d.p.gap {
			d.cut(emit)
		}
		if len(p) > 0 {
			d.last = at
		}
	}
	for _, x := range p {
		if d.p.stuffing == nil || x != d.p.stuffing.delimiter {
			d.take(x, at)
			continue
		}
		d.cutAt(at, emit)
	}
}

// take holds a byte of a packet.
func (d *packetDecoder) take(x byte, at time.Time) {
	if d.held == 0 {
		d.at = at
	}
	if d.held++; d.long || len(d.buf) == cap(d.buf) {
		d.long = true
		d.counts.Garbage += uint64(d.held)
		d.held, d.buf = 0, d.buf[:0]
		return
	}
	d.buf = append(d.buf, x)
}

// cutAt ends a packet at a delimiter.
func (d *packetDecoder) cutAt(at time.Time, emit func(devices.Sample)) {
	closed := false
	if len(d.buf) > 0 {
		closed = d.cut(emit)
	}
	d.counts.Garbage += uint64(d.held) // a delimiter that delimits nothing
	d.held, d.long = 0, false
	if !closed && !d.p.stuffing.cobs {
		d.held, d.at = 1, at
	} else if !closed {
		d.counts.Garbage++
	}
}

// cut reads the packet that has ended; closed says that it was a frame, good or bad, to which its delimiters belong.
func (d *packetDecoder) cut(emit func(devices.Sample)) (closed bool) {
	held := d.held
	s, v := d.read()
	switch v {
	case match:
		d.counts.Frames++
		d.deliver(s, d.frame, d.at, emit)
	case bad:
		d.counts.Bad++
	default:
		d.counts.Garbage += uint64(held)
	}
	d.held, d.buf, d.long = 0, d.buf[:0], false
	return v == match || v == bad
}

// read judges the packet in buf.
func (d *packetDecoder) read() (s *shape, v verdict) {
	d.frame = d.buf
	if d.p.stuffing != nil {
		var ok bool
		if d.frame, ok = d.p.stuffing.unstuff(d.buf); !ok {
			return nil, no
		}
	}
	for _, x := range d.p.shapes {
		size, w := x.match(d.frame)
		switch {
		case w == match && size == len(d.frame):
			return x, match
		case w == bad && size == len(d.frame):
			s, v = x, bad
		}
	}
	return s, v
}

// Sent tells what was written to the device.
func (d *packetDecoder) Sent(p []byte) { d.heard(p) }

// End says that no byte follows: a packet between silences has ended, one between delimiters has not.
func (d *packetDecoder) End(emit func(devices.Sample)) {
	if d.p.stuffing == nil && d.held > 0 {
		d.cut(emit)
	}
	d.counts.Garbage += uint64(d.held)
	d.held, d.buf, d.long = 0, d.buf[:0], false
}

// Counts gives what was seen.
func (d *packetDecoder) Counts() devices.Counts {
	c := d.counts
	c.Pending = d.held
	return c
}

// Pause tells the silence that ends a frame; 0: none does.
func (d *packetDecoder) Pause() time.Duration { return d.p.gap }
