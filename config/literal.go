// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// literal writes a value as TOML.
func literal(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return quote(v)
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			q, err := quote(s)
			if err != nil {
				return "", err
			}
			items[i] = q
		}
		return "[" + strings.Join(items, ", ") + "]", nil
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			text, err := literal(item)
			if err != nil {
				return "", err
			}
			items[i] = text
		}
		return "[" + strings.Join(items, ", ") + "]", nil
	case map[string]any:
		var items []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			text, err := literal(v[key])
			if err != nil {
				return "", err
			}
			items = append(items, toml.Key{key}.String()+" = "+text)
		}
		return "{ " + strings.Join(items, ", ") + " }", nil
	case bool, int64:
		return fmt.Sprint(v), nil
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".eIN") { // else it would be an integer
			text += ".0"
		}
		return text, nil
	}
	return "", fmt.Errorf("a %T cannot be written", value)
}

// Block is the text of a table.
func Block(table []string, keys ...KeyValue) (string, error) {
	return (&source{}).appended(table, keys)
}

// quote writes a string as TOML's basic string.
func quote(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("the text is not UTF-8")
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}
