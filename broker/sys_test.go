// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// sysValues reads the messages below $SYS that are there.
func (c *peer) sysValues(retain bool) map[string]string {
	c.t.Helper()
	got := map[string]string{}
	c.send([]byte{wire.Pingreq << 4, 0})
	for {
		h, body, err := c.packet(patience)
		if err != nil {
			c.t.Fatal(err)
		}
		if h>>4 == wire.Pingresp {
			return got
		}
		m := c.read(h, body)
		if m.retain != retain || m.qos != 0 || !strings.HasPrefix(m.topic, "$SYS/broker/") {
			c.t.Errorf("got %+v", m)
		}
		got[strings.TrimPrefix(m.topic, "$SYS/broker/")] = m.payload
	}
}

// inMemory is a broker without listeners, for tests in which time is virtual.
type inMemory struct {
	*broker.Broker
	t *testing.T
}

func newInMemory(t *testing.T) *inMemory {
	t.Helper()
	cfg := broker.Defaults()
	cfg.Listen = nil
	b, err := broker.Open(cfg, "state", nil, broker.Options{FS: journaltest.New(), Version: "7"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &inMemory{b, t}
}

func (b *inMemory) connect(p wire.ConnectPacket) *peer {
	b.t.Helper()
	nc, err := b.Dial(broker.Identity{Publish: []string{"#"}, Subscribe: []string{"#", "$SYS/#"}})
	if err != nil {
		b.t.Fatal(err)
	}
	c := newPeer(b.t, nc)
	if ack := c.connect(p); ack.Code != 0 {
		b.t.Fatalf("CONNACK: %+v", ack)
	}
	return c
}

// A new subscriber gets all values at once, then those that change, every 10 s.
func TestSys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newInMemory(t)
		all, one := b.connect(five("all")), b.connect(kept())
		one.subscribe(1, 2, "#")
		one.publish("t", "12345", 0, 0)
		one.wantPayload("12345")
		one.publish("r", "123", 1, 1)
		one.wantPayload("123")
		one.wantAck(wire.Puback, 1)
		one.quiet()
		before := b.Status().JournalBytes
		all.subscribe(1, 2, "$SYS/#")
		got := all.sysValues(true)
		for topic, want := range map[string]string{
			"version": "edged version 7", "uptime": "0 seconds", "clients/connected": "2", "clients/total": "2",
			"clients/maximum": "2", "subscriptions/count": "2", "publish/messages/received": "2",
			"publish/bytes/received": "8", "publish/messages/sent": "2", "retained messages/count": "0",
			"edged/limits/clients": "0", "edged/drops": "[]", "edged/alarms": "{}", "load/messages/sent/1min": "0.00",
		} {
			if got[topic] != want {
				t.Errorf("%s: got %q, want %q", topic, got[topic], want)
			}
		}
		if heap, err := strconv.Atoi(got["heap/current"]); err != nil || heap < 1<<10 {
			t.Errorf("heap/current: %q", got["heap/current"])
		}
		time.Sleep(11 * time.Second)
		got = all.sysValues(false)
		if len(got) < 60 {
			t.Errorf("at first: %d values", len(got))
		}
		time.Sleep(10 * time.Second)
		got = all.sysValues(false)
		if got["uptime"] != "20 seconds" || got["messages/received"] == "" {
			t.Errorf("got %v", got)
		}
		if _, told := got["version"]; told || len(got) > 30 {
			t.Errorf("what is the same is told again: %v", got)
		}
		one.quiet() // # does not match $SYS
		if after := b.Status().JournalBytes; after != before {
			t.Errorf("the journal grew from %d to %d", before, after)
		}
		if owed, _ := b.Session("p"); owed.Messages != 0 {
			t.Errorf("a persistent session is owed %+v", owed)
		}
	})
}

// Subscriptions below $SYS heed how retained messages are asked for.
func TestSysHeedsRetainHandling(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(five("c"), false)
	sub := wire.Subscription{Filter: "$SYS/broker/version", RetainHandling: 2}
	c.subscribeAs(wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{sub}})
	c.quiet()
	sub.RetainHandling = 0
	c.subscribeAs(wire.SubscribePacket{ID: 2, SubscriptionID: 9, Filters: []wire.Subscription{sub}})
	if m := c.wantMessage(); !m.retain || m.in.SubIDs == nil {
		t.Errorf("got %+v", m)
	}
}
