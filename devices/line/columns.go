// SPDX-License-Identifier: Apache-2.0

package line

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"edged/devices"
)

// csvFormat reads columns between separators. A column may be quoted as in RFC 4180.
type csvFormat struct {
	separator rune
	names     []string // of the columns; "": left out; nil: not known yet
	fixed     bool     // the configuration gave them
}

func newCSV(parse, separator string) (format, error) {
	var faults devices.Faults
	r, size := utf8.DecodeRuneInString(separator)
	if size != len(separator) || size == 0 || strings.ContainsRune("\"\r\n", r) {
		faults.Add("separator", "%q is not one character", separator)
	}
	f := &csvFormat{separator: r}
	if parse != "" {
		f.fixed = true
		for name := range strings.SplitSeq(parse, ",") {
			f.names = append(f.names, devices.CleanName(strings.TrimSpace(name)))
		}
		checkNames(f.names, &faults)
		if !slices.ContainsFunc(f.names, func(n string) bool { return n != "" }) {
			faults.Add("parse", "names no column")
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return f, nil
}

func (f *csvFormat) parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome) {
	columns, ok := split(string(line), f.separator)
	if !ok {
		return to, unmatched
	}
	if !f.fixed && isHeader(columns) && (f.names == nil || slices.Equal(cleaned(columns), f.names)) {
		f.names = cleaned(columns)
		return to, heading
	}
	if f.names == nil {
		return numbered(columns, to)
	}
	if len(columns) != len(f.names) {
		return to, unmatched
	}
	for i, c := range columns {
		to = put(to, f.names[i], scalar(c, false))
	}
	return to, matched
}

// numbered names columns that nobody named by their place. A line without any number is not taken for one of them.
func numbered(columns []string, to []devices.Reading) ([]devices.Reading, outcome) {
	what := unmatched
	for i, c := range columns {
		v := scalar(c, false)
		if v.Kind() == devices.Number {
			what = matched
		}
		to = put(to, "column_"+strconv.Itoa(i+1), v)
	}
	return to, what
}

// isHeader reports whether columns name columns: several, none of them empty or a number or there twice.
func isHeader(columns []string) bool {
	names := cleaned(columns)
	for i, c := range columns {
		if _, number := parseNumber(c); c == "" || number || slices.Contains(names[:i], names[i]) {
			return false
		}
	}
	return len(columns) > 1
}

func cleaned(columns []string) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = devices.CleanName(c)
	}
	return names
}

// split cuts a line at separators outside quotes and takes blanks off each column; ok is false when a quote is not
// closed, there are too many columns, or control characters tell that the line is no text.
func split(line string, separators ...rune) (columns []string, ok bool) {
	var c strings.Builder
	quoted := false
	add := func() { columns = append(columns, strings.TrimSpace(c.String())); c.Reset() }
	for i, r := range line {
		switch {
		case r < ' ' && r != '\t' || r == 0x7f:
			return nil, false
		case r == '"' && quoted && strings.HasPrefix(line[i+1:], `"`):
			c.WriteRune(r) // a doubled quote: the second opens again
			quoted = false
		case r == '"' && (quoted || opens(c.String()) || i > 0 && line[i-1] == '"'):
			quoted = !quoted
		case !quoted && slices.Contains(separators, r):
			add()
		default:
			c.WriteRune(r)
		}
	}
	add()
	return columns, !quoted && len(columns) <= maxReadings
}

// opens reports whether a quote may open after this beginning of a column.
func opens(begun string) bool {
	begun = strings.TrimRight(begun, " ")
	return begun == "" || strings.HasSuffix(begun, "=") || strings.HasSuffix(begun, ":")
}

// kvFormat reads names and values: "T=21.4 H=48", "temp: 21.4, door: open". Where a comma, semicolon, tab or & stands
// between pairs, blanks belong to them; else blanks separate.
type kvFormat struct{}

func (kvFormat) parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome) {
	pairs, ok := split(string(line), ',', ';', '\t', '&')
	if ok && len(pairs) == 1 {
		pairs, ok = split(tight(pairs[0]), ' ')
	}
	if !ok {
		return to, unmatched
	}
	found := unmatched
	for _, pair := range pairs {
		if pair == "" {
			continue
		}
		i := strings.IndexAny(pair, "=:")
		if i < 0 {
			return to, unmatched
		}
		name := devices.CleanName(strings.TrimSpace(pair[:i]))
		if name == "" {
			return to, unmatched
		}
		to = put(to, name, scalar(strings.TrimSpace(pair[i+1:]), false))
		found = matched
	}
	return to, found
}

// tight takes the blanks around = and : away.
func tight(s string) string {
	for _, sign := range []string{"=", ":"} {
		parts := strings.Split(s, sign)
		for i := range parts {
			if i > 0 {
				parts[i] = strings.TrimLeft(parts[i], " ")
			}
			if i < len(parts)-1 {
				parts[i] = strings.TrimRight(parts[i], " ")
			}
		}
		s = strings.Join(parts, sign)
	}
	return s
}
