// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestHeapLimit(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, x := range []struct{ live, memory, want int64 }{
		{3 * mib, 64 * mib, 28 * mib},
		{64 * mib, 64 * mib, 84 * mib}, // more than memory lives: the collector must not run all the time
		{3 * mib, 16 * mib, 3*mib + 3*mib/8 + 12*mib},
	} {
		if got := heapLimit(x.live, x.memory); got != x.want {
			t.Errorf("live %d, memory %d: got %d, want %d", x.live, x.memory, got, x.want)
		}
	}
}

// The limit follows what lives, by itself, and is lifted at the end.
func TestHeapFollowsWhatLives(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	h := keepSmall(16 << 20)
	ballast := make([]byte, 64<<20)
	for limit := debug.SetMemoryLimit(-1); limit < 64<<20; limit = debug.SetMemoryLimit(-1) {
		if limit == before {
			t.Fatal("there is no limit")
		}
		runtime.GC()
	}
	runtime.KeepAlive(ballast)
	h.end()
	if after := debug.SetMemoryLimit(-1); after != math.MaxInt64 {
		t.Errorf("at the end the limit is %d", after)
	}
}

// Garbage is collected when a burst is over, once, and not while it lasts, nor for what an idle gateway allocates.
func TestBurstIsCollectedOnceOver(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	h := &heap{}
	collected := 0
	for second, x := range []struct {
		allocated uint64
		want      int
	}{
		{5 * mib, 0}, // the start
		{5*mib + 1000, 1},
		{5*mib + 2000, 1},
		{9 * mib, 1}, // a burst
		{15 * mib, 1},
		{15*mib + calmBytes, 2},
		{15*mib + 2*calmBytes, 2},
		{15*mib + 3*calmBytes, 2},
	} {
		h.look(x.allocated, func() { collected++ })
		if collected != x.want {
			t.Errorf("second %d: collected %d times, want %d", second, collected, x.want)
		}
	}
}
