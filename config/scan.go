// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner finds where the keys and values of a TOML file stand. Whether the file is valid is the decoder's business:
// on what is not, the scanner goes on with the next line. The decoder (BurntSushi/toml v1.6.0) gives no position for
// a key that it decoded.
type scanner struct {
	src  *source
	text string
	pos  int
	here *node // the table that a header opened
}

type segment struct {
	name string
	at   span
}

// scan fills src.root and src.defined.
func (src *source) scan() {
	src.root = &node{src: src}
	src.defined = map[int]definition{}
	s := scanner{src: src, text: src.text, here: src.root}
	for {
		s.blank()
		switch {
		case s.pos >= len(s.text):
			return
		case s.text[s.pos] == '[':
			s.header()
		default:
			s.pair(s.here)
		}
		s.line()
	}
}

// blank skips white space, line ends and comments.
func (s *scanner) blank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		case '#':
			s.line()
		default:
			return
		}
	}
}

func (s *scanner) spaces() {
	for s.at(' ') || s.at('\t') {
		s.pos++
	}
}

// line skips what is left of the line.
func (s *scanner) line() {
	if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i + 1
	} else {
		s.pos = len(s.text)
	}
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.text) && s.text[s.pos] == c }

func (s *scanner) take(c byte) bool {
	if s.at(c) {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) header() {
	s.pos++
	double := s.take('[')
	path := s.path()
	if len(path) == 0 {
		return
	}
	t := descend(s.src.root, path[:len(path)-1])
	last := path[len(path)-1]
	n, known := t.child(last.name, last.at)
	s.src.define(path, n, known)
	switch {
	case double:
		if n.kind != tables && (known || n.kids != nil) {
			n = &node{src: s.src}
		}
		n.kind = tables
		item := &node{src: s.src, key: last.at, value: last.at, kind: header}
		n.items = append(n.items, item)
		n = item
	case n.kind == implicit:
		n.kind, n.value = header, last.at
		n.key = last.at
	case !n.isTable():
		n = &node{src: s.src}
	}
	s.here = n
}

// descend goes to the table that path names, below t.
func descend(t *node, path []segment) *node {
	for _, seg := range path {
		n, _ := t.child(seg.name, seg.at)
		switch {
		case n.kind == tables:
			n = n.items[len(n.items)-1]
		case !n.isTable():
			n = &node{src: t.src}
		}
		t = n
	}
	return t
}

// pair reads one KEY = VALUE into t.
func (s *scanner) pair(t *node) {
	path := s.path()
	if len(path) == 0 || !s.take('=') {
		return
	}
	last := path[len(path)-1]
	n, known := descend(t, path[:len(path)-1]).child(last.name, last.at)
	s.src.define(path, n, known)
	if known {
		n = &node{src: s.src}
	}
	s.spaces()
	s.value(n)
	if concealed(last.name, s.text[n.value.from:n.value.to]) {
		s.src.conceal(n.value)
	}
}

// path reads the parts of a key, with the dots between them and the spaces around.
func (s *scanner) path() []segment {
	var path []segment
	for {
		s.spaces()
		seg, ok := s.segment()
		if !ok {
			return nil
		}
		path = append(path, seg)
		s.spaces()
		if !s.take('.') {
			return path
		}
	}
}

func (s *scanner) segment() (segment, bool) {
	from := s.pos
	if s.at('"') || s.at('\'') {
		body, ok := s.short()
		return segment{body, span{from, s.pos}}, ok
	}
	for s.pos < len(s.text) && bare(s.text[s.pos]) {
		s.pos++
	}
	return segment{s.text[from:s.pos], span{from, s.pos}}, s.pos > from
}

func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// value reads a value into n.
func (s *scanner) value(n *node) {
	n.value.from, n.kind = s.pos, scalar
	switch {
	case strings.HasPrefix(s.text[s.pos:], `"""`), strings.HasPrefix(s.text[s.pos:], "'''"):
		s.long()
	case s.at('"'), s.at('\''):
		s.short()
	case s.take('['):
		n.kind = list
		s.list(n)
	case s.take('{'):
		n.kind = inline
		s.inline(n)
	default:
		for s.pos < len(s.text) && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.pos])) {
			s.pos++
		}
		n.value.to = n.value.from + len(strings.TrimRight(s.text[n.value.from:s.pos], " \t"))
		return
	}
	n.value.to = s.pos
}

func (s *scanner) list(n *node) {
	for {
		s.blank()
		if s.pos >= len(s.text) || s.take(']') {
			return
		}
		if s.take(',') {
			continue
		}
		item := &node{src: s.src}
		from := s.pos
		s.value(item)
		if s.pos == from {
			s.pos++
			continue
		}
		item.key = item.value
		n.items = append(n.items, item)
	}
}

func (s *scanner) inline(n *node) {
	for {
		s.blank()
		if s.pos >= len(s.text) || s.take('}') {
			return
		}
		if s.take(',') {
			continue
		}
		from := s.pos
		s.pair(n)
		if s.pos == from {
			s.pos++
		}
	}
}

// short reads a string in single or double quotes; it ends with its line at the latest.
func (s *scanner) short() (string, bool) {
	quote := s.text[s.pos]
	s.pos++
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		switch c := s.text[s.pos]; {
		case c == quote:
			body := s.text[from:s.pos]
			s.pos++
			if quote == '"' {
				body = unescape(body)
			}
			return body, true
		case c == '\\' && quote == '"' && s.pos+1 < len(s.text):
			s.pos++
		}
		s.pos++
	}
	return "", false
}

// long reads a string in three quotes. Of a run of more than three the last three close it.
func (s *scanner) long() {
	quote := s.text[s.pos]
	s.pos += 3
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == quote:
			from := s.pos
			for s.at(quote) {
				s.pos++
			}
			if s.pos-from >= 3 {
				return
			}
			continue
		case c == '\\' && quote == '"' && s.pos+1 < len(s.text):
			s.pos++
		}
		s.pos++
	}
}

// unescape decodes the escapes of a quoted key.
func unescape(body string) string {
	if !strings.ContainsRune(body, '\\') {
		return body
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			b.WriteByte(body[i])
			continue
		}
		i++
		digits := 0
		switch c := body[i]; c {
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			if j := strings.IndexByte("btnfre", c); j >= 0 {
				c = "\b\t\n\f\r\x1b"[j]
			}
			b.WriteByte(c)
			continue
		}
		n, err := strconv.ParseUint(body[i+1:min(i+1+digits, len(body))], 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			n = utf8.RuneError
		}
		b.WriteRune(rune(n))
		i += digits
	}
	return b.String()
}
