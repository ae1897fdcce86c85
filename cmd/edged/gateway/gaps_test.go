// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
	"edged/broker"
)

// What a session gives up within a second is told by one event, with the first and last seq of each topic; that an event
// itself was given up is not.
func TestGapsBecomeOneEventASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGaps()
		var mu sync.Mutex
		var events []bridge.Event
		told := uint64(0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.run(ctx, func(e bridge.Event) <-chan struct{} {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
			done := make(chan struct{})
			close(done)
			return done
		}, func(x *broker.Gap) { told += x.Messages })
		gap := func(topic, first, last string, n uint64) broker.Gap {
			return broker.Gap{ClientID: "edged-uplink", Reason: "queue", Messages: n, Bytes: 10, Topics: []broker.GapTopic{
				{Topic: topic, Messages: n, First: []byte(first), Last: []byte(last)},
			}}
		}
		g.add(gap("edged/gw/event", "{}", "{}", 1))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(events) != 0 {
			t.Fatalf("events about events: %+v", events)
		}
		g.add(gap("a/data", `{"seq":1}`, `{"seq":1}`, 1))
		synctest.Wait()
		g.add(gap("a/data", `{"seq":2}`, `{"seq":5}`, 4))
		g.add(gap("a/data", `{"seq":6}`, `{"seq":9}`, 4))
		g.add(gap("b", `no JSON`, `no JSON`, 1))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if len(events) != 2 || events[1].Code != GivenUp {
			t.Fatalf("got %+v", events)
		}
		want := "9 messages (30 bytes) for edged-uplink were given up, because its queue is full; a/data: 8, seq 2 to 9; b: 1"
		if events[1].Text != want {
			t.Errorf("got %q\nwant %q", events[1].Text, want)
		}
		g.add(broker.Gap{ClientID: "edged-uplink", Reason: "damage", Messages: 3})
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if want := "3 messages (0 bytes) for edged-uplink were given up, because their records in the journal are damaged"; len(events) != 3 || events[2].Text != want {
			t.Errorf("got %+v\nwant %q", events[2:], want)
		}
		seen := len(events)
		for range 3600 { // each second, for an hour
			g.add(gap("a/data", `{"seq":1}`, `{"seq":1}`, 1))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		mu.Lock()
		n := len(events) - seen
		mu.Unlock()
		if n > 20 {
			t.Errorf("%d events in an hour", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if told != 3613 {
			t.Errorf("%d are told for good, of 3613", told)
		}
	})
}
