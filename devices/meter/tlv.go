// SPDX-License-Identifier: Apache-2.0

package meter

// Bounds of what is read of a file, that no meter comes near.
const (
	smlDepth = 8
	smlNodes = 2048
)

// kind is the type of a node (SML 1.04, 6.3.1: the upper bits of its first byte).
type kind uint8

const (
	octetString kind = 0
	boolean     kind = 4
	signedInt   kind = 5
	unsignedInt kind = 6
	listOf      kind = 7
)

// node is a value or a list of them. The zero node is absent.
type node struct {
	kind  kind
	data  []byte
	items []node
}

// item gives the i-th of a list; the zero node where there is none.
func (n node) item(i int) node {
	if n.kind != listOf || i >= len(n.items) {
		return node{}
	}
	return n.items[i]
}

// octets gives the bytes of an octet string.
func (n node) octets() (b []byte, ok bool) { return n.data, n.kind == octetString && len(n.data) > 0 }

// integer gives a number; one without a sign that has 64 bits may come out negative.
func (n node) integer() (x int64, ok bool) {
	if n.kind != signedInt && n.kind != unsignedInt || len(n.data) == 0 || len(n.data) > 8 {
		return 0, false
	}
	if n.kind == signedInt && n.data[0] >= 0x80 {
		x = -1
	}
	for _, b := range n.data {
		x = x<<8 | int64(b)
	}
	return x, true
}

// reader takes nodes off bytes.
type reader struct {
	b      []byte
	nodes  int
	broken bool
}

// next takes one node: type and length, with further bytes of length while the highest bit is set, then its bytes or
// items. The length of a value counts the bytes that tell it.
func (r *reader) next(depth int) (n node) {
	if r.nodes++; len(r.b) == 0 || depth > smlDepth || r.nodes > smlNodes {
		r.broken = true
		return n
	}
	first := r.b[0]
	n.kind = kind(first >> 4 & 7)
	length, head := int(first&15), 1
	for more := first >= 0x80; more; head++ {
		if head >= len(r.b) || head > 3 {
			r.broken = true
			return node{}
		}
		length = length<<4 | int(r.b[head]&15)
		more = r.b[head] >= 0x80
	}
	r.b = r.b[head:]
	if n.kind == listOf {
		for i := 0; i < length && !r.broken; i++ {
			n.items = append(n.items, r.next(depth+1))
		}
		return n
	}
	size := length - head
	if first == 0 { // the end of a message, which stands where a value may
		size = 0
	}
	if size < 0 || size > len(r.b) {
		r.broken = true
		return node{}
	}
	n.data, r.b = r.b[:size], r.b[size:]
	return n
}
