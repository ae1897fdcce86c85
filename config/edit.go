// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// KeyValue is a key of a table with its value: what TOML can say (a string, a number, a boolean, a list, a table of
// strings), or nil for a key that is to go.
type KeyValue struct {
	Key   string
	Value any
}

// change is text that takes the place of a span.
type change struct {
	at   span
	text string
}

// set gives keys of a table other values and returns the new text. All else stays as it is, byte for byte. A table that
// is not there is added at the end.
func (src *source) set(table []string, keys []KeyValue) (string, error) {
	n := src.find(table)
	if above := src.closed(table); above != nil {
		return "", src.notEditable(above, table)
	}
	if n == nil || n.kind == implicit && !dotted(n) {
		text, err := src.appended(table, keys)
		if err != nil {
			return "", err
		}
		return text, src.verify(text, table)
	}
	if n.kind != header {
		return "", src.notEditable(n, table)
	}
	var changes []change
	added := ""
	for _, k := range keys {
		kid := n.kids[k.Key]
		switch {
		case kid == nil && k.Value == nil:
		case kid != nil && kid.kind != scalar && kid.kind != list:
			return "", src.notEditable(kid, append(slices.Clone(table), k.Key))
		case k.Value == nil:
			changes = append(changes, change{src.lines(kid.key.from, kid.value.to), ""})
		default:
			value, err := literal(k.Value)
			if err != nil {
				return "", fmt.Errorf("%s: %w", k.Key, err)
			}
			if kid == nil {
				added += toml.Key{k.Key}.String() + " = " + value + src.lineEnd()
			} else {
				changes = append(changes, change{kid.value, value})
			}
		}
	}
	if added != "" {
		end := src.lines(0, src.lastOf(n)).to
		if end == len(src.text) && !strings.HasSuffix(src.text, "\n") {
			added = src.lineEnd() + added
		}
		changes = append(changes, change{span{end, end}, added})
	}
	text := src.with(changes)
	return text, src.verify(text, table)
}

// without takes a table out and returns the new text: from its header to its last key. Comments around it stay.
func (src *source) without(table []string) (string, error) {
	n := src.find(table)
	if n == nil {
		return src.text, nil
	}
	if n.kind != header || src.headerBelow(table) != nil {
		return "", src.notEditable(n, table)
	}
	gone := src.lines(n.value.from, src.lastOf(n))
	// One of the two empty lines that it stood between goes with it.
	before, after := src.text[:gone.from], src.text[gone.to:]
	if blank := src.lineEnd(); strings.HasSuffix(before, "\n"+blank) && (after == "" || strings.HasPrefix(after, blank)) {
		gone.from -= len(blank)
	}
	text := src.with([]change{{gone, ""}})
	return text, src.verify(text, table)
}

// find returns the table's node, nil where the file has none.
func (src *source) find(table []string) *node {
	n := src.root
	for _, name := range table {
		if n = n.kids[name]; n == nil {
			return nil
		}
	}
	return n
}

// closed returns what is on the way to a table and cannot be added to, nil for nothing.
func (src *source) closed(table []string) *node {
	n := src.root
	for _, name := range table[:len(table)-1] {
		if n = n.kids[name]; n == nil {
			return nil
		}
		if n.kind != implicit && n.kind != header {
			return n
		}
	}
	return nil
}

// dotted tells whether a table without a header has keys all the same, by dotted keys.
func dotted(n *node) bool {
	return slices.ContainsFunc(n.names, func(name string) bool {
		kid := n.kids[name]
		return kid.kind == implicit && dotted(kid) || kid.kind != implicit && kid.kind != header
	})
}

// notEditable is the error of what is not written as [TABLE] with KEY = VALUE below it.
func (src *source) notEditable(n *node, path []string) error {
	line, _ := src.position(n.key.from)
	return fmt.Errorf("%s:%d: %s is not written as a table of its own with one key a line; change it there by hand", src.name, line, toml.Key(path))
}

// headerBelow is the path of a table with a header below another one, nil where there is none. It has none below itself.
func (src *source) headerBelow(table []string) []string {
	n := src.find(table)
	if n == nil {
		return nil
	}
	for _, name := range n.names {
		kid, path := n.kids[name], append(slices.Clone(table), name)
		if below := src.headerBelow(path); below != nil {
			return below
		}
		if kid.kind == header {
			return path
		}
	}
	return nil
}

// lastOf is where the last key of a table with a header ends, one that is dotted too.
func (src *source) lastOf(n *node) int {
	end := n.value.to
	for _, kid := range n.kids {
		switch kid.kind {
		case scalar, list, inline:
			end = max(end, kid.value.to)
		case implicit:
			if dotted(kid) {
				end = max(end, src.lastOf(kid))
			}
		}
	}
	return end
}

// lines is the span of the whole lines that two places are in, with the line end of the last.
func (src *source) lines(from, to int) span {
	at := span{strings.LastIndexByte(src.text[:from], '\n') + 1, len(src.text)}
	if i := strings.IndexByte(src.text[to:], '\n'); i >= 0 {
		at.to = to + i + 1
	}
	return at
}

// lineEnd is how lines of this file end.
func (src *source) lineEnd() string {
	if strings.Contains(src.text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// appended is the text with another table at its end.
func (src *source) appended(table []string, keys []KeyValue) (string, error) {
	end := src.lineEnd()
	b := strings.Builder{}
	b.WriteString(src.text)
	if src.text != "" {
		if !strings.HasSuffix(src.text, "\n") {
			b.WriteString(end)
		}
		b.WriteString(end)
	}
	b.WriteString("[" + toml.Key(table).String() + "]" + end)
	for _, k := range keys {
		if k.Value == nil {
			continue
		}
		value, err := literal(k.Value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", k.Key, err)
		}
		b.WriteString(toml.Key{k.Key}.String() + " = " + value + end)
	}
	return b.String(), nil
}

// with is the text after changes that do not overlap.
func (src *source) with(changes []change) string {
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(b.at.from, a.at.from) })
	text := src.text
	for _, c := range changes {
		text = text[:c.at.from] + c.text + text[c.at.to:]
	}
	return text
}

// verify makes sure that the new text is valid and says the same about everything but the table.
func (src *source) verify(text string, table []string) error {
	after, err := decode(text)
	if err != nil {
		return fmt.Errorf("%s cannot be changed by edged (%w); change [%s] by hand", src.name, err, toml.Key(table))
	}
	before, err := decode(src.text)
	if err != nil {
		return fmt.Errorf("%s: %w", src.name, err)
	}
	if !reflect.DeepEqual(less(before, table), less(after, table)) {
		return fmt.Errorf("%s cannot be changed by edged without changing other tables; change [%s] by hand", src.name, toml.Key(table))
	}
	return nil
}

// less takes a table out of decoded TOML, and the tables that were only on the way to it.
func less(values map[string]any, table []string) map[string]any {
	inner, ok := values[table[0]].(map[string]any)
	if len(table) > 1 && ok {
		inner = less(inner, table[1:])
	}
	if len(table) == 1 || ok && len(inner) == 0 {
		delete(values, table[0])
	}
	return values
}
