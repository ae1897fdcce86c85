// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"strconv"
	"strings"

	"edged/devices"
)

// line is one of a telegram or data block: an OBIS code and what stands in brackets behind it.
type line struct {
	medium  int    // A of A-B:C.D.E; 1 where it is not told
	channel int    // B
	code    string // C.D.E, with .0 where E is not told
	values  []string
}

// parseLine reads "1-0:1.8.0*255(000123.456*kWh)", the parts before the colon and after E being left out by some; ok is
// false when it is no such line.
func parseLine(s string) (l line, ok bool) {
	code, rest, found := strings.Cut(s, "(")
	if !found || !strings.HasSuffix(rest, ")") || len(code) > 24 {
		return l, false
	}
	l.values = strings.Split(strings.TrimSuffix(rest, ")"), ")(")
	l.medium = 1
	if before, after, has := strings.Cut(code, ":"); has {
		a, b, _ := strings.Cut(before, "-")
		var err, err2 error
		l.medium, err = strconv.Atoi(a)
		l.channel, err2 = strconv.Atoi(b)
		if err != nil || err2 != nil {
			return l, false
		}
		code = after
	}
	code, _, _ = strings.Cut(code, "*")
	code, _, _ = strings.Cut(code, "&")
	parts := strings.Split(code, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return l, false
	}
	if len(parts) == 2 {
		parts = append(parts, "0")
	}
	l.code = strings.Join(parts, ".")
	return l, true
}

// quantity reads "000123.456*kWh"; ok is false when it is no number with a unit.
func quantity(s string) (x float64, unit string, ok bool) {
	number, unit, ok := strings.Cut(s, "*")
	if !ok || strings.Trim(number, "+-.0123456789") != "" {
		return 0, "", false
	}
	x, err := strconv.ParseFloat(number, 64)
	return x, unit, err == nil
}

// read appends what a line of electricity says.
func (b book) read(l line, to []devices.Reading) []devices.Reading {
	o, known := b[l.code]
	if !known || l.medium > 1 || len(l.values) == 0 {
		return to
	}
	x, unit, ok := quantity(l.values[len(l.values)-1])
	if !ok {
		if x, unit, ok = bare(l.values[len(l.values)-1], o); !ok {
			return to
		}
	}
	if r, ok := o.reading(x, unit); ok {
		return put(to, r)
	}
	return to
}

// bare reads a number without a unit, of what has none.
func bare(s string, o object) (x float64, unit string, ok bool) {
	if o.Unit != "" || strings.Trim(s, "+-.0123456789") != "" {
		return 0, "", false
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, "", err == nil
}
