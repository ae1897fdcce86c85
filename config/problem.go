// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one fault of a configuration.
type Problem struct {
	Code   string // "E501", …
	File   string
	Line   int    // from 1; 0: the file as a whole
	Column int    // in characters, from 1
	Key    string // the whole key, such as device.office.seriel; "" when it has none
	Text   string // what is wrong
	Hint   string // what to do; "" when Text says it
	Source string // the line, without secrets

	title string // replaces Key and Text above the line itself
	caret int    // where the carets begin in Source, in characters from 0
	width int    // how many
	order int    // of the file among the files read
}

// String returns the problem in one line: file:line:column: key: problem.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.place())
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Text)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	fmt.Fprintf(&b, " (%s)", p.Code)
	return b.String()
}

// Pretty returns the problem in two or three lines: what is wrong, then the line of the file with carets under the place.
func (p Problem) Pretty() string {
	title := p.title
	if title == "" {
		title = p.Text
		if p.Key != "" {
			title = p.Key + ": " + p.Text
		}
	}
	place := p.place()
	if p.Line == 0 {
		if p.Hint != "" {
			place += "    " + p.Hint
		}
		return fmt.Sprintf("edged: %s (%s)\n%s\n", title, p.Code, place)
	}
	source, caret := strings.TrimLeft(p.Source, " "), p.caret
	caret -= len(p.Source) - len(source)
	place += "    "
	carets := strings.Repeat(" ", len([]rune(place))+max(caret, 0)) + strings.Repeat("^", max(p.width, 1))
	if p.Hint != "" {
		carets += "  " + p.Hint
	}
	return fmt.Sprintf("edged: %s (%s)\n%s%s\n%s\n", title, p.Code, place, source, carets)
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problems is every fault of a configuration, in the order of the files and lines; as an error it has a line for each.
type Problems []Problem

// Error returns each problem in one line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Pretty returns each problem with the line of the file it is in, an empty line between two.
func (ps Problems) Pretty() string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = p.Pretty()
	}
	return strings.Join(parts, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
