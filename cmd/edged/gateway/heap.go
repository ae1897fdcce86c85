// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// heapSlack is what the program may take besides an eighth more than what lives: stacks, what the runtime needs for
// itself, and garbage.
const heapSlack = 12 << 20

// heap keeps the program small: the garbage that a burst or an attack leaves is not let grow to as much as what lives, as
// is the rule, and is given back to the system. After each collection it sets anew how much may be taken, so that an idle
// gateway does nothing for it.
type heap struct {
	memory int64 // [broker.limits] memory
	over   atomic.Bool
}

// keepSmall begins to keep the heap small, unless the environment says how large it may be.
func keepSmall(memory int64) *heap {
	h := &heap{memory: memory}
	if os.Getenv("GOMEMLIMIT") == "" {
		h.adjust()
	}
	return h
}

// end leaves the heap to itself.
func (h *heap) end() {
	if !h.over.Swap(true) {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

func (h *heap) adjust() {
	if h.over.Load() {
		return
	}
	debug.SetMemoryLimit(heapLimit(liveHeap(), h.memory))
	runtime.AddCleanup(new([64]byte), (*heap).adjust, h) // the next collection finds it
}

// heapLimit is how much the program may take while so much lives. Were it hardly more than lives, the collector would
// never rest.
func heapLimit(live, memory int64) int64 { return max(memory*7/16, live+live/8+heapSlack) }

// liveHeap is how much the last collection left.
func liveHeap() int64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(live); live[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(live[0].Value.Uint64())
}
