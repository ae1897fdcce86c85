// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
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

	// of look
	allocated uint64 // bytes, since the start, at the last look
	collected uint64 // the same, when look collected last
}

const (
	lookEvery  = time.Second
	burstBytes = 2 << 20  // allocated since look collected last: that was a burst
	calmBytes  = 64 << 10 // allocated between two looks: it is over
)

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

// keepCalm gives the garbage of each burst back to the system once that is over, as after a crowd of clients came back:
// by itself the collector lets 4 MiB lie. It returns when ctx ends.
func (h *heap) keepCalm(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.look(reading("/gc/heap/allocs:bytes"), debug.FreeOSMemory)
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes how many bytes have been allocated since the start, and collects when a burst is over.
func (h *heap) look(allocated uint64, collect func()) {
	before := h.allocated
	h.allocated = allocated
	if allocated-before > calmBytes || allocated-h.collected < burstBytes {
		return
	}
	collect()
	h.collected = allocated
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
func liveHeap() int64 { return int64(reading("/gc/heap/live:bytes")) }

// reading is a figure of the runtime's, 0 where it has none of this name.
func reading(name string) uint64 {
	one := []metrics.Sample{{Name: name}}
	if metrics.Read(one); one[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return one[0].Value.Uint64()
}
