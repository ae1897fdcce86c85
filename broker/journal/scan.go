// SPDX-License-Identifier: Apache-2.0

package journal

import "bytes"

// span is a stretch of a segment that holds no valid record, with valid ones after it.
type span struct{ from, to int }

// layout is what a scan finds in a segment.
type layout struct {
	end     int    // where the last valid record ends
	last    byte   // its kind; 0 when there is none
	damaged []span // broken although it was durable
	torn    []span // broken after the last mark: never durable, or damaged
}

// scan gives every valid record in b to found, going on behind what is broken.
func (i ident) scan(b []byte, found func(off int, kind byte, body []byte)) layout {
	var l layout
	budget := scanBudget
	for at := 0; ; {
		kind, body, ok := i.parse(b[at:])
		if !ok {
			next := i.resync(b, at+1, &budget)
			if next < 0 {
				return l
			}
			l.torn = append(l.torn, span{at, next})
			at = next
			continue
		}
		if kind == kindMark {
			l.damaged = append(l.damaged, l.torn...)
			l.torn = nil
		}
		if kind >= KindFirst {
			found(at, kind, body)
		}
		at += header + len(body)
		l.end, l.last = at, kind
	}
}

// scanBudget bounds the bytes that one search sums up in vain, so that a payload made of record heads cannot make a
// start take minutes. Honest contents use a thousandth.
const scanBudget = 64 << 20

// resync is where the first valid record at or behind from begins, -1 when there is none.
func (i ident) resync(b []byte, from int, budget *int) int {
	for at := from; at+header <= len(b) && *budget > 0; at++ {
		k := bytes.IndexByte(b[at:], magic)
		if k < 0 {
			return -1
		}
		at += k
		n := claimed(b[at:])
		if n == 0 || n > len(b)-at {
			continue
		}
		if _, _, ok := i.parse(b[at:]); ok {
			return at
		}
		*budget -= n
	}
	return -1
}
