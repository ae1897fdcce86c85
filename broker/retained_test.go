// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strconv"
	"testing"

	"edged/mqtt/wire"
)

func TestRetained(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub := s.clean("pub")
	for i, topic := range []string{"r/a", "r/b", "r/c"} {
		pub.retain(topic, "old", uint16(i+1))
	}
	pub.retain("r/a", "new", 4)
	pub.retain("r/c", "", 5)
	s.crash()
	sub := s.connect(five("sub"), false)
	sub.subscribe(1, 1, "r/#")
	for _, want := range []string{"r/a new", "r/b old"} {
		m := sub.wantMessage()
		sub.ack(wire.Puback, m.id)
		if m.topic+" "+m.payload != want || !m.retain || m.qos != 1 {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
	sub.quiet()
	pub = s.clean("pub")
	pub.retain("r/b", "live", 1)
	if m := sub.wantPayload("live"); m.retain {
		t.Error("RETAIN on a live delivery without Retain As Published")
	}
	again := func(handling byte) {
		sub.subscribeAs(wire.SubscribePacket{ID: 3, Filters: []wire.Subscription{{Filter: "r/b", QoS: 1, RetainHandling: handling, RetainAsPublished: true}}})
	}
	again(1) // a new subscription
	sub.wantPayload("live")
	again(1)
	again(2)
	sub.quiet()
	again(0)
	sub.wantPayload("live")
	pub.retain("r/b", "as published", 2)
	if m := sub.wantPayload("as published"); !m.retain {
		t.Error("no RETAIN although it is as published")
	}
	sub.quiet()
}

// Whoever subscribes while messages are published and retained gets, from the one that is retained at that moment on,
// every one, once and in order.
func TestSubscribingDuringRetainedTraffic(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub, sub := s.clean("pub"), s.clean("sub")
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-done }()
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				pub.retain("r", strconv.Itoa(i), 1)
			}
		}
	}()
	subscribe := wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "r/#"}}}, 4)
	unsubscribe := wire.AppendUnsubscribe(nil, &wire.UnsubscribePacket{ID: 2, Filters: []string{"r/#"}}, 4)
	for round := range 400 {
		sub.send(subscribe)
		last, got := 0, 0
		for ended := false; !ended; {
			h, body, err := sub.packet(patience)
			if err != nil {
				t.Fatalf("round %d after %d messages: %v", round, got, err)
			}
			if ended = h>>4 == wire.Unsuback; ended || h>>4 != wire.Publish {
				continue
			}
			m := sub.read(h, body)
			n, _ := strconv.Atoi(m.payload)
			if got > 0 && n != last+1 {
				t.Fatalf("round %d: %d follows %d, retain %v", round, n, last, m.retain)
			}
			if last, got = n, got+1; got == 4 {
				sub.send(unsubscribe)
			}
		}
	}
}

func TestRetainedCommandsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.opts.NoRetain = []string{"edged/+/dev/+/set"} })
	const topic = "edged/gw/dev/air/set"
	sub := s.clean("sub")
	sub.subscribe(1, 1, "edged/#")
	five, four := s.connect(five("5"), false), s.clean("4")
	for i, c := range []*peer{five, four} {
		c.send(c.frame(topic, "x", 1, 7, true))
		if reason := c.wantAck(wire.Puback, 7); c == five && reason != wire.NotAuthorized {
			t.Errorf("reason 0x%02x", reason)
		}
		c.send(c.frame(topic, "x", 0, 0, true))
		c.send(c.frame(topic, "x", 2, 8, true))
		if reason := c.wantAck(wire.Pubrec, 8); c == five && reason != wire.NotAuthorized {
			t.Errorf("reason 0x%02x", reason)
		}
		c.quiet()
		if n := s.Status().Commands; n != uint64(3*(i+1)) {
			t.Errorf("%d counted, want %d", n, 3*(i+1))
		}
	}
	sub.quiet()
	five.publish(topic, "fine", 1, 9)
	five.wantAck(wire.Puback, 9)
	sub.wantPayload("fine")
}
