// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"testing"
	"testing/synctest"
	"time"
)

// A burst is a second's worth at most, and after it the rate holds, of whichever bound is the closer; a message that is
// larger than a second's worth goes, and is paid for.
func TestRate(t *testing.T) {
	for _, x := range []struct {
		name     string
		rate     Rate
		size, n  int
		atLeast  time.Duration
		idle     time.Duration // after the first
		instants int           // how many go at once
	}{
		{"none", Rate{}, 1000, 100000, 0, 0, 100000},
		{"messages", Rate{Messages: 10}, 1000, 50, 4 * time.Second, 0, 10},
		{"bytes", Rate{Bytes: 1000}, 100, 50, 4 * time.Second, 0, 10},
		{"both", Rate{Messages: 100, Bytes: 1000}, 100, 50, 4 * time.Second, 0, 10},
		{"larger than the bucket", Rate{Bytes: 100}, 1000, 5, 39 * time.Second, 0, 1},
		{"a long rest saves no more than a second", Rate{Messages: 10}, 1, 31, 2 * time.Second, time.Hour, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := throttle{rate: x.rate}
			take := func() {
				if err := p.take(t.Context(), x.size); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			instants := 0
			for i := range x.n {
				if take(); time.Since(began) == 0 {
					instants++
				}
				if i == 0 && x.idle > 0 {
					time.Sleep(x.idle)
					began = time.Now()
				}
			}
			took := time.Since(began)
			if took < x.atLeast-x.atLeast/20 || took > x.atLeast+x.atLeast/20+time.Millisecond {
				t.Errorf("%s: %d took %v, want %v", x.name, x.n, took, x.atLeast)
			}
			if x.idle == 0 && instants != x.instants {
				t.Errorf("%s: %d went at once, want %d", x.name, instants, x.instants)
			}
		})
	}
}
