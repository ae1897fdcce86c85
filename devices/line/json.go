// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"edged/devices"
)

// maxDepth bounds how deep objects and lists of a line nest.
const maxDepth = 16

// jsonFormat reads lines that are one JSON object.
type jsonFormat struct {
	path  []byte            // scratch of the walker
	names map[string]string // those that came, so that a name needs memory once
}

func (f *jsonFormat) parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome) {
	line = bytes.TrimSpace(line)
	if line[0] != '{' || !json.Valid(line) {
		return to, unmatched
	}
	w := walker{b: line, to: to, f: f}
	f.path = f.path[:0]
	if !w.value(0) {
		return to, unmatched
	}
	return w.to, matched
}

// name is the path of the value, as a string that is kept.
func (f *jsonFormat) name() string {
	if s, ok := f.names[string(f.path)]; ok {
		return s
	}
	if f.names == nil || len(f.names) > 2*maxReadings { // of a device that makes up names
		f.names = map[string]string{}
	}
	s := string(f.path)
	f.names[s] = s
	return s
}

// walker goes through valid JSON and collects its scalars.
type walker struct {
	b  []byte // what is left
	to []devices.Reading
	f  *jsonFormat
}

// value takes the next value; ok is false when there are too many or they nest too deep.
func (w *walker) value(depth int) (ok bool) {
	if depth > maxDepth || len(w.to) > maxReadings {
		return false
	}
	w.space()
	switch w.b[0] {
	case '{':
		return w.many('}', func(int) bool {
			above := len(w.f.path)
			w.join()
			w.key()
			w.space()
			w.b = w.b[1:] // the colon
			ok := w.value(depth + 1)
			w.f.path = w.f.path[:above]
			return ok
		})
	case '[':
		return w.many(']', func(i int) bool {
			above := len(w.f.path)
			w.join()
			w.f.path = strconv.AppendInt(w.f.path, int64(i), 10)
			ok := w.value(depth + 1)
			w.f.path = w.f.path[:above]
			return ok
		})
	case '"':
		w.to = put(w.to, w.f.name(), devices.Str(w.str()))
		return true
	}
	n := bytes.IndexAny(w.b, ",]} \t\r\n")
	if n < 0 {
		n = len(w.b)
	}
	word := w.b[:n]
	w.b = w.b[n:]
	switch word[0] {
	case 'n': // null
	case 't', 'f':
		w.to = put(w.to, w.f.name(), devices.Flag(word[0] == 't'))
	default:
		w.to = put(w.to, w.f.name(), numberOf(word)) // what is beyond a number is left out: not measured
	}
	return true
}

// join puts an underscore between the path and what follows.
func (w *walker) join() {
	if len(w.f.path) > 0 {
		w.f.path = append(w.f.path, '_')
	}
}

// key takes a key and adds it to the path, as a name.
func (w *walker) key() {
	for n := 1; n < len(w.b); n++ {
		c := w.b[n]
		if c == '"' {
			w.f.path = append(w.f.path, w.b[1:n]...)
			for i := len(w.f.path) - (n - 1); i < len(w.f.path); i++ {
				w.f.path[i] = cleanByte(w.f.path[i])
			}
			w.b = w.b[n+1:]
			return
		}
		if c == '\\' || c >= utf8.RuneSelf { // characters are not bytes
			w.f.path = append(w.f.path, devices.CleanName(w.str())...)
			return
		}
	}
}

// cleanByte is devices.CleanName of one ASCII character.
func cleanByte(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return '_'
}

// many takes the items of an object or list up to its end.
func (w *walker) many(end byte, item func(i int) bool) bool {
	w.b = w.b[1:]
	for i := 1; ; i++ {
		if w.space(); w.b[0] == end {
			w.b = w.b[1:]
			return true
		}
		if w.b[0] == ',' {
			w.b = w.b[1:]
			w.space()
		}
		if !item(i) {
			return false
		}
	}
}

func (w *walker) space() {
	for len(w.b) > 0 && (w.b[0] == ' ' || w.b[0] == '\t') {
		w.b = w.b[1:]
	}
}

// str takes a string.
func (w *walker) str() string {
	n := 1
	for w.b[n] != '"' {
		if w.b[n] == '\\' {
			n++
		}
		n++
	}
	raw := w.b[:n+1]
	w.b = w.b[n+1:]
	var s string
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:n])
	}
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
