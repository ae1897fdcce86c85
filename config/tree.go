// SPDX-License-Identifier: Apache-2.0

package config

// span is a range of bytes of a file.
type span struct{ from, to int }

// kind says how a node of the tree was written.
type kind int

const (
	implicit kind = iota // a table that is only named on the way to another, as device in [device.air]
	header               // [table]
	inline               // { … }
	list                 // [ … ]
	tables               // [[table]]: items are the tables
	scalar
)

// node is a key, table or list element of a file, with the places where it stands.
type node struct {
	src   *source
	key   span // its name where it was first written; of a list element: the element
	value span // its value; of a table with a header: the name in the header
	kind  kind
	raw   any // what the decoder made of it

	kids  map[string]*node // of a table
	names []string         // of kids, in the order of the file
	items []*node          // of a list
}

func (n *node) isTable() bool { return n.kind == implicit || n.kind == header || n.kind == inline }

// child returns the kid of that name and whether it was there before.
func (n *node) child(name string, at span) (*node, bool) {
	if k, ok := n.kids[name]; ok {
		return k, true
	}
	k := &node{src: n.src, key: at, value: at}
	n.adopt(name, k)
	return k, false
}

func (n *node) adopt(name string, k *node) {
	if n.kids == nil {
		n.kids = map[string]*node{}
	}
	if _, ok := n.kids[name]; !ok {
		n.names = append(n.names, name)
	}
	n.kids[name] = k
}

// attach gives every node what the decoder made of it. What the decoder found and the scanner did not, which would be
// a fault of the scanner, takes the place of the table it is in: an inexact position is better than a lost key.
func (n *node) attach(v any) {
	n.raw = v
	switch v := v.(type) {
	case map[string]any:
		if !n.isTable() {
			n.kind = implicit
		}
		for name, kid := range v {
			k, _ := n.child(name, n.key)
			k.attach(kid)
		}
	case []any:
		n.list(list, len(v))
		for i, item := range v {
			n.items[i].attach(item)
		}
	case []map[string]any:
		n.list(tables, len(v))
		for i, item := range v {
			n.items[i].attach(item)
		}
	default:
		n.kind = scalar
	}
}

func (n *node) list(k kind, length int) {
	if n.kind != list && n.kind != tables {
		n.kind = k
	}
	for len(n.items) < length {
		n.items = append(n.items, &node{src: n.src, key: n.key, value: n.value})
	}
}

// explicit tells whether a file gives the table a header or keys of its own, and where.
func (n *node) explicit() (span, bool) {
	switch n.kind {
	case implicit:
	case header:
		return n.value, true
	default:
		return n.key, true
	}
	for _, name := range n.names {
		if k := n.kids[name]; k.kind != implicit && k.kind != header {
			return k.key, true
		}
	}
	return span{}, false
}
