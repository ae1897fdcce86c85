// SPDX-License-Identifier: Apache-2.0

// Package stream finds frames in a stream of bytes that may begin anywhere, hold garbage and be cut, and accounts for
// each byte.
package stream

import (
	"bytes"
	"time"

	"edged/devices"
)

// Verdict is what begins at a byte.
type Verdict uint8

// The verdicts.
const (
	No    Verdict = iota // no frame
	More                 // perhaps one: not enough bytes
	Bad                  // a frame that is damaged
	Match                // a frame
)

// Protocol knows what a frame is.
type Protocol interface {
	// Candidate gives the offset of the first byte of b that may begin a frame, or the length of b.
	Candidate(b []byte) int
	// Judge says what begins at b, and its size where that is known.
	Judge(b []byte) (size int, v Verdict)
	// Read hands on what a valid frame says.
	Read(frame []byte, at time.Time, emit func(devices.Sample))
}

// Decoder finds frames. After one whose checksum or end is wrong, counted as bad, it searches for others from the second
// byte on, so that a valid frame is found wherever it stands. Bytes of a bad frame that are in no valid one are not
// garbage as well.
type Decoder struct {
	p      Protocol
	text   bool // readable bytes are counted
	counts devices.Counts
	buf    []byte // what is not decided; its capacity never grows
	from   uint64 // position of buf[0] in the stream
	marks  []mark // when parts of buf were read, oldest first
	owed   int    // bytes of buf that belong to a frame which was counted as bad
	echo   []byte // the request that may come back
}

// New makes a decoder of frames of at most limit bytes.
func New(p Protocol, limit int, text bool) *Decoder {
	return &Decoder{p: p, text: text, buf: make([]byte, 0, max(1024, 2*limit))}
}

// mark says that the bytes from a position in the stream on were read at at.
type mark struct {
	from uint64
	at   time.Time
}

// Feed takes bytes.
func (d *Decoder) Feed(p []byte, at time.Time, emit func(devices.Sample)) {
	d.counts.Bytes += uint64(len(p))
	if d.text {
		d.counts.Readable += devices.Readable(p)
	}
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
func (d *Decoder) Sent(p []byte) { d.echo = append(d.echo[:0], p...) }

// End gives up waiting for the rest of a frame.
func (d *Decoder) End(emit func(devices.Sample)) { d.scan(true, emit) }

// Counts gives what was seen.
func (d *Decoder) Counts() devices.Counts {
	c := d.counts
	c.Pending = len(d.buf)
	return c
}

// scan takes everything out of buf that is decided; at the end everything is.
func (d *Decoder) scan(end bool, emit func(devices.Sample)) {
	rest := d.buf
	for len(rest) > 0 {
		i := d.candidate(rest)
		d.skip(i)
		if rest = rest[i:]; len(rest) == 0 {
			break
		}
		size, v := d.p.Judge(rest)
		if n, part := d.echoed(rest); v != Match && n > 0 {
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
		if v == More && !end {
			break
		}
		if v == Match {
			at := d.timeOf(d.from + uint64(len(d.buf)-len(rest)))
			d.counts.Frames++
			d.owed = max(0, d.owed-size)
			d.p.Read(rest[:size], at, emit)
			rest = rest[size:]
			continue
		}
		if v == Bad && size > d.owed {
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
func (d *Decoder) candidate(b []byte) int {
	n := d.p.Candidate(b)
	if len(d.echo) > 0 {
		if i := bytes.IndexByte(b[:n], d.echo[0]); i >= 0 {
			return i
		}
	}
	return n
}

// echoed reports how many bytes at the beginning of b are those of the request, and whether that is only a part of it.
func (d *Decoder) echoed(b []byte) (n int, part bool) {
	if n = min(len(b), len(d.echo)); n == 0 || !bytes.Equal(b[:n], d.echo[:n]) {
		return 0, false
	}
	return n, n < len(d.echo)
}

// skip accounts for n bytes that are in no valid frame.
func (d *Decoder) skip(n int) {
	owed := min(n, d.owed)
	d.owed -= owed
	d.counts.Garbage += uint64(n - owed)
}

// timeOf gives when the byte at a position was read.
func (d *Decoder) timeOf(pos uint64) time.Time {
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
func (d *Decoder) forget() {
	n := 0
	for n+1 < len(d.marks) && d.marks[n+1].from <= d.from {
		n++
	}
	if len(d.buf) == 0 {
		n = len(d.marks)
	}
	d.marks = d.marks[:copy(d.marks, d.marks[n:])]
}
