// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"slices"

	"edged/devices"
	"edged/devices/field"
	"edged/devices/stream"
)

// maxFrame bounds a frame's size, and with it what a decoder holds.
const maxFrame = 4096

// shape is one kind of frame.
type shape struct {
	name       string
	start, end []byte
	tail       int          // bytes behind the end
	size       int          // 0: told by length, the end or whoever cut the packet
	length     *lengthField // nil: fixed or open
	open       bool         // its end tells the size; without one it is a whole packet
	sum        *sum
	need       []constant
	blank      *RangeDescription
	least      int // bytes of the smallest frame
	limit      int // of the largest
	readings   []reading
	answers    []answer
	example    []byte
}

type lengthField struct {
	at, width, add int
	little         bool
	allowed        []int
	max            int
}

// constant is bytes that must stand at an offset.
type constant struct {
	at    int
	bytes []byte
}

// place is a field at an offset.
type place struct {
	field.Field
	at   int
	rest bool // it reaches up to the checksum or end
}

// bytes gives the field's bytes; nil when the frame is too short for it.
func (p *place) bytes(frame []byte) []byte {
	at := p.at
	if at < 0 {
		at += len(frame)
	}
	if at < 0 || at+p.Width > len(frame) {
		return nil
	}
	return frame[at : at+p.Width]
}

// read gives the field's value; the zero Value when it is absent.
func (p *place) read(frame []byte) devices.Value {
	b := p.bytes(frame)
	if b == nil {
		return devices.Value{}
	}
	return p.Read(b)
}

// of gives the field's value in a frame of a shape.
func (p *place) of(s *shape, frame []byte) devices.Value {
	if !p.rest {
		return p.read(frame)
	}
	return p.Read(frame[min(p.at, len(frame)):max(min(p.at, len(frame)), s.body(len(frame)))])
}

// put writes v into frame; ok is false when that can't be done.
func (p *place) put(frame []byte, v devices.Value) (ok bool) {
	b := p.bytes(frame)
	return b != nil && p.Put(b, v)
}

// reading is one field of a shape that is measured.
type reading struct {
	place
	name    string
	again   bool // another reading of this shape has the same name
	row     bool // one of a row, which ends where the checksum or the end begins
	lengths []int
	bytes   []constant
	wander  *RangeOfSimulated
}

// answer is one meaning of a shape: what a command is answered with.
type answer struct {
	place
	command string
	plain   bool // no value is told back
	need    []constant
	example []byte
}

type verdict = stream.Verdict

const (
	no    = stream.No
	more  = stream.More
	bad   = stream.Bad
	match = stream.Match
)

// match says whether a frame of this shape begins at b, and how long it is.
func (s *shape) match(b []byte) (size int, v verdict) {
	if k := min(len(b), len(s.start)); k < len(s.start) {
		if bytes.Equal(b, s.start[:k]) {
			return 0, more
		}
		return 0, no
	}
	if !bytes.HasPrefix(b, s.start) {
		return 0, no
	}
	if size, v = s.extent(b); v != match {
		return size, v
	}
	for i := range s.need {
		if at := s.need[i].at; at >= 0 && !s.need[i].begins(b) {
			return 0, no
		}
	}
	if len(b) < size {
		return size, more
	}
	b = b[:size]
	for i := range s.need {
		if !s.need[i].stands(b) {
			return 0, no
		}
	}
	if !bytes.HasSuffix(b[:size-s.tail], s.end) || s.sum != nil && !s.sum.holds(b) {
		return size, bad
	}
	return size, match
}

// extent gives the size of the frame that begins at b.
func (s *shape) extent(b []byte) (size int, v verdict) {
	switch {
	case s.length != nil:
		if size, v = s.length.read(b); v != match {
			return 0, v
		}
	case !s.open:
		return s.size, match
	case len(s.end) == 0:
		size = len(b)
	default:
		from := s.least - len(s.end) - s.tail
		i := -1
		if len(b) > from {
			i = bytes.Index(b[from:min(len(b), s.limit)], s.end)
		}
		if i < 0 && len(b) < s.limit {
			return 0, more
		}
		if size = from + i + len(s.end) + s.tail; i < 0 {
			return 0, no
		}
	}
	if size < s.least || size > s.limit {
		return 0, no
	}
	return size, match
}

// read gives the size of the frame that begins at b.
func (l *lengthField) read(b []byte) (size int, v verdict) {
	if len(b) < l.at+l.width {
		return 0, more
	}
	n := l.value(b)
	if l.allowed != nil && !slices.Contains(l.allowed, n) || l.allowed == nil && n > l.max {
		return 0, no
	}
	return n + l.add, match
}

func (l *lengthField) value(b []byte) int {
	n := int(b[l.at])
	switch {
	case l.width == 1:
	case l.little:
		n |= int(b[l.at+1]) << 8
	default:
		n = n<<8 | int(b[l.at+1])
	}
	return n
}

// begins reports whether the part of b that is there may hold the constant.
func (c *constant) begins(b []byte) bool {
	if c.at >= len(b) {
		return true
	}
	have := b[c.at:min(len(b), c.at+len(c.bytes))]
	return bytes.Equal(have, c.bytes[:len(have)])
}

// stands reports whether a whole frame holds the constant.
func (c *constant) stands(frame []byte) bool {
	at := c.at
	if at < 0 {
		at += len(frame)
	}
	return at >= 0 && at+len(c.bytes) <= len(frame) && bytes.Equal(frame[at:at+len(c.bytes)], c.bytes)
}

// put writes the constant into frame.
func (c *constant) put(frame []byte) {
	at := c.at
	if at < 0 {
		at += len(frame)
	}
	if at >= 0 && at <= len(frame) {
		copy(frame[at:], c.bytes)
	}
}

// applies reports whether the reading is in this frame.
func (r *reading) applies(s *shape, frame []byte) bool {
	if r.lengths != nil && (s.length == nil || !slices.Contains(r.lengths, s.length.value(frame))) {
		return false
	}
	for i := range r.bytes {
		if !r.bytes[i].stands(frame) {
			return false
		}
	}
	return true
}

// isBlank reports whether the frame says that nothing was measured.
func (s *shape) isBlank(frame []byte) bool {
	if s.blank == nil {
		return false
	}
	from, to := s.blank.From, s.blank.To
	if to <= 0 {
		to += len(frame)
	}
	for _, x := range frame[min(from, len(frame)):max(from, min(to, len(frame)))] {
		if x != 0 {
			return false
		}
	}
	return true
}

// read appends the frame's readings.
func (s *shape) read(frame []byte, to []devices.Reading) []devices.Reading {
	if s.isBlank(frame) {
		return to
	}
	for i := range s.readings {
		r := &s.readings[i]
		if !r.applies(s, frame) {
			continue
		}
		v := r.of(s, frame)
		if v.Kind() == devices.None || r.row && r.at+r.Width > s.body(len(frame)) || r.again && slices.ContainsFunc(to, func(x devices.Reading) bool { return x.Name == r.name }) {
			continue
		}
		to = append(to, devices.Reading{Name: r.name, Value: v})
	}
	return to
}

// answer finds the command that the frame answers, the one asked where several are answered alike, and the value read
// back.
func (s *shape) answer(frame []byte, asked string) (command string, v devices.Value) {
	for i := range s.answers {
		a := &s.answers[i]
		if command != "" && a.command != asked || slices.ContainsFunc(a.need, func(c constant) bool { return !c.stands(frame) }) {
			continue
		}
		if command, v = a.command, (devices.Value{}); !a.plain {
			v = a.of(s, frame)
		}
	}
	return command, v
}

// body gives where a frame's checksum or end begins, whichever is first.
func (s *shape) body(n int) int {
	end := n - len(s.end) - s.tail
	if s.sum != nil {
		if _, _, at, ok := s.sum.place(n); ok {
			end = min(end, at)
		}
	}
	return end
}
