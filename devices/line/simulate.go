// SPDX-License-Identifier: Apache-2.0

package line

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/devices"
)

const linePeriod = time.Second

// lineSimulator is a sensor that writes a line each second in the format of its options.
type lineSimulator struct {
	parts  []linePart
	wander devices.Wander
	next   time.Time

	start, end string
}

// linePart is fixed text, or a value where name is set.
type linePart struct {
	text, name string
	only       *regexp.Regexp // what the value must look like, else text stands instead; nil: any number
}

func newLineSimulator(o devices.Options, seed uint64) (devices.Simulator, error) {
	f, err := newFormat(o)
	if err != nil {
		return nil, err
	}
	s := &lineSimulator{wander: devices.Wander{Seed: seed}, start: o.Text("start", ""), end: o.Text("end", "\r\n")}
	switch f := f.(type) {
	case *patternFormat:
		if s.parts, err = f.parts(); err != nil {
			return nil, err
		}
	case *csvFormat:
		names := f.names
		if !f.fixed {
			names = []string{"temperature", "humidity"}
		}
		s.parts = enumerate(names, string(f.separator), func(string) string { return "" })
	case kvFormat:
		s.parts = enumerate([]string{"temperature", "humidity"}, " ", func(name string) string { return name + "=" })
	case *jsonFormat:
		s.parts = enumerate([]string{"temperature", "humidity"}, ",", func(name string) string { return `"` + name + `":` })
		s.parts = append(append([]linePart{{text: "{"}}, s.parts...), linePart{text: "}"})
	}
	return s, nil
}

// enumerate gives one value for each name, and 0 for a column without one.
func enumerate(names []string, separator string, before func(name string) string) []linePart {
	var parts []linePart
	for i, name := range names {
		if i > 0 {
			parts = append(parts, linePart{text: separator})
		}
		parts = append(parts, linePart{text: before(name)}, linePart{text: "0", name: name})
	}
	return parts
}

// Tick writes a line each period.
func (s *lineSimulator) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	switch {
	case s.next.IsZero():
		s.next = now.Add(linePeriod)
	case !now.Before(s.next):
		out = s.line(out)
		if s.next = s.next.Add(linePeriod); !s.next.After(now) { // nobody called for long
			s.next = now.Add(linePeriod)
		}
	}
	return out, s.next
}

// Receive hears nothing.
func (*lineSimulator) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }

func (s *lineSimulator) line(out []byte) []byte {
	out = append(out, s.start...)
	for i, p := range s.parts {
		text := p.text
		if p.name != "" {
			low, high := plausible(p.name)
			x := s.wander.Between(low, high, i)
			for _, digits := range []int{1, 0} {
				if v := strconv.FormatFloat(x, 'f', digits, 64); p.only == nil || p.only.MatchString(v) {
					text = v
					break
				}
			}
		}
		out = append(out, text...)
	}
	s.wander.N++
	return append(out, s.end...)
}

// plausible is a range for a reading of this name.
func plausible(name string) (low, high float64) {
	for _, known := range []struct {
		part      string
		low, high float64
	}{
		{"temp", 20, 24},
		{"hum", 40, 60},
		{"press", 1005, 1020},
		{"co2", 450, 900},
		{"volt", 11.8, 12.6},
	} {
		if strings.Contains(name, known.part) {
			return known.low, known.high
		}
	}
	return 10, 90
}

// parts makes lines that match: a template's own parts, or what is built after an expression.
func (f *patternFormat) parts() ([]linePart, error) {
	if f.sample != nil {
		var parts []linePart
		for i, text := range f.sample {
			p := linePart{text: text}
			if i%2 == 1 {
				p = linePart{text: "0", name: text}
			}
			parts = append(parts, p)
		}
		return parts, nil
	}
	tree, err := syntax.Parse(f.re.String(), syntax.Perl)
	if err != nil {
		return nil, err
	}
	parts := after(tree.Simplify(), nil)
	s := lineSimulator{parts: parts, end: "\r\n"}
	if line := s.line(nil); !f.re.Match(line[:len(line)-2]) {
		return nil, errors.New("no line can be made up that this expression matches: it can't be simulated")
	}
	return parts, nil
}

// after builds text that an expression matches, the shortest where it can repeat.
func after(re *syntax.Regexp, to []linePart) []linePart {
	switch re.Op {
	case syntax.OpLiteral:
		return append(to, linePart{text: string(re.Rune)})
	case syntax.OpCharClass:
		return append(to, linePart{text: string(oneOf(re.Rune))})
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return append(to, linePart{text: "x"})
	case syntax.OpCapture:
		inner := after(re.Sub[0], nil)
		only, err := regexp.Compile("^(?:" + re.Sub[0].String() + ")$")
		if re.Name == "" || err != nil {
			return append(to, inner...)
		}
		text := ""
		for _, p := range inner {
			text += p.text
		}
		return append(to, linePart{text: text, name: re.Name, only: only})
	case syntax.OpPlus, syntax.OpAlternate:
		return after(re.Sub[0], to)
	case syntax.OpRepeat:
		for range re.Min {
			to = after(re.Sub[0], to)
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			to = after(sub, to)
		}
	}
	return to
}

// oneOf picks a character of a class, which is pairs of first and last.
func oneOf(class []rune) rune {
	for _, want := range "1aA x" {
		for pair := range slices.Chunk(class, 2) {
			if pair[0] <= want && want <= pair[1] {
				return want
			}
		}
	}
	if len(class) == 0 {
		return ' '
	}
	return class[0]
}
