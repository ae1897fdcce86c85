// SPDX-License-Identifier: Apache-2.0

package field

import (
	"slices"
	"strconv"
	"strings"

	"edged/devices"
)

// Description is a field as a file tells it, with the file's keys.
type Description struct {
	Type   string         `toml:"type"`  // u8 … u64, s8 … s64, f32, f64; bcd, ascii10, ascii16, hex, text (of len bytes); date (year-2000, month, day)
	Order  string         `toml:"order"` // "big" (ABCD, the default), "little" (DCBA), "cdab", "badc"
	Len    int            `toml:"len"`
	Scale  *float64       `toml:"scale"`
	Offset float64        `toml:"offset"` // value = number × scale + offset, exact in decimal
	Bit    *int           `toml:"bit"`    // this bit of the number, as a boolean
	Map    map[string]any `toml:"map"`    // number = value; a number that is not listed gives no value
	Absent []int64        `toml:"absent"` // numbers that mean "not measured"
}

// Field understands the description; or is the type where it names none. Faults are those of keys below key.
func (d *Description) Field(key, or string, faults *devices.Faults) Field {
	kind := d.Type
	if kind == "" {
		kind = or
	}
	f := kindOf(kind, d.Len)
	f.order, f.bit, f.absent = orderOf(d.Order), -1, d.Absent
	switch {
	case f.form == unknown:
		faults.Add(key+".type", "%q is not known; possible: %s", kind, devices.QuoteAll(Types()))
	case f.Width == 0:
		faults.Add(key+".len", "type %q needs its number of bytes", kind)
	case f.Width > 255 || f.form != bytes && f.form != text && f.Width > 18:
		faults.Add(key+".len", "%d bytes are too many", d.Len)
	}
	if f.order == orderCount || f.order > little && f.Width%2 != 0 {
		faults.Add(key+".order", "%q is not known; possible: %s", d.Order, `"big", "little", "cdab", "badc"`)
	}
	scale := 1.0
	if d.Scale != nil {
		if scale = *d.Scale; scale == 0 {
			faults.Add(key+".scale", "must not be 0")
		}
	}
	f.linear = devices.NewLinear(scale, d.Offset)
	if !f.Number() && f.form != unknown && (d.Bit != nil || d.Map != nil || d.Absent != nil) {
		faults.Add(key+".type", "bit, map and absent need a whole number, not %q", kind)
	}
	if d.Bit != nil {
		if f.bit = *d.Bit; f.bit < 0 || f.bit >= 8*f.Width {
			faults.Add(key+".bit", "there is no bit %d in %s", f.bit, kind)
		}
	}
	if d.Map != nil {
		f.values = meanings(key+".map", d.Map, faults)
	}
	return f
}

// Types names the types.
func Types() []string {
	return []string{
		"u8", "s8", "u16", "s16", "u24", "s24", "u32", "s32", "u64", "s64", "f32", "f64",
		"bcd", "ascii10", "ascii16", "hex", "text", "date",
	}
}

// kindOf gives the form and width of a type.
func kindOf(kind string, length int) Field {
	f := Field{name: kind}
	switch kind {
	case "bcd":
		f.form, f.Width = bcd, length
	case "ascii10":
		f.form, f.Width = ascii10, length
	case "ascii16":
		f.form, f.Width = ascii16, length
	case "hex":
		f.form, f.Width = bytes, length
	case "text":
		f.form, f.Width = text, length
	case "date":
		f.form, f.Width = date, 3
	default:
		if !slices.Contains(Types(), kind) {
			return f
		}
		bits, _ := strconv.Atoi(kind[1:]) // digits: it is one of Types
		f.form, f.Width = map[byte]form{'u': unsigned, 's': signed, 'f': float}[kind[0]], bits/8
	}
	return f
}

func orderOf(s string) order {
	switch strings.ToLower(s) {
	case "", "big", "abcd":
		return big
	case "little", "dcba":
		return little
	case "cdab":
		return swapped
	case "badc":
		return byteSwap
	}
	return orderCount
}

// meanings reads a table of number = value.
func meanings(key string, table map[string]any, faults *devices.Faults) map[int64]devices.Value {
	out := map[int64]devices.Value{}
	for text, x := range table {
		n, err := strconv.ParseInt(text, 0, 64)
		v, ok := devices.ValueOf(x)
		if err != nil || !ok {
			faults.Add(key, "%s = %v: must be a whole number and its value", text, x)
		}
		out[n] = v
	}
	return out
}
