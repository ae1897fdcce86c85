// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

func five(id string) wire.ConnectPacket {
	return wire.ConnectPacket{Level: 5, Clean: true, ClientID: id}
}

func TestNobodyOutsideWritesSYS(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 1, "$SYS/x", "#")
	c := s.connect(five("c"), false)
	c.publish("$SYS/x", "x", 1, 1)
	if reason := c.wantAck(wire.Puback, 1); reason != wire.NotAuthorized {
		t.Errorf("reason 0x%02x", reason)
	}
	if ack := s.dial().connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "w", Will: will("$SYS/x", "x", 1, true)}); ack.Code != wire.RefusedAuthority {
		t.Errorf("a will to $SYS: CONNACK %d", ack.Code)
	}
	sub.quiet()
	if n := s.Status().Refused; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// An in-process client may do what its identity says, and nothing else.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	dial := func(id broker.Identity, clean bool) *peer {
		t.Helper()
		nc, err := s.Dial(id)
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, nc)
		c.connect(wire.ConnectPacket{Level: 5, Clean: clean, ClientID: id.ClientID, SessionExpiry: 100})
		return c
	}
	id := broker.Identity{ClientID: "edged-dev-air", Publish: []string{"dev/air/#"}, Subscribe: []string{"dev/air/set"}, Queue: broker.Queue{Size: 1 << 20}}
	dev := dial(id, true)
	for filter, want := range map[string]byte{"dev/air/set": 1, "dev/+/set": 1, "#": 1, "dev/water/set": wire.NotAuthorized, "x/#": wire.NotAuthorized} {
		if got := dev.subscribe(1, 1, filter); got[0] != want {
			t.Errorf("SUBSCRIBE %q: 0x%02x, want 0x%02x", filter, got[0], want)
		}
	}
	out := s.clean("out")
	for i, topic := range []string{"dev/water/set", "dev/air/data", "dev/air/set"} {
		out.publish(topic, topic, 1, uint16(i+1))
		out.wantAck(wire.Puback, uint16(i+1))
	}
	dev.wantPayload("dev/air/set")
	dev.publish("dev/water/data", "x", 1, 1)
	if reason := dev.wantAck(wire.Puback, 1); reason != wire.NotAuthorized {
		t.Errorf("publish elsewhere: 0x%02x", reason)
	}
	dev.retain("dev/air/data", "mine", 2)
	dev.drop()
	s.restart() // nobody has dialled yet: the session goes on being owed what it subscribed to
	out = s.clean("out")
	out.publish("dev/air/set", "meanwhile", 1, 1)
	out.wantAck(wire.Puback, 1)
	out.subscribe(2, 0, "dev/air/data")
	out.wantPayload("mine")
	dev = dial(id, false)
	dev.wantPayload("meanwhile")
	dev.quiet()
}

func TestSharedSubscription(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a, b := s.connect(five("a"), false), s.connect(five("b"), false)
	for _, c := range []*peer{a, b} {
		c.subscribe(1, 1, "$share/g/t/#")
	}
	pub := s.clean("pub")
	publishAll(pub, "t/x", 0, 10)
	seen := map[string]bool{}
	for range 5 {
		for _, c := range []*peer{a, b} {
			m := c.wantMessage()
			c.ack(wire.Puback, m.id)
			seen[m.payload] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("seen %v", seen)
	}
	b.disconnect()
	eventually(t, "b is gone", func() bool { return s.Status().Clients == 2 })
	publishAll(pub, "t/x", 10, 4)
	for i := range 4 {
		a.wantPayload(strconv.Itoa(10 + i))
	}
}

func TestMQTT5Delivery(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "sub", MaximumPacketSize: 200}, false)
	for i, f := range []wire.Subscription{{Filter: "t/+", QoS: 1}, {Filter: "t/#", QoS: 0}, {Filter: "own", QoS: 1, NoLocal: true}} {
		sub.subscribeAs(wire.SubscribePacket{ID: 1, SubscriptionID: uint32(i + 1), Filters: []wire.Subscription{f}})
	}
	sub.publish("own", "x", 1, 5)
	sub.wantAck(wire.Puback, 5)
	sub.quiet()

	pub := s.connect(five("pub"), false)
	m := wire.Message{Topic: "t/1", Payload: []byte("x"), Props: []byte("\x01\x01\x03\x00\x02ct\x26\x00\x01k\x00\x01v"), Expires: time.Now().Unix() + 60}
	pub.send(wire.AppendPublish(nil, &m, 5, 1, 1, false, false, nil, time.Now().Unix()))
	pub.wantAck(wire.Puback, 1)
	got := sub.wantPayload("x")
	slices.Sort(got.in.SubIDs)
	if string(got.in.Props) != string(m.Props) || !slices.Equal(got.in.SubIDs, []uint32{1, 2}) || got.qos != 1 {
		t.Errorf("got %+v", got)
	}
	if left := got.in.Expires - time.Now().Unix(); left < 50 || left > 60 {
		t.Errorf("expires in %d s", left)
	}

	pub.publish("t/1", strings.Repeat("x", 300), 1, 2) // too large for that client
	pub.wantAck(wire.Puback, 2)
	pub.send([]byte("\x30\x0a\x00\x03t/2\x03\x23\x00\x07a" + "\x30\x07\x00\x00\x03\x23\x00\x07b")) // by alias
	for _, want := range []string{"a", "b"} {
		if m := sub.wantPayload(want); m.topic != "t/2" {
			t.Errorf("topic %q", m.topic)
		}
	}
	sub.quiet()
}

func TestMessageExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	sub.drop()
	pub := s.connect(five("pub"), false)
	for i, life := range []int64{1, 60, 0} {
		m := wire.Message{Topic: "t", Payload: []byte(strconv.Itoa(i)), Retain: i == 0}
		if life > 0 {
			m.Expires = time.Now().Unix() + life
		}
		if i == 0 {
			m.Topic = "t"
		}
		pub.send(wire.AppendPublish(nil, &m, 5, 1, uint16(i+1), false, m.Retain, nil, time.Now().Unix()))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	eventually(t, "the retained one has expired", func() bool { return len(s.Retained("t")) == 0 })
	sub = s.connect(kept(), true)
	sub.wantPayload("1")
	sub.wantPayload("2")
	sub.quiet()
}

// Covers 5:3.1.2-23 5:4.1.0-2.
func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	one := five("one")
	one.Clean, one.SessionExpiry = false, 1
	c := s.connect(one, false)
	c.subscribe(1, 1, "t")
	c.drop()
	eventually(t, "its time is over", func() bool { _, there := s.Session("one"); return !there })
	c = s.connect(one, false)
	c.send([]byte("\xe0\x07\x00\x05\x11\x00\x00\x00\x00")) // DISCONNECT ends it
	eventually(t, "it has ended", func() bool { _, there := s.Session("one"); return !there })
	publishAll(s.clean("pub"), "t", 0, 1) // owed to nobody: the subscription went with the session

	// Clean Start 0 with expiry 0 takes the session up, and ends it with the connection.
	one.SessionExpiry = 100
	c = s.connect(one, false)
	c.subscribe(1, 1, "t")
	c.drop()
	publishAll(s.clean("pub"), "t", 0, 1)
	one.SessionExpiry = 0
	c = s.connect(one, true)
	c.wantPayload("0")
	c.drop()
	eventually(t, "it has ended", func() bool { _, there := s.Session("one"); return !there })
}

// A session ends with Clean Session, and what it was owed does not come back after a restart.
func TestCleanSessionForgets(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(kept(), false)
	c.subscribe(1, 1, "t")
	c.drop()
	publishAll(s.clean("pub"), "t", 0, 3)
	c = s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "p"}, false)
	c.quiet()
	c.disconnect()
	s.restart()
	s.connect(kept(), false).quiet()
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(wire.ConnectPacket{Level: 5, ClientID: "p", SessionExpiry: 100}, false)
	c.subscribe(1, 1, "a", "b/#")
	p := wire.UnsubscribePacket{ID: 2, Filters: []string{"a", "never"}}
	c.send(wire.AppendUnsubscribe(nil, &p, 5))
	_, body := c.want(wire.Unsuback)
	if _, codes, f := wire.DecodeUnsuback(body, 5); f != nil || !slices.Equal(codes, []byte{0, wire.NoSubscription}) {
		t.Errorf("codes % x, %v", codes, f)
	}
	s.crash()
	c = s.connect(wire.ConnectPacket{Level: 5, ClientID: "p", SessionExpiry: 100}, true)
	pub := s.clean("pub")
	publishAll(pub, "a", 0, 1)
	publishAll(pub, "b/x", 1, 1)
	c.wantPayload("1")
	c.quiet()
}
