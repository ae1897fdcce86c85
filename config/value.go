// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"strings"
	"time"

	"edged/bridge/bus"
	"edged/devices"
	"edged/devices/catalog"

	"github.com/BurntSushi/toml"
)

// check collects the problems of one configuration.
type check struct {
	problems Problems
	told     map[string]bool            // keys that have a problem already
	ports    map[string]*node           // those that are used, and addresses on buses
	lines    []bus.Config               // the buses
	set      *catalog.Set               // the drivers that there are
	drivers  map[string]*devices.Driver // those that were looked up; nil: there is none
}

// value is one key with what the file gives it.
type value struct {
	*check
	key  string // the whole key, as messages have it
	node *node
}

// field is a key that a table may hold, and what reads it.
type field struct {
	name string
	read func(value) // nil: only another version has it
}

// report adds a problem at a place of the node's file.
func (c *check) report(n *node, at span, code, key, text, hint string) *Problem {
	c.told[key] = true
	c.problems = append(c.problems, n.src.problem(at, code, key, text, hint))
	return &c.problems[len(c.problems)-1]
}

// bad reports that the value cannot be.
func (v value) bad(text, hint string) { v.report(v.node, v.node.value, BadValue, v.key, text, hint) }

// wrong reports that the value has another type than want.
func (v value) wrong(want, hint string) {
	at := v.node.value
	if v.node.kind == inline || v.node.kind == list {
		at = v.node.key
	}
	v.report(v.node, at, WrongType, v.key, "must be "+want+", not "+v.node.typeName(), hint)
}

// notYet reports what only another version has.
func (v value) notYet(at span, what, hint string) {
	v.report(v.node, at, NotYet, v.key, strings.TrimSpace(what+" is not available in this version"), hint)
}

func (n *node) typeName() string {
	switch n.kind {
	case implicit, header, inline:
		return "a table"
	case list:
		return "a list"
	case tables:
		return "a list of tables"
	}
	switch n.raw.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a number"
	case time.Time:
		return "a date or time"
	}
	return "this"
}

// table reads every key of a table with the fields that it may have; name says which fields an unknown key is compared
// with, and where it was met, such as "[device.air]".
func (v value) table(name string, fields []field) bool {
	if !v.node.isTable() {
		hint := "write " + name
		v.wrong("a table", hint)
		return false
	}
	for _, key := range v.node.names {
		kid := v.kid(key)
		switch f, ok := find(fields, key); {
		case !ok:
			kid.unknown(key, name, fields)
		case f.read == nil:
			kid.notYet(kid.node.key, "", "")
		default:
			f.read(kid)
		}
	}
	return true
}

func find(fields []field, name string) (field, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (v value) unknown(name, where string, fields []field) {
	var names []string
	for _, f := range fields {
		if f.read != nil {
			names = append(names, f.name)
		}
	}
	what := "key"
	if v.node.isTable() || v.node.kind == tables {
		what = "table"
	}
	if meant := nearest(name, names); meant != "" {
		v.told[strings.TrimSuffix(v.key, join("", name))+meant] = true // that this one is missing says nothing new
	}
	p := v.report(v.node, v.node.key, UnknownKey, v.key, "unknown "+what, suggest(name, names))
	p.title = fmt.Sprintf("unknown %s %q", what, name)
	if where != "" {
		p.title += " in " + where
	}
}

// kid is what the table has under that name.
func (v value) kid(name string) value { return value{v.check, join(v.key, name), v.node.kids[name]} }

// join adds a part to a key, quoted where TOML wants it.
func join(key, name string) string {
	name = toml.Key{name}.String()
	if key == "" {
		return name
	}
	return key + "." + name
}

// has tells whether the table has the key.
func (v value) has(key string) bool { return v.node.kids[key] != nil }

// need reports that a key is missing, at the table's name.
func (v value) need(key, hint string) {
	if !v.has(key) && !v.told[join(v.key, key)] {
		v.report(v.node, v.node.value, Missing, join(v.key, key), "is missing", hint)
	}
}

func (v value) text() (string, bool) {
	s, ok := v.node.raw.(string)
	if !ok {
		v.wrong("a string", "")
	}
	return s, ok
}

// texts returns the strings of a list, each with its place, and whether it holds nothing else; one string alone is a
// list of one where alone allows it.
func (v value) texts(alone bool) ([]value, bool) {
	if _, ok := v.node.raw.(string); ok && alone {
		return []value{v}, true
	}
	if v.node.kind != list {
		want, hint := "a list of strings", ""
		if alone {
			want = "a string or a list of strings"
		}
		if s, ok := v.node.raw.(string); ok {
			hint = fmt.Sprintf("such as [%q]", s)
		}
		v.wrong(want, hint)
		return nil, false
	}
	var items []value
	ok := true
	for i, n := range v.node.items {
		item := v.item(i, n)
		if _, good := n.raw.(string); good {
			items = append(items, item)
			continue
		}
		item.wrong("a string", "")
		v.told[v.key], ok = true, false
	}
	return items, ok
}

// item is an element of a list; its key is that of the list with the index, from 0.
func (v value) item(i int, n *node) value {
	return value{v.check, fmt.Sprintf("%s[%d]", v.key, i), n}
}

func (v value) number() (float64, bool) {
	switch x := v.node.raw.(type) {
	case int64:
		return float64(x), true
	case float64:
		if !math.IsInf(x, 0) && !math.IsNaN(x) {
			return x, true
		}
		v.bad("must be a finite number", "")
		return 0, false
	}
	v.wrong("a number", "")
	return 0, false
}

func (v value) whole() (int64, bool) {
	n, ok := v.node.raw.(int64)
	if !ok {
		v.wrong("a whole number", "")
	}
	return n, ok
}

func (v value) duration() (time.Duration, bool) {
	s, ok := v.node.raw.(string)
	if !ok {
		hint := ""
		if n, whole := v.node.raw.(int64); whole && n >= 0 {
			hint = fmt.Sprintf("did you mean \"%ds\"?", n)
		}
		v.wrong(`a duration such as "30s"`, hint)
		return 0, false
	}
	d, err := ParseDuration(s)
	if err != nil {
		v.badUnit(s, err)
	}
	return d, err == nil
}

func (v value) size() (int64, bool) {
	s, ok := v.node.raw.(string)
	if !ok {
		hint := ""
		if n, whole := v.node.raw.(int64); whole && n >= 1<<10 && n%(1<<10) == 0 {
			hint = fmt.Sprintf("did you mean %q?", FormatSize(n))
		}
		v.wrong(`a size such as "64MiB"`, hint)
		return 0, false
	}
	n, err := ParseSize(s)
	if err != nil {
		v.badUnit(s, err)
	}
	return n, err == nil
}

func (v value) badUnit(s string, err error) {
	text, hint, _ := strings.Cut(err.Error(), ": ")
	v.bad(fmt.Sprintf("%q is %s", s, text), hint)
}
