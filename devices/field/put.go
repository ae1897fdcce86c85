// SPDX-License-Identifier: Apache-2.0

package field

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"edged/devices"
)

// Put writes v into exactly Width bytes, the reverse of Read; ok is false when that can't be done. A number that the
// type can't hold becomes the nearest that it can.
func (f *Field) Put(b []byte, v devices.Value) (ok bool) {
	switch f.form {
	case bytes, text, date:
		return f.putString(b, v)
	case float:
		x, ok := v.Float()
		x = f.linear.Revert(x)
		bits := math.Float64bits(x)
		if f.Width == 4 {
			bits = uint64(math.Float32bits(float32(x)))
		}
		f.putNumber(b, bits)
		return ok
	}
	n, ok := f.raw(b, v)
	if !ok {
		return false
	}
	switch f.form {
	case bcd:
		for i := len(b) - 1; i >= 0; i-- {
			b[f.order.index(i, len(b))] = byte(n/10%10<<4 | n%10)
			n /= 100
		}
	case ascii10:
		copy(b, fmt.Sprintf("%0*d", f.Width, n))
	case ascii16:
		copy(b, fmt.Sprintf("%0*X", f.Width, n))
	default:
		f.putNumber(b, uint64(n))
	}
	return true
}

// raw finds the whole number that stands for v.
func (f *Field) raw(b []byte, v devices.Value) (n int64, ok bool) {
	if f.bit >= 0 {
		on, ok := v.Truth()
		if n = f.whole(b) &^ (1 << f.bit); on {
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
	low, high := f.Range()
	return int64(min(max(f.linear.Invert(x), low), high)), ok
}

func (f *Field) putString(b []byte, v devices.Value) bool {
	s, ok := v.Text()
	switch f.form {
	case bytes:
		raw, err := hex.DecodeString(s)
		return ok && err == nil && len(raw) == len(b) && copy(b, raw) == len(b)
	case text:
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

func (f *Field) putNumber(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[f.order.index(i, len(b))] = byte(n)
		n >>= 8
	}
}

// Range gives the least and the greatest whole number that the type can hold; of a number of 64 bits, what a float64
// keeps exactly.
func (f *Field) Range() (low, high float64) {
	switch f.form {
	case signed:
		x := math.Pow(2, float64(min(8*f.Width-1, 53)))
		return -x, x - 1
	case unsigned:
		return 0, math.Pow(2, float64(min(8*f.Width, 53))) - 1
	case bcd:
		return 0, min(math.Pow10(2*f.Width), 1<<53) - 1
	case ascii10:
		return 0, min(math.Pow10(f.Width), 1<<53) - 1
	case ascii16:
		return 0, math.Pow(2, float64(min(4*f.Width, 53))) - 1
	}
	return -math.MaxFloat32, math.MaxFloat32
}

// Limits gives the least and the greatest value that can be written.
func (f *Field) Limits() (low, high float64) {
	low, high = f.Range()
	if f.form == float {
		return low, high
	}
	low, high = f.linear.Apply(low), f.linear.Apply(high)
	return min(low, high), max(low, high)
}
