// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What reads a key into its place. On a fault the place keeps its default, so that what the parts check afterwards is
// never about a value that has been reported already.

func text(to *string) func(value) {
	return func(v value) {
		if s, ok := v.text(); ok {
			*to = s
		}
	}
}

func boolean(to *bool) func(value) {
	return func(v value) {
		b, ok := v.node.raw.(bool)
		if !ok {
			v.wrong("true or false", "")
			return
		}
		*to = b
	}
}

// count reads a whole number whose range is its part's business.
func count(to *int) func(value) {
	return func(v value) {
		n, ok := v.whole()
		switch {
		case !ok:
		case n < math.MinInt32 || n > math.MaxInt32:
			v.bad(fmt.Sprintf("%d is out of range", n), "")
		default:
			*to = int(n)
		}
	}
}

// whole reads a whole number from lowest to highest.
func whole[T int | byte](to *T, lowest, highest int64) func(value) {
	return func(v value) {
		n, ok := v.whole()
		switch {
		case !ok:
		case n < lowest || n > highest:
			v.bad(fmt.Sprintf("%d is out of range", n), fmt.Sprintf("%d to %d", lowest, highest))
		default:
			*to = T(n)
		}
	}
}

func number(to *float64) func(value) {
	return func(v value) {
		if x, ok := v.number(); ok {
			*to = x
		}
	}
}

func optional(to **float64) func(value) {
	return func(v value) {
		if x, ok := v.number(); ok {
			*to = &x
		}
	}
}

// duration reads a duration from lowest to highest.
func duration(to *time.Duration, lowest, highest time.Duration) func(value) {
	return func(v value) {
		d, ok := v.duration()
		switch {
		case !ok:
		case d < lowest || d > highest:
			v.bad(fmt.Sprintf("%q is out of range", v.node.raw), fmt.Sprintf("%q to %q", FormatDuration(lowest), FormatDuration(highest)))
		default:
			*to = d
		}
	}
}

// seconds reads a duration that MQTT counts in whole seconds, 16 bits of them.
func seconds(to *time.Duration) func(value) {
	return func(v value) {
		d := *to
		duration(&d, time.Second, math.MaxUint16*time.Second)(v)
		if d%time.Second != 0 {
			v.bad(fmt.Sprintf("%q is not in whole seconds", v.node.raw), "MQTT counts this time in seconds")
			return
		}
		*to = d
	}
}

// size reads a size from lowest to highest bytes.
func size[T int | int64](to *T, lowest, highest int64) func(value) {
	return func(v value) {
		n, ok := v.size()
		switch {
		case !ok:
		case n < lowest || n > highest:
			v.bad(fmt.Sprintf("%q is out of range", v.node.raw), fmt.Sprintf("%q to %q", FormatSize(lowest), FormatSize(highest)))
		default:
			*to = T(n)
		}
	}
}

// choice reads one of some words; later holds those that only another version has.
func choice[T ~string](to *T, words []string, later ...string) func(value) {
	return func(v value) {
		s, ok := v.text()
		possible := "possible: " + quoted(words)
		switch {
		case !ok:
		case slices.Contains(words, s):
			*to = T(s)
		case slices.Contains(later, s):
			v.notYet(v.node.value, fmt.Sprintf("%q", s), possible)
		default:
			v.bad(fmt.Sprintf("%q is not known", s), possible)
		}
	}
}

// file reads the absolute path of a file.
func file(to *string) func(value) {
	return func(v value) {
		s, ok := v.text()
		switch {
		case !ok:
		case !filepath.IsAbs(s):
			v.bad(fmt.Sprintf("%q is not an absolute path", s), "begin it with /")
		default:
			*to = s
		}
	}
}

// strs reads a list of strings, each of which inspect may report; alone: one string is a list, too.
func strs(to *[]string, alone bool, inspect func(item value, s string)) func(value) {
	return func(v value) {
		items, ok := v.texts(alone)
		list := []string{}
		for _, item := range items {
			s := item.node.raw.(string)
			inspect(item, s)
			list = append(list, s)
		}
		if ok {
			*to = list
		}
	}
}

// tags reads a table of strings.
func tags(to *map[string]string) func(value) {
	return func(v value) {
		if !v.node.isTable() {
			v.wrong("a table of strings", `such as { site = "ulm" }`)
			return
		}
		*to = map[string]string{}
		for _, name := range v.node.names {
			kid := v.kid(name)
			if s, ok := kid.text(); ok {
				(*to)[name] = s
			}
		}
	}
}

// later are keys that only another version has.
func later(names ...string) []field {
	fields := make([]field, len(names))
	for i, name := range names {
		fields[i] = field{name, nil}
	}
	return fields
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}
