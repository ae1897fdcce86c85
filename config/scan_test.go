// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// agree reports where the tree of the scanner and what the decoder made of the same file differ.
func agree(n *node, v any, path string) error {
	switch v := v.(type) {
	case map[string]any:
		if !n.isTable() || len(n.kids) != len(v) || len(n.names) != len(v) {
			return fmt.Errorf("%s: scanned kind %d with %q, decoded %v", path, n.kind, n.names, v)
		}
		for name, kid := range v {
			if n.kids[name] == nil {
				return fmt.Errorf("%s.%q: decoded, not scanned: %q", path, name, n.names)
			}
			if err := agree(n.kids[name], kid, fmt.Sprintf("%s.%q", path, name)); err != nil {
				return err
			}
		}
	case []map[string]any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i]
		}
		return agree(n, items, path)
	case []any:
		if n.kind != list && n.kind != tables || len(n.items) != len(v) {
			return fmt.Errorf("%s: scanned kind %d with %d elements, decoded %d", path, n.kind, len(n.items), len(v))
		}
		for i, item := range v {
			if err := agree(n.items[i], item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	default:
		if n.kind != scalar {
			return fmt.Errorf("%s: scanned kind %d, decoded %T", path, n.kind, v)
		}
	}
	return nil
}

// inside reports a place that is not in the file, or a key whose place does not hold its name.
func inside(src *source, n *node, name string) error {
	for _, at := range []span{n.key, n.value} {
		if at.from < 0 || at.to < at.from || at.to > len(src.text) {
			return fmt.Errorf("%q stands at %v of %d bytes", name, at, len(src.text))
		}
	}
	written := src.text[n.key.from:n.key.to]
	if !strings.HasPrefix(written, `"`) && !strings.HasPrefix(written, "'") && written != name {
		return fmt.Errorf("key %q is placed at %q", name, written)
	}
	for _, name := range n.names {
		if err := inside(src, n.kids[name], name); err != nil {
			return err
		}
	}
	return nil
}

func FuzzScan(f *testing.F) {
	for _, text := range []string{
		"", "a = 1", "[a]\nb = 2\n[a.c]\nd = [1, 2,\n 3] # x\n", "a.b.c = { d = 1, e.f = 2 }\n",
		"a = \"\"\"\n[b]\nc = 1\n\"\"\"\nd = '''\nx = ''y''\n'''\n", "[[a]]\nb=1\n[[a]]\n[a.c]\n[[a.d]]\n",
		`"a b"."c\"d".'e\f' = 1`, "a = [ [1], { b = [ 2, ], }, \"]\", ']' , # ]\n ]\n", "a = {\n b = 1, # c\n d = 2,\n}\n",
		"\ufeffa = 1\r\nb = 2\r\n", "a = 1979-05-27 07:32:00 # x\nb = nan\n", "[ a . 'b' ]\nc = 1", "a = \"\"\"x\\\"\"\"\"\"\n",
		"[device.air.reading]\nt = {unit=\"C\"}\n[device.air]\nport=\"sim\"\n", "a = 1\na = 2\n[a]\n[[a]]\n", "= 1\n.a\n[]\n[[]]\n[a\n\"",
		"a = \"\"\"x\\\"\"\" # y\nb = 1\"\"\"\nc = 1\n", "[a]\n[b]\n[a.b]\n\"\\u00e9\\U0001F600\\x41\" = true\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src := &source{text: strings.TrimPrefix(text, "\ufeff")}
		src.scan()
		values, err := decode(src.text)
		if err != nil {
			p := src.syntax(err)
			if p.Line < 1 || p.Column < 1 {
				t.Fatalf("%q: problem at %d:%d", text, p.Line, p.Column)
			}
			_ = p.Pretty()
			return
		}
		if err := inside(src, &node{names: src.root.names, kids: src.root.kids, src: src}, ""); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if err := agree(src.root, values, ""); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		md, _ := toml.Decode(src.text, &map[string]any{})
		for _, key := range md.Keys() {
			if !known(src.root, key) {
				t.Fatalf("%q: key %q is not scanned", text, key)
			}
		}
	})
}

// known tells whether the tree has the key, in any element of a list.
func known(n *node, key toml.Key) bool {
	if n.kind == tables || n.kind == list {
		return len(key) == 0 || slices.ContainsFunc(n.items, func(item *node) bool { return known(item, key) })
	}
	return len(key) == 0 || n.kids[key[0]] != nil && known(n.kids[key[0]], key[1:])
}
