// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"testing"
	"time"

	"edged/mqtt"
)

// drained waits until so many messages arrived after the first, and returns how many a second that were.
func drained(t *testing.T, n *counter, had, count int) float64 {
	t.Helper()
	n.flows(t, time.Minute)
	first := n.arrived()
	began := time.Now()
	eventually(t, 10*time.Minute, "the backlog is in the cloud", func() bool { return n.arrived() >= had+count })
	return float64(had+count-first) / time.Since(began).Seconds()
}

// A large backlog takes memory of no account, and is drained as fast as the same client could publish it from memory.
func TestBacklog(t *testing.T) {
	count := either(60_000, 1_000_000)
	if !full() { // the whole campaign measures, and so is alone
		t.Parallel()
	}
	r := newRoad(t)
	c := newCloud(t, r, "")
	n := watch(t, c)
	g := newGateway(t, r, plain(""))
	g.linked(t, 20*time.Second)
	r.unplug(t)
	f := &traffic{g: g, most: count / topics, window: 500}
	began := time.Now()
	f.begin(t)
	eventually(t, 10*time.Minute, "all is acknowledged", func() bool { return f.acknowledged() >= count })
	f.stop()
	t.Logf("%d messages were acknowledged in %v", count, time.Since(began).Round(time.Second))
	r.plug(t)
	fromDisk := drained(t, n, 0, count)
	most := g.memory(t, "VmHWM")
	t.Logf("drained at %.0f messages a second; the gateway had %d KiB at most", fromDisk, most)
	if most > 32<<10 {
		t.Errorf("%d messages took %d KiB of memory, more than 32 MiB", count, most)
	}
	n.verdict(t, f, time.Minute, inflight)
	if !full() {
		return
	}
	fromMemory := reference(t, r, n, count/10)
	t.Logf("the same client without a disk: %.0f messages a second, the gateway %.2f of that", fromMemory, fromDisk/fromMemory)
	if fromDisk < 0.9*fromMemory {
		t.Errorf("drained at %.0f messages a second, less than 0.9 of the %.0f of the same client without a disk", fromDisk, fromMemory)
	}
}

// reference publishes from memory over the same road with the client and the window that the uplink has.
func reference(t *testing.T, r *road, n *counter, count int) float64 {
	t.Helper()
	nc, err := r.gateway.dial(fmt.Sprint(cloudIP, ":1883"))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := mqtt.Connect(t.Context(), nc, mqtt.NewSession(), mqtt.Config{ClientID: "reference", Version: 4, Clean: true, KeepAlive: time.Minute, Window: inflight})
	if err != nil {
		t.Fatal(err)
	}
	had := n.arrived()
	go func() {
		for seq := range count {
			if _, err := c.Publish(t.Context(), mqtt.Message{Topic: topic(seq % topics), Payload: payload(seq), QoS: 1}); err != nil {
				return
			}
		}
	}()
	rate := drained(t, n, had, count)
	closed(t, c.Close())
	return rate
}
