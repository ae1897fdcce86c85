// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"testing"

	"edged/config"
)

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       map[string]any
		err        string
	}{
		{"none", "", nil, ""},
		{"two", "format = \"csv\"\ncolumns = [\"a\", \"b\"]", map[string]any{"format": "csv", "columns": []any{"a", "b"}}, ""},
		{"twice", "a = 1\na = 2", nil, "line 2, column 1: stands here a second time, first in line 1"},
		{"no quotes", "format = csv", nil, `line 1, column 10: expected value but found "csv" instead`},
	} {
		got, err := config.ParseOptions(c.text)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.err || len(got)+len(c.want) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, got, text, c.want, c.err)
		}
	}
}
