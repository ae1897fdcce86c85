// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// In an outage the disk runs full: what is live goes on, no event is lost, and what was given up is counted.
func TestDiskFullInAnOutage(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	n := watch(t, newCloud(t, r, ""))
	g := &gateway{at: r.gateway, dir: t.TempDir(), bin: program(), port: 1883}
	g.state = filepath.Join(g.dir, "state")
	v := newVolume(t, "ext4", 30, g.state)
	g.launch(t, plain(""))
	g.linked(t, 20*time.Second)
	here := listen(t, g, "plant/#")
	r.unplug(t)
	pause(time.Second)
	f := &traffic{g: g, window: 500}
	f.begin(t)
	events := 0
	event := func() {
		events++
		say(t, g.at, g.port, eventTopic, fmt.Sprintf(`{"number":%d}`, events))
	}
	eventually(t, 2*time.Minute, "the gateway has given messages up, or is full", func() bool {
		event()
		pause(200 * time.Millisecond)
		return g.link(t).Dropped > 0 || !g.heard(time.Time{}, "E601").IsZero()
	})
	t.Logf("%d messages acknowledged, %d KiB of the disk left", f.acknowledged(), v.available(t)>>10)
	for range 10 {
		had := here.arrived()
		event()
		eventually(t, 5*time.Second, "what is live goes on", func() bool { return here.arrived() > had })
	}
	f.stop()
	dropped := g.link(t).Dropped
	r.plug(t)
	eventually(t, 2*time.Minute, "the backlog is in the cloud", func() bool { l := g.link(t); return l.State == "up" && l.Backlog.Messages == 0 })
	pause(time.Second)
	lost := n.missing(f)
	t.Logf("%d acknowledged, %d not in the cloud, %d counted as dropped, %d events", f.acknowledged(), lost, dropped, events)
	// What was on its way when the link broke is counted as given up, and may have arrived all the same.
	if lost > dropped || lost < dropped-inflight {
		t.Errorf("%d messages were given up, %d counted", lost, dropped)
	}
	if dropped == 0 {
		t.Error("nothing was given up: this shows nothing")
	}
	if got := n.eventsLike(`"number"`); got != events {
		t.Errorf("%d of %d events are in the cloud", got, events)
	}
}
