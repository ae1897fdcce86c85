// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"

	"edged/bridge"
	"edged/devices"
)

func readingFields(r *bridge.Reading) []field {
	return []field{
		{"unit", text(&r.Unit)},
		{"class", text(&r.Class)},
		{"scale", optional(&r.Scale)},
		{"offset", number(&r.Offset)},
		{"points", points(&r.Points)},
		{"precision", func(v value) {
			n := -1
			if whole(&n, 0, 15)(v); n >= 0 {
				r.Precision = &n
			}
		}},
		{"deadband", number(&r.Deadband)},
		{"min", optional(&r.Min)},
		{"max", optional(&r.Max)},
		{"median", whole(&r.Median, 1, 99)},
		{"rename", func(v value) {
			if s, ok := v.text(); ok && v.readingName(s, v.node.value) {
				r.Rename = s
			}
		}},
		{"skip", boolean(&r.Skip)},
	}
}

// readingName reports a name that a reading must not have.
func (v value) readingName(s string, at span) bool {
	if devices.Reserved(s) {
		v.report(v.node, at, BadValue, v.key, fmt.Sprintf("%q is reserved and cannot name a reading", s), "edged gives it a meaning of its own in data")
		return false
	}
	for _, r := range s {
		if !contains(readingLetters, r) {
			v.report(v.node, at, BadValue, v.key, fmt.Sprintf("%q holds the character %q", s, r), "allowed: a-z, 0-9 and _")
			return false
		}
	}
	if s == "" {
		v.report(v.node, at, BadValue, v.key, "a reading's name is empty", "")
		return false
	}
	return true
}

// points reads pairs of raw and real values, ascending by raw.
func points(to *[][2]float64) func(value) {
	const hint = "write pairs of raw and real value, such as [[0, 4.0], [1023, 20.0]]"
	return func(v value) {
		if v.node.kind != list {
			v.wrong("a list of pairs of numbers", hint)
			return
		}
		var pairs [][2]float64
		for i, n := range v.node.items {
			item := v.item(i, n)
			if n.kind != list || len(n.items) != 2 {
				item.wrong("a pair of numbers", hint)
				return
			}
			raw, ok := item.item(0, n.items[0]).number()
			real, ok2 := item.item(1, n.items[1]).number()
			if !ok || !ok2 {
				return
			}
			if i > 0 && raw <= pairs[i-1][0] {
				item.item(0, n.items[0]).bad("the raw values do not ascend", "")
				return
			}
			pairs = append(pairs, [2]float64{raw, real})
		}
		if len(pairs) < 2 {
			v.bad("needs at least two points", hint)
			return
		}
		*to = pairs
	}
}

// readings reads the reading tables of a device; known are the driver's, nil where they depend on its data.
func readings(to *map[string]bridge.Reading, known []string) func(value) {
	return func(v value) {
		if !v.node.isTable() {
			v.wrong("a table", "write [device.NAME.reading.READING]")
			return
		}
		*to = map[string]bridge.Reading{}
		for _, name := range v.node.names {
			kid := v.kid(name)
			if !kid.readingName(name, kid.node.key) {
				continue
			}
			if known != nil && !slices.Contains(known, name) {
				hint := suggest(name, known)
				if hint == "" {
					hint = "its readings: " + quoted(known)
				}
				p := kid.report(kid.node, kid.node.key, UnknownKey, kid.key, "the driver has no such reading", hint)
				p.title = fmt.Sprintf("unknown reading %q in [%s]", name, v.key)
				continue
			}
			var r bridge.Reading
			if kid.table("["+kid.key+"]", readingFields(&r)) {
				(*to)[name] = r
			}
		}
		v.renames(*to, known)
	}
}

// renames reports two readings of a device that would bear one name.
func (v value) renames(rs map[string]bridge.Reading, known []string) {
	taken := map[string]string{}
	for _, name := range known {
		if r := rs[name]; r.Rename == "" && !r.Skip {
			taken[devices.DataName(name)] = name
		}
	}
	for _, name := range v.node.names {
		if r := rs[name]; r.Rename == "" && !r.Skip {
			taken[devices.DataName(name)] = name
		}
	}
	for _, name := range v.node.names {
		r := rs[name]
		if r.Rename == "" || r.Skip {
			continue
		}
		other, ok := taken[r.Rename]
		if ok && other != name {
			v.kid(name).kid("rename").bad(fmt.Sprintf("%q is also the name of the reading %q", r.Rename, other), "give each its own name")
			continue
		}
		taken[r.Rename] = name
	}
}
