// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"testing"
)

func TestCount(t *testing.T) {
	const mend = ^uint64(0) // stands for a link that was mended
	for _, c := range []struct {
		name string
		seqs []uint64
		want tally
	}{
		{"in order", []uint64{7, 8, 9}, tally{came: 3}},
		{"a gap", []uint64{7, 8, 10, 11}, tally{came: 4, lost: 1}},
		{"a gap that closes late", []uint64{7, 10, 8, 9}, tally{came: 4, behind: 2}},
		{"repeats of what was in flight", []uint64{7, 8, 9, mend, 8, 9, 10}, tally{came: 4, repeated: 2}},
		{"repeats without a cut", []uint64{7, 8, 9, 8, 9, 10}, tally{came: 4, stray: 2}},
		{"repeats twice after one cut", []uint64{7, 8, mend, 8, 9, 8}, tally{came: 3, repeated: 1, stray: 1}},
		{"a hole in the repeats", []uint64{7, 8, 9, 10, mend, 8, 10, 11}, tally{came: 5, repeated: 1, stray: 1}},
		{"a late repeat", []uint64{7, 8, mend, 9, 8}, tally{came: 3, stray: 1}},
		{"starts at zero", []uint64{0, 1, mend, 1, 2}, tally{came: 3, repeated: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newCount()
			for _, s := range c.seqs {
				if s == mend {
					n.mended()
					continue
				}
				if err := n.add("edged/gw/dev/a/data", fmt.Appendf(nil, `{"seq":%d}`, s)); err != nil {
					t.Fatal(err)
				}
			}
			if got := n.tally(); got != c.want {
				t.Errorf("%v: got %+v, want %+v", c.seqs, got, c.want)
			}
		})
	}
}

func TestCountRefusesWhatHasNoSeq(t *testing.T) {
	for _, payload := range []string{"", "{}", `{"seq":-1}`, `{"seq":"x"}`, "null"} {
		if err := newCount().add("edged/gw/dev/a/data", []byte(payload)); err == nil {
			t.Errorf("%q is taken", payload)
		}
	}
}
