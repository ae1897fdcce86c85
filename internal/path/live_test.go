// SPDX-License-Identifier: Apache-2.0

package path

import (
	"slices"
	"testing"
	"time"
)

// goOn is more of a traffic that has ended: the numbers go on, and all of it is judged together.
func goOn(t *testing.T, f *traffic) *traffic {
	t.Helper()
	more := &traffic{g: f.g, gap: 40 * time.Millisecond, window: window, next: f.next}
	for i := range f.acked {
		more.acked[i] = slices.Clone(f.acked[i])
	}
	more.begin(t)
	return more
}

// reached waits until a number has come on the first topic, and returns how many others of the traffic came until then.
func (n *counter) reached(t *testing.T, seq int) int {
	t.Helper()
	eventually(t, time.Minute, "a live message is in the cloud", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.topics[0].newest >= seq
	})
	return n.arrived()
}

// With order = "live-first" what is published after an outage does not wait behind the backlog, nothing is lost, and both keep
// their order: while the backlog drains, when the gateway dies in the middle of that, and when the link goes and comes.
func TestLiveFirst(t *testing.T) {
	t.Parallel()
	const cuts = 2
	count := either(12_000, 200_000)
	r := newRoad(t)
	c := newCloud(t, r, "")
	x := newTap(t, c, 1884)
	n := watch(t, c)
	g := newGateway(t, r, plainAt(1884, "queue = { order = \"live-first\" }\nrate = { messages = 1000 }\n"))
	g.linked(t, 20*time.Second)
	r.unplug(t)
	f := &traffic{g: g, most: count / topics, window: 500}
	f.begin(t)
	eventually(t, 10*time.Minute, "all is acknowledged", func() bool { return f.acknowledged() >= count })
	f.stop()
	r.plug(t)
	n.flows(t, time.Minute)
	mark := f.next[0]
	f = goOn(t, f)
	took := time.Now()
	before := n.reached(t, mark)
	t.Logf("the first live message came %v after the first of the backlog, with %d of %d others", time.Since(took).Round(time.Millisecond), before, count)
	if before > count/2 {
		t.Errorf("the first live message waited behind %d of %d", before, count)
	}
	g.kill()
	g.start(t)
	n.flows(t, time.Minute)
	for range cuts {
		r.unplug(t)
		pause(2 * time.Second)
		r.plug(t)
		n.flows(t, time.Minute)
	}
	f.stop()
	if left := g.link(t).Backlog.Messages; left == 0 {
		t.Error("there is no backlog any more: the faults were not in its middle")
	}
	n.inTwoOrders(t, f, 5*time.Minute, cuts*inflight+inflight+window)
	x.verdict(t)
}
