// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"
	"strconv"
)

// shape understands one [[frame]].
func (b *builder) shape(key string, f *FrameDescription) {
	s := &shape{name: f.Name, start: b.hex(key+".start", f.Start), end: b.hex(key+".end", f.End), size: f.Size, blank: f.Blank}
	if f.Start == "" {
		b.faults.add(key+".start", "a frame must begin with known bytes")
	}
	if f.Name != "" && slices.ContainsFunc(b.p.shapes, func(x *shape) bool { return x.name == f.Name }) {
		b.faults.add(key+".name", "another frame is named %q", f.Name)
	}
	s.least, s.limit = f.Size, f.Size
	if f.Length != nil {
		b.length(key+".length", f.Length, s)
	}
	if (f.Size != 0) == (f.Length != nil) {
		b.faults.add(key, "needs either size or length")
		return
	}
	if len(s.start) == 0 || s.length != nil && s.least == 0 { // reported
		return
	}
	if s.least < len(s.start)+len(s.end) || s.limit > maxFrame || s.least > s.limit {
		b.faults.add(key, "a frame of %d to %d bytes is not possible: at least its start and end, at most %d", s.least, s.limit, maxFrame)
		return
	}
	s.sum = b.checksum(key+".checksum", f.Checksum, len(s.end), s.least)
	s.need = b.constants(key+".need", f.Need, s.limit)
	if r := f.Blank; r != nil && (r.From < 0 || r.From >= s.least || r.To > s.limit || r.To <= r.From-s.least) {
		b.faults.add(key+".blank", "does not lie within the frame")
	}
	b.p.shapes = append(b.p.shapes, s)
	s.example = b.example(key+".example", f.Example, s)
}

// example reads a frame of the shape.
func (b *builder) example(key, text string, s *shape) []byte {
	if text == "" {
		return nil
	}
	raw := b.hex(key, text)
	if size, v := s.match(raw); v != match || size != len(raw) {
		b.faults.add(key, "is not a valid frame of this shape")
	}
	return raw
}

func (b *builder) length(key string, l *LengthDescription, s *shape) {
	width := max(l.Bytes, 1)
	s.length = &lengthField{at: l.At, width: width, add: l.Add, little: b.little(key+".order", l.Order), allowed: l.Allowed, max: l.Max}
	if width > 2 {
		b.faults.add(key+".bytes", "must be 1 or 2")
	}
	if l.At < 0 || l.At > 64 {
		b.faults.add(key+".at", "must be 0 to 64")
	}
	header := max(l.At+width, len(s.start)+len(s.end))
	if (len(l.Allowed) > 0) == (l.Max > 0) {
		b.faults.add(key, "needs either the allowed values or the max one: without a bound, one wrong byte swallows many frames")
		return
	}
	s.least, s.limit = header, l.Max+l.Add
	if l.Max == 0 {
		s.least, s.limit = slices.Min(l.Allowed)+l.Add, slices.Max(l.Allowed)+l.Add
		if s.least < header {
			b.faults.add(key+".allowed", "%d is too small: the length field itself would not be in the frame", slices.Min(l.Allowed))
			s.least = 0
		}
	}
}

// field understands where a value stands in frames of a shape.
func (b *builder) field(key string, f *FieldDescription, s *shape) field {
	kind := f.Type
	if kind == "" {
		kind = "u8"
	}
	out := field{at: f.At, kind: kind, width: widthOf(kind, f.Len), little: b.little(key+".order", f.Order), bit: -1, absent: f.Absent, whole: isWhole(kind)}
	switch {
	case out.width == 0 && (kind == "hex" || kind == "text"):
		b.faults.add(key+".len", "type %q needs its number of bytes", kind)
	case out.width == 0:
		b.faults.add(key+".type", "%q is not known; possible: %s", kind,
			quoteAll([]string{"u8", "s8", "u16", "s16", "u32", "s32", "f32", "hex", "text", "date"}))
	case f.At+out.width > s.limit || f.At < -s.limit || f.At < 0 && f.At+out.width > 0:
		b.faults.add(key+".at", "does not lie within the frame of at most %d bytes", s.limit)
	}
	scale := 1.0
	if f.Scale != nil {
		scale = *f.Scale
		if scale == 0 {
			b.faults.add(key+".scale", "must not be 0")
		}
	}
	out.linear = NewLinear(scale, f.Offset)
	if !out.whole && (f.Bit != nil || f.Map != nil || f.Absent != nil) {
		b.faults.add(key+".type", "bit, map and absent need a whole number, not %q", kind)
	}
	if f.Bit != nil {
		if out.bit = *f.Bit; out.bit < 0 || out.bit >= 8*out.width {
			b.faults.add(key+".bit", "there is no bit %d in %s", out.bit, kind)
		}
	}
	if f.Map != nil {
		out.values = b.meanings(key+".map", f.Map)
	}
	return out
}

// meanings reads a table of number = value.
func (b *builder) meanings(key string, table map[string]any) map[int64]Value {
	out := map[int64]Value{}
	for text, x := range table {
		n, err := strconv.ParseInt(text, 0, 64)
		v, ok := ValueOf(x)
		if err != nil || !ok {
			b.faults.add(key, "%s = %v: must be a whole number and its value", text, x)
		}
		out[n] = v
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
		b.faults.add(key, "no frame is named %q", name)
	}
	return nil
}

// reading understands one [[reading]].
func (b *builder) reading(key string, r *ReadingDescription) {
	if !IsName(r.Name) {
		b.faults.add(key+".name", "%q is not a name: lower-case letters, digits and _", r.Name)
	}
	s := b.frame(key+".frame", r.Frame)
	if s == nil {
		return
	}
	out := reading{field: b.field(key, &r.FieldDescription, s), name: r.Name, wander: r.Simulate}
	if r.When != nil {
		out.lengths, out.bytes = r.When.Length, b.constants(key+".when.bytes", r.When.Bytes, s.limit)
		if r.When.Length != nil && s.length == nil {
			b.faults.add(key+".when.length", "the frame has no length field")
		}
	}
	if again := slices.ContainsFunc(b.infos, func(i Info) bool { return i.Name == r.Name }); !again {
		b.infos = append(b.infos, Info{
			Name: r.Name, Unit: r.Unit, Class: r.Class, Total: r.Total, Min: r.Min, Max: r.Max, Text: r.Text,
		})
	} else if r.When == nil && hasReading(s, r.Name) {
		b.faults.add(key+".name", "another reading is named %q: two of a name need different when", r.Name)
	}
	out.again = hasReading(s, r.Name)
	s.readings = append(s.readings, out)
}

func hasReading(s *shape, name string) bool {
	return slices.ContainsFunc(s.readings, func(x reading) bool { return x.name == name })
}
