// SPDX-License-Identifier: Apache-2.0

// Package field reads values out of the bytes of a device and writes them into some: types, byte orders, scales, bits
// and tables of meanings, as descriptions give them.
package field

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"edged/devices"
)

// Field is how a value is read from its bytes. It is made by Description.Field, shared and never changed.
type Field struct {
	form   form
	name   string // of the type
	Width  int    // bytes
	order  order
	linear devices.Linear
	bit    int // -1: the whole number
	values map[int64]devices.Value
	absent []int64
}

// form is the family of a type.
type form uint8

const (
	unknown  form = iota
	unsigned      // u8 … u64
	signed        // s8 … s64
	float         // f32, f64
	bcd           // decimal digits, two in a byte
	ascii10       // a number in decimal digits
	ascii16       // a number in hexadecimal digits
	bytes         // any bytes, as hexadecimal digits
	text
	date
)

// order is how the bytes of a number follow each other.
type order uint8

const (
	big order = iota
	little
	swapped    // words little, bytes in them big: CDAB
	byteSwap   // words big, bytes in them little: BADC
	orderCount // beyond them: not known
)

// Number reports whether the field holds a whole number, of which one may take bits and give meanings.
func (f *Field) Number() bool {
	return slices.Contains([]form{unsigned, signed, bcd, ascii10, ascii16}, f.form)
}

// Scaled reports whether numbers are scaled, so that a value to be written may have digits behind the point.
func (f *Field) Scaled() bool { return f.linear != (devices.Linear{}) || f.form == float }

// Read gives the value of exactly Width bytes; the zero Value when it is absent.
func (f *Field) Read(b []byte) devices.Value {
	switch f.form {
	case unsigned, signed:
		return f.meaning(f.whole(b))
	case float:
		return f.float(f.number(b))
	case bcd, ascii10, ascii16:
		n, ok := f.digits(b)
		if !ok {
			return devices.Value{}
		}
		return f.meaning(n)
	case bytes:
		return devices.Str(hex.EncodeToString(b))
	case text:
		return f.text(b)
	case date:
		return devices.Str(fmt.Sprintf("20%02d-%02d-%02d", b[0], b[1], b[2]))
	}
	return devices.Value{}
}

// meaning gives the value that a whole number stands for.
func (f *Field) meaning(n int64) devices.Value {
	switch {
	case f.absent != nil && slices.Contains(f.absent, n):
		return devices.Value{}
	case f.bit >= 0:
		return devices.Flag(n>>f.bit&1 == 1)
	case f.values != nil:
		return f.values[n]
	}
	x := float64(n)
	if f.form == unsigned && f.Width == 8 {
		x = float64(uint64(n))
	}
	return devices.Num(f.linear.Apply(x))
}

func (f *Field) float(bits uint64) devices.Value {
	x := math.Float64frombits(bits)
	if f.Width == 4 {
		x = devices.Shortest32(math.Float32frombits(uint32(bits)))
	}
	return devices.Num(f.linear.Apply(x))
}

// text gives what is left of spaces and zeros; no value when that is no text, or nothing.
func (f *Field) text(b []byte) devices.Value {
	padding := func(x byte) bool { return x == ' ' || x == 0 || x == 0xff }
	for len(b) > 0 && padding(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && padding(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	s := string(b)
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return devices.Value{}
	}
	return devices.Str(s)
}

// whole gives the number of unsigned and signed, whose upper bits are those of a sign.
func (f *Field) whole(b []byte) int64 {
	n := f.number(b)
	if f.form == unsigned {
		return int64(n)
	}
	shift := 64 - 8*f.Width
	return int64(n<<shift) >> shift
}

// number gives the bytes in their order.
func (f *Field) number(b []byte) uint64 {
	var n uint64
	switch {
	case f.Width == 2 && f.order == big:
		return uint64(b[0])<<8 | uint64(b[1])
	case f.order == big:
		for _, x := range b {
			n = n<<8 | uint64(x)
		}
	case f.order == little:
		for i := len(b) - 1; i >= 0; i-- {
			n = n<<8 | uint64(b[i])
		}
	default:
		for i := range b {
			n = n<<8 | uint64(b[f.order.index(i, len(b))])
		}
	}
	return n
}

// index tells where the i-th most significant of n bytes stands.
func (o order) index(i, n int) int {
	switch o {
	case little:
		return n - 1 - i
	case swapped:
		return n - 2 - i&^1 + i&1
	case byteSwap:
		return i ^ 1
	}
	return i
}

// digits reads the number of a bcd or ascii field; ok is false when it holds something else.
func (f *Field) digits(b []byte) (n int64, ok bool) {
	if f.form == bcd {
		for i := range b {
			x := b[f.order.index(i, len(b))]
			if x>>4 > 9 || x&15 > 9 {
				return 0, false
			}
			n = n*100 + int64(x>>4)*10 + int64(x&15)
		}
		return n, true
	}
	base, negative := int64(10), false
	if f.form == ascii16 {
		base = 16
	}
	for i, x := range b {
		d := int64(digit(x))
		switch {
		case x == ' ' && !ok: // before the first digit
		case x == '-' && base == 10 && !ok && !negative:
			negative = true
		case d >= base || n > math.MaxInt64/base-base:
			return 0, false
		default:
			n, ok = n*base+d, i >= 0
		}
	}
	if negative {
		n = -n
	}
	return n, ok
}

// digit gives the value of a hexadecimal digit; 255 for anything else.
func digit(x byte) byte {
	switch {
	case '0' <= x && x <= '9':
		return x - '0'
	case 'a' <= x && x <= 'f':
		return x - 'a' + 10
	case 'A' <= x && x <= 'F':
		return x - 'A' + 10
	}
	return 255
}
