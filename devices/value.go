// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// Kind says what a Value holds.
type Kind uint8

// The kinds of values. None is the zero Value: not measured; decoders never emit it.
const (
	None Kind = iota
	Number
	Bool
	String
)

// Value is a number, a boolean or a string. It is small, comparable and copied freely.
type Value struct {
	kind Kind
	num  float64 // of Bool: 0 or 1
	str  string
}

// Num makes a number. What is no number (NaN, infinity) becomes the zero Value, not measured.
func Num(x float64) Value {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return Value{}
	}
	return Value{kind: Number, num: x + 0} // + 0: there is no negative zero
}

// Flag makes a boolean.
func Flag(b bool) Value {
	v := Value{kind: Bool}
	if b {
		v.num = 1
	}
	return v
}

// Str makes a string. It should be UTF-8; what is not is replaced by U+FFFD when it is written.
func Str(s string) Value { return Value{kind: String, str: s} }

// ValueOf makes a Value of what a JSON or TOML decoder gives for a scalar; ok is false for anything else.
func ValueOf(x any) (v Value, ok bool) {
	switch x := x.(type) {
	case float64:
		v = Num(x)
	case int64:
		v = Num(float64(x))
	case int:
		v = Num(float64(x))
	case bool:
		v = Flag(x)
	case string:
		v = Str(x)
	}
	return v, v.kind != None
}

// Kind tells what v holds.
func (v Value) Kind() Kind { return v.kind }

// Float gives the number; ok is false when v is none.
func (v Value) Float() (x float64, ok bool) { return v.num, v.kind == Number }

// Truth gives the boolean; ok is false when v is none.
func (v Value) Truth() (b, ok bool) { return v.num != 0, v.kind == Bool }

// Text gives the string; ok is false when v is none.
func (v Value) Text() (s string, ok bool) { return v.str, v.kind == String }

// String writes v for people: a string as it is, the others as in JSON.
func (v Value) String() string {
	if v.kind == String {
		return v.str
	}
	return string(v.AppendJSON(nil))
}

// MarshalJSON writes v as AppendJSON does.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// AppendJSON appends v as JSON: the shortest digits that give the same number, below 1e21 never in exponent form,
// integers exact to 2^53. The zero Value, which is never published, is null.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case Number:
		if math.Abs(v.num) < 1e21 {
			return strconv.AppendFloat(b, v.num, 'f', -1, 64)
		}
		return strconv.AppendFloat(b, v.num, 'e', -1, 64)
	case Bool:
		return strconv.AppendBool(b, v.num != 0)
	case String:
		return appendQuoted(b, v.str)
	}
	return append(b, "null"...)
}

// appendQuoted appends s as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// AppendObject appends readings as a JSON object in their order.
func AppendObject(b []byte, readings []Reading) []byte {
	b = append(b, '{')
	for i, r := range readings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, r.Name)
		b = append(b, ':')
		b = r.Value.AppendJSON(b)
	}
	return append(b, '}')
}
