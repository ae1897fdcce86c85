// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"errors"

	"github.com/BurntSushi/toml"
)

// locator finds where keys stand. The library tells positions only in errors, so it is made to fail at the key.
type locator struct{ text string }

// stop fails to decode.
type stop struct{}

var errStop = errors.New("stop")

// UnmarshalTOML fails.
func (*stop) UnmarshalTOML(any) error { return errStop }

// find gives the position of a path, or of the longest part of it that is there: what is missing has its place where
// its table is.
func (l locator) find(path []step) toml.Position {
	for n := len(path); n > 0; n-- {
		if at, ok := l.exactly(path[:n]); ok {
			return at
		}
	}
	return toml.Position{}
}

func (l locator) exactly(path []step) (toml.Position, bool) {
	var level map[string]toml.Primitive
	md, err := toml.Decode(l.text, &level)
	for i, s := range path {
		p, ok := level[s.key]
		if err != nil || !ok {
			return toml.Position{}, false
		}
		if s.index >= 0 {
			var items []toml.Primitive
			if err = md.PrimitiveDecode(p, &items); err != nil || s.index >= len(items) {
				return toml.Position{}, false
			}
			p = items[s.index]
		}
		if i == len(path)-1 && s.index >= 0 {
			return l.first(md, p, path)
		}
		if i == len(path)-1 {
			var pe toml.ParseError
			if errors.As(md.PrimitiveDecode(p, &stop{}), &pe) && pe.Position.Line > 0 {
				return pe.Position, true
			}
			return toml.Position{}, false
		}
		level = nil
		err = md.PrimitiveDecode(p, &level)
	}
	return toml.Position{}, false
}

// first gives the position of the first key of one of several tables: the library knows the header of the last alone.
func (l locator) first(md toml.MetaData, p toml.Primitive, path []step) (at toml.Position, ok bool) {
	var table map[string]toml.Primitive
	if md.PrimitiveDecode(p, &table) != nil {
		return at, false
	}
	for key := range table {
		below := append(path[:len(path):len(path)], step{key, -1})
		if x, found := l.exactly(below); found && (!ok || x.Line < at.Line || x.Line == at.Line && x.Col < at.Col) {
			at, ok = x, true
		}
	}
	return at, ok
}

// unknown gives the position of a key that nothing decoded. Where a table stands several times, the library does not
// say in which of them: the first that has the key is told.
func (l locator) unknown(key toml.Key) (at toml.Position, name string) {
	name = key[len(key)-1]
	paths := [][]step{nil}
	for _, k := range key {
		var longer [][]step
		for _, p := range paths {
			for index := -1; index < 64; index++ {
				q := append(p[:len(p):len(p)], step{k, index})
				if _, ok := l.exactly(q); ok {
					longer = append(longer, q)
				} else if index >= 0 {
					break
				}
			}
		}
		paths = longer
	}
	if len(paths) == 0 {
		return toml.Position{}, name
	}
	at, _ = l.exactly(paths[0])
	return at, name
}
