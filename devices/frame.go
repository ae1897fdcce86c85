// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"bytes"
	"time"
)

// frameDecoder finds frames in a stream of bytes. It looks for a shape's start bytes; a frame whose checksum or end is
// wrong is counted as bad and searched for others from its second byte on, so that a valid frame is found wherever it
// stands. Bytes of a bad frame that are in no valid one are not garbage as well.
type frameDecoder struct {
	p      *protocol
	given  map[string][]byte // the options' bytes
	buf    []byte            // what is not decided; its capacity never grows
	base   uint64            // position of buf[0] in the stream
	marks  []mark            // when parts of buf were read, oldest first
	owed   int               // bytes of buf that belong to a frame which was counted as bad
	counts Counts
	out    []Reading
}

// mark says that the bytes from a position in the stream on were read at at.
type mark struct {
	from uint64
	at   time.Time
}

func newFrameDecoder(p *protocol, given map[string][]byte) *frameDecoder {
	return &frameDecoder{p: p, given: given, buf: make([]byte, 0, max(1024, 2*p.limit))}
}

// Feed takes bytes.
func (d *frameDecoder) Feed(p []byte, at time.Time, emit func(Sample)) {
	d.counts.Bytes += uint64(len(p))
	for len(p) > 0 {
		if n := len(d.marks); n == 0 || !d.marks[n-1].at.Equal(at) {
			d.marks = append(d.marks, mark{d.base + uint64(len(d.buf)), at})
		}
		n := min(len(p), cap(d.buf)-len(d.buf))
		d.buf = append(d.buf, p[:n]...)
		p = p[n:]
		d.scan(false, emit)
	}
}

// End gives up waiting for the rest of a frame.
func (d *frameDecoder) End(emit func(Sample)) { d.scan(true, emit) }

// Counts gives what was seen.
func (d *frameDecoder) Counts() Counts {
	c := d.counts
	c.Pending = len(d.buf)
	return c
}

// scan takes everything out of buf that is decided; at the end everything is.
func (d *frameDecoder) scan(end bool, emit func(Sample)) {
	rest := d.buf
	for len(rest) > 0 {
		i := d.p.candidate(rest)
		d.skip(i)
		if rest = rest[i:]; len(rest) == 0 {
			break
		}
		s, size, v := d.p.match(rest)
		if v == more && !end {
			break
		}
		if v == match {
			at := d.timeOf(d.base + uint64(len(d.buf)-len(rest)))
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
	d.base += uint64(len(d.buf) - len(rest))
	d.buf = d.buf[:copy(d.buf[:cap(d.buf)], rest)]
	d.forget()
}

// skip accounts for n bytes that are in no valid frame.
func (d *frameDecoder) skip(n int) {
	owed := min(n, d.owed)
	d.owed -= owed
	d.counts.Garbage += uint64(n - owed)
}

// timeOf gives when the byte at a position was read.
func (d *frameDecoder) timeOf(pos uint64) time.Time {
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
func (d *frameDecoder) forget() {
	n := 0
	for n+1 < len(d.marks) && d.marks[n+1].from <= d.base {
		n++
	}
	if len(d.buf) == 0 {
		n = len(d.marks)
	}
	d.marks = d.marks[:copy(d.marks, d.marks[n:])]
}

func (d *frameDecoder) deliver(s *shape, frame []byte, at time.Time, emit func(Sample)) {
	if command, v := s.answer(frame); command != "" {
		d.out = d.out[:0]
		if v.Kind() != None {
			d.out = append(d.out, Reading{command, v})
		}
		emit(Sample{At: at, Answer: command, Readings: d.out})
		return
	}
	if s.readings == nil {
		return
	}
	d.out = s.read(frame, d.out[:0])
	emit(Sample{At: at, Readings: d.out})
}

// candidate gives the offset of the first byte that may begin a frame, or the length of b.
func (p *protocol) candidate(b []byte) int {
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
