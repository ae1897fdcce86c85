// SPDX-License-Identifier: Apache-2.0

package line

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"edged/devices"
)

// number is what counts as a number in lines: digits with a point, a sign and an exponent, nothing else.
const number = `[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`

// patternFormat reads lines by an expression with named groups: regex, and template as one.
type patternFormat struct {
	re      *regexp.Regexp
	names   []string // by group; "": not a reading
	numbers bool     // only numbers match, so what they hold is none of scalar's guesses
	sample  []string // of a template: its parts, literal and name in turn
	steps   *steps   // of a template that needs no expression
}

// newTemplate understands "T={temperature},H={humidity}". Braces are doubled to stand for themselves.
func newTemplate(text string) (format, error) {
	var faults devices.Faults
	var expr, literal strings.Builder
	f := &patternFormat{names: []string{""}, numbers: true}
	expr.WriteString(`^`)
	flush := func() {
		expr.WriteString(regexp.QuoteMeta(literal.String()))
		f.sample = append(f.sample, literal.String())
		literal.Reset()
	}
	last := ""
	for i := 0; i < len(text); i++ {
		double := i+1 < len(text) && text[i+1] == text[i]
		switch c := text[i]; {
		case (c == '{' || c == '}') && double:
			literal.WriteByte(c)
			i++
		case c == '}':
			faults.Add("parse", "at character %d: } without {; write }} for one that is in the line", i+1)
		case c == '{':
			name, _, ok := strings.Cut(text[i+1:], "}")
			if !ok {
				faults.Add("parse", "at character %d: { is never closed; write {{ for one that is in the line", i+1)
				name = text[i+1:]
			}
			if last == "}" && literal.Len() == 0 {
				faults.Add("parse", "at character %d: nothing stands between two values, so nothing tells where the first ends", i+1)
			}
			flush()
			f.sample = append(f.sample, name)
			if name == "" {
				expr.WriteString(`.+?`)
			} else {
				expr.WriteString(`(` + number + `)`)
				f.names = append(f.names, name)
			}
			i += len(name) + 1
			last = "}"
		default:
			literal.WriteByte(c)
		}
	}
	flush()
	expr.WriteString(`$`)
	f.steps = stepsOf(f.sample)
	return f.finish(expr.String(), faults)
}

// newRegex understands an expression with named groups.
func newRegex(text string) (format, error) {
	f := &patternFormat{}
	return f.finish(text, nil)
}

func (f *patternFormat) finish(expr string, faults devices.Faults) (format, error) {
	if len(faults) > 0 {
		return nil, faults
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		faults.Add("parse", "%v", err)
		return nil, faults
	}
	f.re = re
	if f.names == nil {
		f.names = re.SubexpNames()
	}
	checkNames(f.names, &faults)
	if !slices.ContainsFunc(f.names, func(n string) bool { return n != "" }) {
		faults.Add("parse", "names no value: write {NAME} in a template, (?P<NAME>…) in an expression")
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return f, nil
}

func (f *patternFormat) parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome) {
	if f.steps != nil {
		return f.steps.parse(line, to)
	}
	m := f.re.FindSubmatchIndex(line)
	if m == nil {
		return to, unmatched
	}
	for i, name := range f.names {
		if name == "" || m[2*i] < 0 {
			continue
		}
		to = put(to, name, scalar(string(line[m[2*i]:m[2*i+1]]), f.numbers))
	}
	return to, matched
}

// exact is where integers end to be exact in a number.
const exact = 1 << 53

// scalar reads a word of a line: a number, true or false, else a string. Nothing, null, nan and inf are not measured. A whole number with
// more digits than a number can keep, such as that of a tag, stays a string unless only numbers are wanted.
func scalar(s string, number bool) devices.Value {
	switch strings.ToLower(s) {
	case "", "null", "nan", "inf", "-inf":
		return devices.Value{}
	case "true":
		return devices.Flag(true)
	case "false":
		return devices.Flag(false)
	}
	x, ok := parseNumber(s)
	if number && !ok { // beyond what a number can be
		return devices.Value{}
	}
	if !ok || !number && (x >= exact || x <= -exact) && strings.Trim(s, "+-0123456789") == "" {
		return devices.Str(s)
	}
	return devices.Num(x)
}

// parseNumber reads what number describes.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "+-.0123456789eE") != "" { // nothing of what else ParseFloat knows: inf, nan, hexadecimal, 1_000
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil
}
