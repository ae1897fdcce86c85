// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"slices"
	"strings"

	"edged/devices"
)

// shape understands one [[frame]].
func (b *builder) shape(key string, f *ShapeDescription) {
	s := &shape{name: f.Name, start: b.hex(key+".start", f.Start), end: b.hex(key+".end", f.End), tail: f.Tail, size: f.Size, blank: f.Blank}
	packets := b.p.packets()
	if f.Start == "" && !packets {
		b.faults.Add(key+".start", "a frame must begin with known bytes")
	}
	if f.Name != "" && slices.ContainsFunc(b.p.shapes, func(x *shape) bool { return x.name == f.Name }) {
		b.faults.Add(key+".name", "another frame is named %q", f.Name)
	}
	if f.Tail < 0 || f.Tail > 16 || f.Tail > 0 && f.End == "" {
		b.faults.Add(key+".tail", "must be 0 to 16 bytes behind an end")
		return
	}
	if !b.extent(key, f, s, packets) || len(s.start) == 0 && !packets { // reported
		return
	}
	if s.least < len(s.start)+len(s.end)+s.tail || s.limit > maxFrame || s.least > s.limit {
		b.faults.Add(key, "a frame of %d to %d bytes is not possible: at least its start and end, at most %d", s.least, s.limit, maxFrame)
		return
	}
	before := len(s.end) + s.tail
	if s.tail > 0 {
		before = 0
	}
	s.sum = b.checksum(key+".checksum", f.Checksum, before, s.least)
	s.need = b.constants(key+".need", f.Need, s.limit)
	if r := f.Blank; r != nil && (r.From < 0 || r.From >= s.least || r.To > s.limit || r.To <= r.From-s.least) {
		b.faults.Add(key+".blank", "does not lie within the frame")
	}
	b.p.shapes = append(b.p.shapes, s)
	s.example = b.example(key+".example", f.Example, s)
}

// extent reads how large the frame is; ok is false when that was reported.
func (b *builder) extent(key string, f *ShapeDescription, s *shape, packets bool) (ok bool) {
	s.least, s.limit = f.Size, f.Size
	open := f.Size == 0 && f.Length == nil && f.Max > 0 && (f.End != "" || packets)
	switch {
	case open:
		s.least, s.limit = len(s.start)+len(s.end)+s.tail, f.Max
		s.open = true
		if c := f.Checksum; c != nil && s.tail == 0 {
			if k := b.checksum(key+".checksum", c, 0, maxFrame); k != nil {
				s.least = max(len(s.start), c.From, k.at) + k.width() + len(s.end)
			}
		}
	case f.Length != nil:
		b.length(key+".length", f.Length, s)
		if s.least == 0 {
			return false
		}
	}
	if !open && (f.Size != 0) == (f.Length != nil) {
		b.faults.Add(key, "needs either size or length, or an end and max")
		return false
	}
	return true
}

// example reads a frame of the shape.
func (b *builder) example(key, text string, s *shape) []byte {
	if text == "" {
		return nil
	}
	raw := b.hex(key, text)
	if size, v := s.match(raw); v != match || size != len(raw) {
		b.faults.Add(key, "is not a valid frame of this shape")
	}
	return raw
}

func (b *builder) length(key string, l *LengthDescription, s *shape) {
	width := max(l.Bytes, 1)
	s.length = &lengthField{at: l.At, width: width, add: l.Add, little: b.little(key+".order", l.Order), allowed: l.Allowed, max: l.Max}
	if width > 2 {
		b.faults.Add(key+".bytes", "must be 1 or 2")
	}
	if l.At < 0 || l.At > 64 {
		b.faults.Add(key+".at", "must be 0 to 64")
	}
	header := max(l.At+width, len(s.start)+len(s.end)+s.tail)
	if (len(l.Allowed) > 0) == (l.Max > 0) {
		b.faults.Add(key, "needs either the allowed values or the max one: without a bound, one wrong byte swallows many frames")
		return
	}
	s.least, s.limit = max(header, l.Add), l.Max+l.Add
	if l.Max == 0 {
		s.least, s.limit = slices.Min(l.Allowed)+l.Add, slices.Max(l.Allowed)+l.Add
		if s.least < header {
			b.faults.Add(key+".allowed", "%d is too small: the length field itself would not be in the frame", slices.Min(l.Allowed))
			s.least = 0
		}
	}
}

// place understands where a value stands in frames of a shape.
func (b *builder) place(key string, f *FieldDescription, s *shape) place {
	d := f.Description
	if f.Rest {
		d.Len = 1
	}
	out := place{Field: d.Field(key, "u8", &b.faults), at: f.At, rest: f.Rest}
	if f.Rest && (d.Type != "hex" && d.Type != "text" || f.At < 0 || f.Len != 0) {
		b.faults.Add(key+".rest", "only hex and text, without len and counted from the frame's first byte, take the rest")
	}
	if w := out.Width; w > 0 && (f.At+w > s.limit || f.At < -s.limit || f.At < 0 && f.At+w > 0) {
		b.faults.Add(key+".at", "does not lie within the frame of at most %d bytes", s.limit)
	}
	return out
}

// frame finds a shape by its name.
func (b *builder) frame(key, name string) *shape {
	for _, s := range b.p.shapes {
		if name == "" || s.name == name {
			return s
		}
	}
	if len(b.p.shapes) == len(b.d.Frame) { // else a fault of the frame was reported
		b.faults.Add(key, "no frame is named %q", name)
	}
	return nil
}

// reading understands one [[reading]].
func (b *builder) reading(key string, r *ReadingDescription) {
	if !devices.IsName(numberedName(r.Name, 1)) || strings.Contains(r.Name, "{n}") != (r.Repeat != nil) {
		b.faults.Add(key+".name", "%q is not a name: lower-case letters, digits and _; {n} where it repeats", r.Name)
	}
	s := b.frame(key+".frame", r.Frame)
	if s == nil {
		return
	}
	out := reading{place: b.place(key, &r.FieldDescription, s), name: r.Name, wander: r.Simulate}
	if r.When != nil {
		out.lengths, out.bytes = r.When.Length, b.constants(key+".when.bytes", r.When.Bytes, s.limit)
		if r.When.Length != nil && s.length == nil {
			b.faults.Add(key+".when.length", "the frame has no length field")
		}
	}
	if r.Repeat != nil {
		b.repeat(key, r, out, s)
		return
	}
	b.add(key, r, out, s)
}

// repeat adds a row of readings.
func (b *builder) repeat(key string, r *ReadingDescription, one reading, s *shape) {
	step := r.Repeat.Step
	if step == 0 {
		step = one.Width
	}
	if r.Repeat.Count < 1 || r.Repeat.Count > 256 || step < 1 || one.at < 0 {
		b.faults.Add(key+".repeat", "needs a count of 1 to 256, a step of at least 1, and a place counted from the frame's first byte")
		return
	}
	for n := range r.Repeat.Count {
		x := one
		x.name, x.at, x.row = numberedName(r.Name, n+1), one.at+n*step, true
		b.add(key, r, x, s)
	}
}

func (b *builder) add(key string, r *ReadingDescription, out reading, s *shape) {
	if again := slices.ContainsFunc(b.infos, func(i devices.Info) bool { return i.Name == out.name }); !again {
		b.infos = append(b.infos, devices.Info{
			Name: out.name, Unit: r.Unit, Class: r.Class, Total: r.Total, Min: r.Min, Max: r.Max,
			Text: numberedName(r.Text, (out.at-r.At)/max(out.Width, 1)+1), Optional: r.When != nil || r.Repeat != nil,
		})
	} else if r.When == nil && hasReading(s, out.name) {
		b.faults.Add(key+".name", "another reading is named %q: two of a name need different when", out.name)
	}
	out.again = hasReading(s, out.name)
	s.readings = append(s.readings, out)
}

func hasReading(s *shape, name string) bool {
	return slices.ContainsFunc(s.readings, func(x reading) bool { return x.name == name })
}
