// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math/rand/v2"
	"testing"
)

// Whatever is added and dropped, a set holds what a map of the same numbers does, in stretches that do not touch.
func TestRangesHoldWhatAMapDoes(t *testing.T) {
	t.Parallel()
	by := rand.New(rand.NewPCG(1, 2))
	var r ranges
	want := map[uint64]bool{}
	for step := range 5000 {
		from := by.Uint64N(200)
		to := from + by.Uint64N(4)
		switch by.IntN(20) {
		case 0:
			r.dropBelow(from)
			for n := range from {
				delete(want, n)
			}
		default:
			r.add(from, to)
			for n := from; n < to; n++ {
				want[n] = true
			}
		}
		for n := range uint64(210) {
			if r.has(n) != want[n] {
				t.Fatalf("step %d: has(%d) is %v: %v", step, n, r.has(n), r)
			}
		}
		if r.count() != uint64(len(want)) {
			t.Fatalf("step %d: count %d, want %d", step, r.count(), len(want))
		}
		for i := 1; i < len(r); i++ {
			if r[i].from <= r[i-1].to {
				t.Fatalf("step %d: stretches touch: %v", step, r)
			}
		}
		if below := r.below(from); below.count() != r.count()-above(r, from) {
			t.Fatalf("step %d: below(%d) is %v of %v", step, from, below, r)
		}
	}
}

func above(r ranges, n uint64) uint64 {
	r = append(ranges(nil), r...)
	r.dropBelow(n)
	return r.count()
}
