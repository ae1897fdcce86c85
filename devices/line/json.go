// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"encoding/json"
	"strconv"

	"edged/devices"
)

// maxDepth bounds how deep objects and lists of a line nest.
const maxDepth = 16

// jsonFormat reads lines that are one JSON object.
type jsonFormat struct{}

func (jsonFormat) parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome) {
	line = bytes.TrimSpace(line)
	if line[0] != '{' || !json.Valid(line) {
		return to, unmatched
	}
	w := walker{b: line, to: to}
	if !w.value("", 0) {
		return to, unmatched
	}
	return w.to, matched
}

// walker goes through valid JSON and collects its scalars.
type walker struct {
	b  []byte // what is left
	to []devices.Reading
}

// value takes the next value; ok is false when there are too many or they nest too deep.
func (w *walker) value(name string, depth int) (ok bool) {
	if depth > maxDepth || len(w.to) > maxReadings {
		return false
	}
	w.space()
	switch w.b[0] {
	case '{':
		return w.many('}', func(int) bool {
			key := devices.CleanName(w.str())
			w.space()
			w.b = w.b[1:] // the colon
			return w.value(join(name, key), depth+1)
		})
	case '[':
		return w.many(']', func(i int) bool { return w.value(join(name, strconv.Itoa(i)), depth+1) })
	case '"':
		w.to = put(w.to, name, devices.Str(w.str()))
		return true
	}
	n := bytes.IndexAny(w.b, ",]} \t\r\n")
	if n < 0 {
		n = len(w.b)
	}
	word := string(w.b[:n])
	w.b = w.b[n:]
	switch word {
	case "null":
	case "true", "false":
		w.to = put(w.to, name, devices.Flag(word == "true"))
	default:
		if x, ok := parseNumber(word); ok { // else it is beyond what a number can be: not measured
			w.to = put(w.to, name, devices.Num(x))
		}
	}
	return true
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

func join(name, key string) string {
	if name == "" {
		return key
	}
	return name + "_" + key
}
