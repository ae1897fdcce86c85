// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// source is one file of the configuration.
type source struct {
	name    string
	order   int // among the files
	text    string
	root    *node
	defined map[int]definition // by where its first part stands
	masks   []span             // values that may be secrets, in the order of the file
}

// definition is one place where a file names a key or table.
type definition struct {
	path  []segment
	first *node // the node as it was first defined
	again bool  // it was there before
}

func (src *source) define(path []segment, n *node, again bool) {
	src.defined[path[0].at.from] = definition{path, n, again}
}

// parse reads a file. Its only problem is one of syntax.
func parse(name string, order int, text string) (*source, *Problem) {
	src := &source{name: name, order: order, text: strings.TrimPrefix(text, "\ufeff")}
	src.scan()
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		p := src.problem(span{}, Syntax, "", "the file is UTF-16", "save it as UTF-8")
		p.Source, p.width = "", 0
		return nil, &p
	}
	values, err := decode(src.text)
	if err != nil {
		p := src.syntax(err)
		return nil, &p
	}
	src.root.attach(values)
	return src, nil
}

// decode returns what text holds. A panic of the decoder, which a file must not be able to cause, becomes an error.
func decode(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not valid TOML: %v", r)
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

// syntax turns the decoder's error into a problem.
func (src *source) syntax(err error) Problem {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return src.problem(span{}, Syntax, "", err.Error(), "")
	}
	from := min(max(pe.Position.Start, 0), len(src.text))
	at := span{from, min(from+max(pe.Position.Len, 1), len(src.text))}
	if strings.Contains(pe.Message, "already") {
		return src.duplicate(at, pe.Message)
	}
	src.concealLine(at)
	text, hint := strings.TrimPrefix(pe.Message, "toml: "), ""
	if from >= len(src.text)-1 {
		text = strings.ReplaceAll(text, `'\x00'`, "the end of the file")
	}
	if strings.HasPrefix(text, "expected value but found") {
		hint = `a string needs quotes: "…"`
		if src.masked(at) {
			text = "expected a value"
		}
	}
	r, size := utf8.DecodeRuneInString(text)
	return src.problem(at, Syntax, "", string(unicode.ToLower(r))+text[size:], hint)
}

// duplicate names both places of a key or table that is defined twice. The decoder's position is that of the first
// part of the key, without its quote.
func (src *source) duplicate(at span, message string) Problem {
	d, ok := src.defined[at.from]
	if !ok && at.from > 0 {
		d, ok = src.defined[at.from-1]
	}
	if !ok {
		return src.problem(at, Duplicate, "", "defined twice: "+message, "")
	}
	names := make(toml.Key, len(d.path))
	for i, seg := range d.path {
		names[i] = seg.name
	}
	at = span{d.path[0].at.from, d.path[len(d.path)-1].at.to}
	if !d.again || d.first.key.from >= at.from {
		return src.problem(at, Duplicate, names.String(), "stands here a second time, or was written as something else before", "")
	}
	line, _ := src.position(d.first.key.from)
	return src.problem(at, Duplicate, names.String(), fmt.Sprintf("stands here a second time, first in line %d", line), "")
}

// position returns the line and the column, in characters, of a byte.
func (src *source) position(offset int) (line, column int) {
	before := src.text[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

// problem describes a fault at a place of the file.
func (src *source) problem(at span, code, key, text, hint string) Problem {
	p := Problem{Code: code, File: src.name, Key: key, Text: text, Hint: hint, order: src.order}
	p.Line, p.Column = src.position(at.from)
	p.Source, p.caret, p.width = src.excerpt(at)
	return p
}

// excerpt returns the line at is in, with secrets masked, tabs as spaces and without control characters, and where in
// it at begins and how many characters it has on this line.
func (src *source) excerpt(at span) (line string, caret, width int) {
	from := strings.LastIndexByte(src.text[:at.from], '\n') + 1
	to := len(src.text)
	if i := strings.IndexByte(src.text[at.from:], '\n'); i >= 0 {
		to = at.from + i
	}
	for to > from && (src.text[to-1] == '\r' || src.text[to-1] == ' ') {
		to--
	}
	var b strings.Builder
	count := 0
	put := func(s string, offset, end int) {
		n := utf8.RuneCountInString(s)
		if offset < at.from && end <= at.from {
			caret += n
		} else if offset < at.to {
			width += n
		}
		count += n
		b.WriteString(s)
	}
	for i := from; i < to; {
		if m, ok := src.mask(i); ok {
			put(`"***"`, i, m.to)
			i = max(m.to, i+1)
			continue
		}
		r, size := utf8.DecodeRuneInString(src.text[i:])
		switch {
		case r == '\t':
			put("    ", i, i+size)
		case !unicode.IsPrint(r):
			put("·", i, i+size)
		default:
			put(string(r), i, i+size)
		}
		i += size
	}
	return b.String(), caret, max(width, 1)
}

// conceal masks a value in what messages show of the file.
func (src *source) conceal(at span) { src.masks = append(src.masks, at) }

// mask returns the masked span that offset is in.
func (src *source) mask(offset int) (span, bool) {
	for _, m := range src.masks {
		if offset >= m.from && offset < m.to {
			return m, true
		}
	}
	return span{}, false
}

func (src *source) masked(at span) bool {
	_, ok := src.mask(at.from)
	return ok
}

// concealLine masks the value in a line that cannot be read but may hold a secret.
func (src *source) concealLine(at span) {
	from := strings.LastIndexByte(src.text[:at.from], '\n') + 1
	to := len(src.text)
	if i := strings.IndexByte(src.text[at.from:], '\n'); i >= 0 {
		to = at.from + i
	}
	name, _, ok := strings.Cut(src.text[from:to], "=")
	if ok && concealed(name, src.text[from:to]) {
		src.masks = append([]span{{from + len(name) + 1, to}}, src.masks...)
	}
}

// concealed tells whether a value must not be shown in a message: what a key that sounds like a secret holds unless it
// is a reference, and an address that holds a password.
func concealed(name, value string) bool {
	if _, rest, ok := strings.Cut(value, "://"); ok && strings.Contains(rest, "@") {
		return true
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if distance(plain(name), "password") <= 3 {
		return !reference(strings.Trim(value, `"' `))
	}
	for _, word := range []string{"pass", "pwd", "secret", "token"} {
		if strings.Contains(name, word) {
			return !reference(strings.Trim(value, `"' `))
		}
	}
	return false
}
