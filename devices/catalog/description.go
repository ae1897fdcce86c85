// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"edged/devices"
)

// Test is a known answer of a description.
type Test = devices.TestDescription

// Problem is something wrong with a description, with its place in the file.
type Problem struct {
	File         string
	Line, Column int    // 1-based; 0: concerns the file as a whole
	Key          string // "reading.at"; "" for a fault of the file's syntax
	Text         string
}

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
	d, md, err := decode(string(text))
	if err != nil {
		return nil, nil, syntaxProblem(file, err)
	}
	l := locator{text: string(text)}
	var problems []Problem
	for _, key := range md.Undecoded() {
		place, name := l.unknown(key)
		problems = append(problems, Problem{file, place.Line, place.Col, key.String(), "unknown key" + suggestion(name)})
	}
	driver, err := d.Driver()
	if faults := (devices.Faults)(nil); errors.As(err, &faults) {
		for _, f := range faults {
			place := l.find(parsePath(f.Key))
			problems = append(problems, Problem{file, place.Line, place.Col, withoutIndex(f.Key), f.Problem})
		}
	}
	if len(problems) == 0 {
		return driver, d.Test, nil
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

// decode reads a description. A panic of the library, which a file must not be able to cause, becomes an error.
func decode(text string) (d devices.Description, md toml.MetaData, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not understood: %v", p)
		}
	}()
	md, err = toml.Decode(text, &d)
	return d, md, err
}

func syntaxProblem(file string, err error) error {
	var pe toml.ParseError
	if errors.As(err, &pe) {
		text := pe.Message
		if text == "" {
			text = strings.TrimPrefix(pe.Error(), "toml: ")
		}
		return Problem{File: file, Line: pe.Position.Line, Column: pe.Position.Col, Text: text}
	}
	return Problem{File: file, Text: strings.TrimPrefix(err.Error(), "toml: ")}
}

// step is one part of a path: a key or an index.
type step struct {
	key   string
	index int // of the element below key; -1: none
}

// parsePath reads "frame[1].checksum.from".
func parsePath(path string) []step {
	var steps []step
	for part := range strings.SplitSeq(path, ".") {
		s := step{part, -1}
		if name, index, ok := strings.Cut(strings.TrimSuffix(part, "]"), "["); ok {
			if n, err := strconv.Atoi(index); err == nil {
				s = step{name, n}
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// withoutIndex is a path for people: the line tells which element is meant.
func withoutIndex(path string) string {
	var keys []string
	for _, s := range parsePath(path) {
		keys = append(keys, s.key)
	}
	return strings.Join(keys, ".")
}
