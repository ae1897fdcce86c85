// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"edged/devices"
	"edged/devices/frame"
	"edged/devices/modbus"
)

// Test is a known answer of a description.
type Test = devices.TestDescription

// Problem is something wrong with a description, with its place in the file.
type Problem struct {
	File         string
	Line, Column int    // 1-based; 0: concerns the file as a whole
	Key          string // "reading.at"; "" for a fault of the file's syntax
	Text         string
	Code         string // one of the codes below; "" of a known answer that comes out otherwise
}

// The codes of what is wrong with a description, as of the configuration.
const (
	syntaxCode  = "E500"
	unknownCode = "E501"
	typeCode    = "E502"
	valueCode   = "E503"
	twiceCode   = "E504"
)

// Error writes it as file:line:column: key: problem.
func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Key == "" {
		return where + ": " + p.Text
	}
	return where + ": " + p.Key + ": " + p.Text
}

// ParseDescription makes a driver of a description file, and gives its known answers. It is strict: unknown keys,
// wrong types and impossible values are errors. All are reported at once as joined Problems, but one of syntax or
// type comes alone.
func ParseDescription(file string, text []byte) (*devices.Driver, []Test, error) {
	l := locate(string(text))
	var head devices.Head
	if _, err := decode(string(text), &head); err != nil {
		return nil, nil, syntaxProblem(file, l, err)
	}
	d, ok := protocols()[head.Protocol]
	if !ok {
		d = &unknown{}
	}
	md, err := decode(string(text), d)
	if err != nil {
		return nil, nil, syntaxProblem(file, l, err)
	}
	problems := unknownKeys(file, l, md, d)
	driver, err := d.Driver()
	if faults := devices.Faults(nil); errors.As(err, &faults) {
		for _, f := range faults {
			at := l.find(f.Key)
			problems = append(problems, Problem{file, at.line, at.column, withoutIndex(f.Key), f.Problem, valueCode})
		}
	}
	if len(problems) == 0 {
		return driver, head.Test, nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	all := make([]error, len(problems))
	for i, p := range problems {
		all[i] = p
	}
	return nil, nil, errors.Join(all...)
}

// description is what a file tells, in the words of its protocol.
type description interface {
	Driver() (*devices.Driver, error)
}

// protocols are the kinds of descriptions by the name that the key protocol gives.
func protocols() map[string]description {
	return map[string]description{"frame": &frame.Description{}, "modbus": &modbus.Description{}}
}

// unknown is a description whose protocol nobody knows.
type unknown struct{ frame.Description }

// Driver says which protocols there are.
func (u *unknown) Driver() (*devices.Driver, error) {
	names := slices.Sorted(maps.Keys(protocols()))
	_, err := u.Description.Driver()
	faults, _ := err.(devices.Faults)
	faults.Add("protocol", "%q is not known; possible: %s", u.Protocol, devices.QuoteAll(names))
	return nil, faults
}

// unknownKeys finds keys that the description does not have.
func unknownKeys(file string, l *locator, md toml.MetaData, d description) (problems []Problem) {
	seen := map[string]int{}
	for _, key := range md.Undecoded() { // each once for every table that has it, without saying which
		name := key.String()
		var at place
		if places := l.all[name]; seen[name] < len(places) {
			at = places[seen[name]]
		}
		seen[name]++
		problems = append(problems, Problem{file, at.line, at.column, name, "unknown key" + suggestion(key[len(key)-1], d), unknownCode})
	}
	return problems
}

// decode reads a description. A panic of the library, which a file must not be able to cause, becomes an error.
func decode(text string, to any) (md toml.MetaData, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not understood: %v", p)
		}
	}()
	return toml.Decode(text, to)
}

// syntaxProblem gives the place of an error of the library, which tells it in its text alone where a type is wrong.
func syntaxProblem(file string, l *locator, err error) error {
	var pe toml.ParseError
	if errors.As(err, &pe) {
		text := pe.Message
		if text == "" {
			text = strings.TrimPrefix(pe.Error(), "toml: ")
		}
		return Problem{File: file, Line: pe.Position.Line, Column: pe.Position.Col, Text: text, Code: syntaxCode}
	}
	text := strings.TrimPrefix(err.Error(), "toml: ")
	m := regexp.MustCompile(`^line (\d+) \(last key "(.*?)"\): (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return Problem{File: file, Text: text, Code: syntaxCode}
	}
	line, _ := strconv.Atoi(m[1]) // digits, few
	column := 1
	for _, at := range l.all[m[2]] {
		if at.line == line {
			column = at.column
		}
	}
	return Problem{file, line, column, m[2], m[3], typeCode}
}

// withoutIndex is a path for people: the line tells which element is meant.
func withoutIndex(path string) string {
	var b strings.Builder
	for path != "" {
		before, rest, _ := strings.Cut(path, "[")
		b.WriteString(before)
		_, path, _ = strings.Cut(rest, "]")
	}
	return b.String()
}
