// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

// base is what decoders of streams and of packets share.
type base struct {
	p      *protocol
	given  map[string][]byte // the options' bytes
	counts devices.Counts
	out    []devices.Reading
	frame  []byte // of the packet in hand
	found  *shape // by Judge
	asked  string // the command that was made last, of several that are answered alike
	wants  *shape // the one that answers what was asked last; nil: any may come
}

func newDecoder(p *protocol, given map[string][]byte) devices.Decoder {
	b := base{p: p, given: given}
	if p.packets() {
		return &packetDecoder{base: b, buf: make([]byte, 0, 2*p.limit+2)}
	}
	return streamDecoder{&b, stream.New(&b, p.limit, false)}
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
	if s.readings == nil && s.blank == nil || d.wants != nil && s != d.wants && s.blank == nil {
		return // it measures nothing, or is the late answer to another request
	}
	d.out = s.read(frame, d.out[:0])
	emit(devices.Sample{At: at, Readings: d.out})
}

// heard notes which shape answers what was sent, where a description tells it.
func (d *base) heard(p []byte) {
	for i := range d.p.asks {
		if a := &d.p.asks[i]; bytes.Equal(p, d.p.wire(a.t.build(nil, d.given))) {
			d.wants = a.shape
			return
		}
	}
}

// Sent tells what was written to the device.
func (d streamDecoder) Sent(p []byte) {
	d.heard(p)
	d.Decoder.Sent(p)
}

// streamDecoder finds frames in a stream of bytes by their start bytes.
type streamDecoder struct {
	*base
	*stream.Decoder
}

// Candidate gives the offset of the first byte that may begin a frame, or the length of b.
func (d *base) Candidate(b []byte) int {
	p := d.p
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

// Judge tries each shape at b. A whole frame of any shape wins; else it waits where one may still come.
func (d *base) Judge(b []byte) (size int, v verdict) {
	for _, x := range d.p.shapes {
		n, w := x.match(b)
		if w == match {
			d.found = x
			return n, match
		}
		switch {
		case v == more || w == no:
		case w == more:
			size, v = n, more
		case v == no:
			size, v = n, bad
		}
	}
	return size, v
}

// Read hands on what the frame that Judge found says.
func (d *base) Read(frame []byte, at time.Time, emit func(devices.Sample)) {
	d.deliver(d.found, frame, at, emit)
}
