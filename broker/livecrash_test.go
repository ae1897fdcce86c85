// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"maps"
	"testing"

	"edged/mqtt/wire"
)

// After a crash the live messages that were not acknowledged are sent again before the backlog goes on.
func TestLiveStaysLiveOverACrash(t *testing.T) {
	t.Parallel()
	for _, how := range []int{0, 1, 2} {
		f := newFar(t, 20)
		f.publish(2000)
		f.attach()
		eventually(t, "the window is full", func() bool { f.look(); return len(f.open) == f.window })
		f.publish(60)
		for range 40 {
			f.acknowledge(0)
			f.look()
		}
		f.publish(1) // so that the broker has heard of what was acknowledged, and has it on disk
		first := 0
		for first = 2000; f.acked[first]; first++ {
		}
		f.part(how)
		f.attach()
		came := map[int]bool{}
		for !came[2060] {
			for len(f.open) > 0 {
				f.acknowledge(0)
			}
			eventually(t, "more comes", func() bool {
				for _, n := range f.look() {
					came[n] = true
				}
				return len(f.open) > 0
			})
		}
		backlog := 0
		for n := range came {
			if n < 2000 {
				backlog++
			}
		}
		if live := 2061 - first; backlog > live/3+f.window || len(came)-backlog < live {
			t.Errorf("%d: with the %d live messages that were left %d of the backlog came and %d live", how, live, backlog, len(came)-backlog)
		}
		f.drain()
	}
}

// What is retained at the far end is the newest of its topic in the end, although older messages come after it: these come
// without RETAIN. That holds over a crash.
func TestLiveIsNotReplacedAsRetained(t *testing.T) {
	t.Parallel()
	for _, how := range []int{-1, 0, 1, 2} {
		f := newFar(t, 20)
		f.attach()
		f.conn.subscribeAs(wire.SubscribePacket{ID: 9, Filters: []wire.Subscription{{Filter: "t/#", QoS: 1, RetainAsPublished: true}}})
		f.part(0)
		for i := range 1000 {
			f.pub.retain(fmt.Sprint("t/", i%3), fmt.Sprint(i), uint16(i+1))
		}
		f.attach()
		eventually(t, "the window is full", func() bool { f.look(); return len(f.open) == f.window })
		f.pub.retain("t/0", "5000", 1)
		for f.ids[5000] == 0 {
			f.acknowledge(0)
			f.look()
		}
		for len(f.open) > 0 {
			f.acknowledge(0)
		}
		f.look()
		f.pub.retain("t/1", "6000", 2)
		if how >= 0 {
			f.part(how)
			f.attach()
		}
		for f.status().Messages > 0 {
			f.look()
			for len(f.open) > 0 {
				f.acknowledge(0)
			}
		}
		if want := map[string]string{"t/0": "5000", "t/1": "6000", "t/2": "998"}; !maps.Equal(f.retained, want) {
			t.Errorf("%d: %v are retained, want %v", how, f.retained, want)
		}
	}
}
