// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"strconv"
	"strings"
)

// place is where a key stands, 1-based; the zero place is unknown.
type place struct{ line, column int }

// locator knows where the keys of a TOML text stand: the library (BurntSushi/toml v1.6.0) tells it for none that it
// decoded. The text must be valid; on one that is not, positions may be wrong or missing.
type locator struct {
	text   string
	pos    int
	line   int              // of pos, 1-based
	begun  int              // where that line begins
	counts map[string]int   // elements of arrays of tables so far
	exact  map[string]place // by path with indices: "reading[2].when.bytes"
	all    map[string][]place
}

// locate reads a text.
func locate(text string) *locator {
	l := &locator{text: text, line: 1, counts: map[string]int{}, exact: map[string]place{}, all: map[string][]place{}}
	table := ""
	for l.blank(); l.pos < len(l.text); l.blank() {
		before := l.pos
		if l.peek() == '[' {
			table = l.header()
		} else {
			l.pair(table)
		}
		if l.pos == before {
			l.pos++
		}
	}
	return l
}

// find gives the place of a path, or of the longest part of it that is there: what is missing has its place where its
// table is.
func (l *locator) find(path string) place {
	for path != "" {
		if at, ok := l.exact[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return place{}
}

func (l *locator) here() place { return place{l.line, l.pos - l.begun + 1} }

func (l *locator) peek() byte {
	if l.pos < len(l.text) {
		return l.text[l.pos]
	}
	return 0
}

func (l *locator) next() {
	if l.pos >= len(l.text) {
		return
	}
	if l.text[l.pos] == '\n' {
		l.line, l.begun = l.line+1, l.pos+1
	}
	l.pos++
}

// blank skips white space, line ends, commas and comments.
func (l *locator) blank() {
	for {
		switch l.peek() {
		case ' ', '\t', '\r', '\n', ',':
			l.next()
		case '#':
			for l.pos < len(l.text) && l.peek() != '\n' {
				l.next()
			}
		default:
			return
		}
	}
}

func (l *locator) note(path string, at place) {
	l.exact[path] = at
	l.all[withoutIndex(path)] = append(l.all[withoutIndex(path)], at)
}

// header reads [table] or [[table]] and gives its path.
func (l *locator) header() string {
	depth := 0
	for ; l.peek() == '['; l.next() {
		depth++
	}
	at := l.here()
	parts := l.key("]")
	for ; l.peek() == ']'; l.next() {
	}
	path := ""
	for i, part := range parts {
		path = below(path, part)
		switch {
		case i == len(parts)-1 && depth == 2:
			l.counts[path]++
			path += "[" + strconv.Itoa(l.counts[path]-1) + "]"
		case l.counts[path] > 0:
			path += "[" + strconv.Itoa(l.counts[path]-1) + "]"
		}
	}
	l.note(path, at)
	return path
}

// pair reads key = value.
func (l *locator) pair(table string) {
	at := l.here()
	path := table
	for _, part := range l.key("=") {
		path = below(path, part)
	}
	l.note(path, at)
	if l.peek() == '=' {
		l.next()
		l.value(path)
	}
}

// key reads a dotted key up to an end.
func (l *locator) key(end string) (parts []string) {
	var part strings.Builder
	for l.pos < len(l.text) {
		switch c := l.peek(); {
		case strings.IndexByte(end+"\n", c) >= 0:
			return append(parts, part.String())
		case c == '"' || c == '\'':
			part.WriteString(strings.Trim(l.str(), string(c)))
			continue
		case c == '.':
			parts = append(parts, part.String())
			part.Reset()
		case c != ' ' && c != '\t':
			part.WriteByte(c)
		}
		l.next()
	}
	return append(parts, part.String())
}

// str reads a string with its quotes.
func (l *locator) str() string {
	from, quote := l.pos, l.text[l.pos:l.pos+1]
	if long := strings.Repeat(quote, 3); strings.HasPrefix(l.text[l.pos:], long) {
		quote = long
	}
	for range quote {
		l.next()
	}
	for l.pos < len(l.text) && !strings.HasPrefix(l.text[l.pos:], quote) {
		if quote[0] == '"' && l.peek() == '\\' {
			l.next()
		}
		l.next()
	}
	for range quote {
		l.next()
	}
	return l.text[from:l.pos]
}

// value reads a value and notes the keys in it.
func (l *locator) value(path string) {
	for l.peek() == ' ' || l.peek() == '\t' {
		l.next()
	}
	switch c := l.peek(); c {
	case '"', '\'':
		l.str()
	case '{', '[':
		l.next()
		for i := 0; ; i++ {
			l.blank()
			before := l.pos
			switch {
			case l.pos >= len(l.text):
				return
			case l.peek() == c+2: // } or ]
				l.next()
				return
			case c == '{':
				l.pair(path)
			default:
				l.value(path + "[" + strconv.Itoa(i) + "]")
			}
			if l.pos == before {
				l.next()
			}
		}
	default:
		for l.pos < len(l.text) && strings.IndexByte(",]}#\n", l.peek()) < 0 {
			l.next()
		}
	}
}

func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
