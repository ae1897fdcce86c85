// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// field is where a value stands in a frame and how it is read.
type field struct {
	at     int
	kind   string
	width  int  // bytes
	whole  bool // a whole number
	little bool
	linear Linear
	bit    int // -1: the whole number
	values map[int64]Value
	absent []int64
}

// widthOf gives the bytes of a type; 0 unknown.
func widthOf(kind string, length int) int {
	switch kind {
	case "u8", "s8":
		return 1
	case "u16", "s16":
		return 2
	case "u32", "s32", "f32":
		return 4
	case "date":
		return 3
	case "hex", "text":
		return length
	}
	return 0
}

// bytes gives the field's bytes; nil when the frame is too short for it.
func (f *field) bytes(frame []byte) []byte {
	at := f.at
	if at < 0 {
		at += len(frame)
	}
	if at < 0 || at+f.width > len(frame) {
		return nil
	}
	return frame[at : at+f.width]
}

// read gives the field's value; the zero Value when it is absent.
func (f *field) read(frame []byte) Value {
	b := f.bytes(frame)
	if b == nil {
		return Value{}
	}
	if f.whole {
		return f.readWhole(b)
	}
	switch f.kind {
	case "hex":
		return Str(hex.EncodeToString(b))
	case "text":
		if !utf8.Valid(b) {
			return Value{}
		}
		return Str(strings.TrimRight(string(b), " \x00"))
	case "date":
		return Str(fmt.Sprintf("20%02d-%02d-%02d", b[0], b[1], b[2]))
	case "f32":
		x := math.Float32frombits(uint32(f.unsigned(b)))
		return Num(f.linear.Apply(shortest32(x)))
	}
	return Value{}
}

func (f *field) readWhole(b []byte) Value {
	n := f.integer(b)
	switch {
	case f.absent != nil && slices.Contains(f.absent, n):
		return Value{}
	case f.bit >= 0:
		return Flag(n>>f.bit&1 == 1)
	case f.values != nil:
		return f.values[n]
	}
	return Num(f.linear.Apply(float64(n)))
}

func (f *field) unsigned(b []byte) uint64 {
	var n uint64
	for i := range b {
		if f.little {
			n |= uint64(b[i]) << (8 * i)
		} else {
			n = n<<8 | uint64(b[i])
		}
	}
	return n
}

func (f *field) integer(b []byte) int64 {
	n := f.unsigned(b)
	if f.kind[0] != 's' {
		return int64(n)
	}
	shift := 64 - 8*len(b)
	return int64(n<<shift) >> shift
}

// put writes v into frame, the reverse of read; ok is false when that can't be done.
func (f *field) put(frame []byte, v Value) (ok bool) {
	b := f.bytes(frame)
	if b == nil {
		return false
	}
	switch f.kind {
	case "hex", "text", "date":
		return f.putString(b, v)
	case "f32":
		x, ok := v.Float()
		bits := math.Float32bits(float32((x - f.linear.offset) / cmp.Or(f.linear.scale, 1)))
		f.putWhole(b, uint64(bits))
		return ok
	}
	n, ok := f.number(b, v)
	if ok {
		f.putWhole(b, uint64(n))
	}
	return ok
}

// number finds the whole number that stands for v.
func (f *field) number(b []byte, v Value) (n int64, ok bool) {
	if f.bit >= 0 {
		on, ok := v.Truth()
		n = f.integer(b) &^ (1 << f.bit)
		if on {
			n |= 1 << f.bit
		}
		return n, ok
	}
	if f.values != nil {
		for n, x := range f.values {
			if x == v {
				return n, true
			}
		}
		return 0, false
	}
	x, ok := v.Float()
	low, high := rangeOf(f.kind)
	raw := min(max(f.linear.invert(x), low), high)
	return int64(raw), ok
}

func (f *field) putString(b []byte, v Value) bool {
	s, ok := v.Text()
	switch f.kind {
	case "hex":
		raw, err := hex.DecodeString(s)
		return ok && err == nil && len(raw) == len(b) && copy(b, raw) == len(b)
	case "text":
		clear(b)
		return ok && copy(b, s) == len(s)
	}
	for i, part := range strings.Split(strings.TrimPrefix(s, "20"), "-") {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || i >= len(b) {
			return false
		}
		b[i] = byte(n)
	}
	return ok
}

func (f *field) putWhole(b []byte, n uint64) {
	var big [8]byte
	binary.BigEndian.PutUint64(big[:], n)
	copy(b, big[8-len(b):])
	if f.little {
		slices.Reverse(b)
	}
}

// isWhole reports whether a type is a whole number.
func isWhole(kind string) bool {
	return slices.Contains([]string{"u8", "s8", "u16", "s16", "u32", "s32"}, kind)
}

// rangeOf gives what a whole type can hold.
func rangeOf(kind string) (low, high float64) {
	bits := 8 * widthOf(kind, 0)
	if kind[0] == 's' {
		return -math.Pow(2, float64(bits-1)), math.Pow(2, float64(bits-1)) - 1
	}
	return 0, math.Pow(2, float64(bits)) - 1
}
