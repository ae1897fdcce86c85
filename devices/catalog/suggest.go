// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"reflect"
)

// suggestion names the key of descriptions that comes nearest to a misspelt one; "" when none is near.
func suggestion(misspelt string, d description) string {
	best, least := "", 3
	for _, key := range keys(reflect.TypeOf(d), nil) {
		if d := distance(misspelt, key); d < least {
			best, least = key, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// keys appends all keys of a type and of what it consists of.
func keys(t reflect.Type, to []string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return to
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if tag := f.Tag.Get("toml"); tag != "" {
			to = append(to, tag)
		}
		to = keys(f.Type, to)
	}
	return to
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
