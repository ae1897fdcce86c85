// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"time"

	"edged/devices"
)

// base is what decoders of streams and of packets share.
type base struct {
	p      *protocol
	given  map[string][]byte // the options' bytes
	counts devices.Counts
	out    []devices.Reading
	frame  []byte // of the packet in hand
	asked  string // the command that was made last, of several that are answered alike
}

func newDecoder(p *protocol, given map[string][]byte) devices.Decoder {
	b := base{p: p, given: given}
	if p.packets() {
		return &packetDecoder{base: b, buf: make([]byte, 0, 2*p.limit+2)}
	}
	return &streamDecoder{base: b, buf: make([]byte, 0, max(1024, 2*p.limit))}
}

// deliver hands on what a valid frame says.
func (d *base) deliver(s *shape, frame []byte, at time.Time, emit func(devices.Sample)) {
	if command, v := s.answer(frame, d.asked); command != "" {
		d.out = d.out[:0]
		if v.Kind() != devices.None {
			d.out = append(d.out, devices.Reading{Name: command, Value: v})
		}
		emit(devices.Sample{At: at, Answer: command, Readings: d.out})
		return
	}
	if s.readings == nil && s.blank == nil {
		return
	}
	d.out = s.read(frame, d.out[:0])
	emit(devices.Sample{At: at, Readings: d.out})
}

// streamDecoder finds frames in a stream of bytes. It looks for a shape's start bytes; a frame whose checksum or end is
// wrong is counted as bad and searched for others from its second byte on, so that a valid frame is found wherever it
// stands. Bytes of a bad frame that are in no valid one are not garbage as well.
type streamDecoder struct {
	base
	buf   []byte // what is not decided; its capacity never grows
	from  uint64 // position of buf[0] in the stream
	marks []mark // when parts of buf were read, oldest first
	owed  int    // bytes of buf that belong to a frame which was counted as bad
	echo  []byte // the request that may come back
}

// mark says that the bytes from a position in the stream on were read at at.
type mark struct {
	from uint64
	at   time.Time
}

// Feed takes bytes.
func (d *streamDecoder) Feed(p []byte, at time.Time, emit func(devices.Sample)) {
	d.counts.Bytes += uint64(len(p))
	for len(p) > 0 {
		if n := len(d.marks); n == 0 || d.marks[n-1].at != at {
			d.marks = append(d.marks, mark{d.from + uint64(len(d.buf)), at})
		}
		n := min(len(p), cap(d.buf)-len(d.buf))
		d.buf = append(d.buf, p[:n]...)
		p = p[n:]
		d.scan(false, emit)
	}
}

// Sent tells what was written to the device, which a line with one pair of wires brings back.
func (d *streamDecoder) Sent(p []byte) { d.echo = append(d.echo[:0], p...) }

// End gives up waiting for the rest of a frame.
func (d *streamDecoder) End(emit func(devices.Sample)) { d.scan(true, emit) }

// Counts gives what was seen.
func (d *streamDecoder) Counts() devices.Counts {
	c := d.counts
	c.Pending = len(d.buf)
	return c
}

// scan takes everything out of buf that is decided; at the end everything is.
func (d *streamDecoder) scan(end bool, emit func(devices.Sample)) {
	rest := d.buf
	for len(rest) > 0 {
		i := d.candidate(rest)
		d.skip(i)
		if rest = rest[i:]; len(rest) == 0 {
			break
		}
		s, size, v := d.p.match(rest)
		if n, part := d.echoed(rest); v != match && n > 0 {
			if part && !end {
				break
			}
			if !part {
				d.counts.Echo += uint64(n)
				d.owed, d.echo = max(0, d.owed-n), d.echo[:0]
				rest = rest[n:]
				continue
			}
		}
		if v == more && !end {
			break
		}
		if v == match {
			at := d.timeOf(d.from + uint64(len(d.buf)-len(rest)))
			d.counts.Frames++
			d.owed = max(0, d.owed-size)
			d.deliver(s, rest[:size], at, emit)
			rest = rest[size:]
			continue
		}
		if v == bad && size > d.owed {
			d.counts.Bad++
			d.owed = size
		}
		d.skip(1)
		rest = rest[1:]
	}
	d.from += uint64(len(d.buf) - len(rest))
	d.buf = d.buf[:copy(d.buf[:cap(d.buf)], rest)]
	d.forget()
}

// candidate gives the offset of the first byte that may begin a frame or an echo, or the length of b.
func (d *streamDecoder) candidate(b []byte) int {
	n := d.p.candidate(b)
	if len(d.echo) > 0 {
		if i := bytes.IndexByte(b[:n], d.echo[0]); i >= 0 {
			return i
		}
	}
	return n
}

// echoed reports how many bytes at the beginning of b are those of the request, and whether that is only a part of it.
func (d *streamDecoder) echoed(b []byte) (n int, part bool) {
	if n = min(len(b), len(d.echo)); n == 0 || !bytes.Equal(b[:n], d.echo[:n]) {
		return 0, false
	}
	return n, n < len(d.echo)
}

// skip accounts for n bytes that are in no valid frame.
func (d *streamDecoder) skip(n int) {
	owed := min(n, d.owed)
	d.owed -= owed
	d.counts.Garbage += uint64(n - owed)
}

// timeOf gives when the byte at a position was read.
func (d *streamDecoder) timeOf(pos uint64) time.Time {
	at := d.marks[0].at
	for _, m := range d.marks[1:] {
		if m.from > pos {
			break
		}
		at = m.at
	}
	return at
}

// forget drops marks of bytes that are gone.
func (d *streamDecoder) forget() {
	n := 0
	for n+1 < len(d.marks) && d.marks[n+1].from <= d.from {
		n++
	}
	if len(d.buf) == 0 {
		n = len(d.marks)
	}
	d.marks = d.marks[:copy(d.marks, d.marks[n:])]
}

// candidate gives the offset of the first byte that may begin a frame, or the length of b.
func (p *protocol) candidate(b []byte) int {
	if p.starts[b[0]] {
		return 0
	}
	if p.only {
		if i := bytes.IndexByte(b, p.first); i >= 0 {
			return i
		}
		return len(b)
	}
	for i, x := range b {
		if p.starts[x] {
			return i
		}
	}
	return len(b)
}

// match tries each shape at b. A whole frame of any shape wins; else it waits where one may still come.
func (p *protocol) match(b []byte) (s *shape, size int, v verdict) {
	for _, x := range p.shapes {
		n, w := x.match(b)
		if w == match {
			return x, n, match
		}
		switch {
		case v == more || w == no:
		case w == more:
			s, size, v = x, n, more
		case v == no:
			s, size, v = x, n, bad
		}
	}
	return s, size, v
}
