// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

// Topics that come again have aliases towards a client that takes them, as many as it takes, and none towards others.
//
// Covers 5:3.1.2-26 5:3.1.2-27 5:3.3.2-7 5:3.3.2-8 5:3.3.2-11.
func TestAliasesTowardsClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := five("sub")
	p.TopicAliasMaximum = 2
	pub := s.clean("pub")
	for range 2 { // a connection knows nothing of the one before
		sub := s.connect(p, false)
		sub.subscribe(1, 1, "t/#", "$share/g/s/#", "r")
		for i, want := range []struct {
			topic, sent string
			alias       uint16
		}{
			{"t/one", "t/one", 1},
			{"t/one", "", 1},
			{"s/two", "s/two", 2},
			{"t/three", "t/three", 0}, // more than the client takes
			{"s/two", "", 2},
			{"t/one", "", 1},
			{"r", "r", 0}, // no longer than an alias
		} {
			pub.publish(want.topic, "x", byte(i%2), uint16(i+1))
			if i%2 == 1 {
				pub.wantAck(wire.Puback, uint16(i+1))
			}
			if m := sub.wantPayload("x"); m.topic != want.sent || m.in.Alias != want.alias {
				t.Errorf("%d: %s came with topic %q and alias %d, want %q and %d", i, want.topic, m.topic, m.in.Alias, want.sent, want.alias)
			}
		}
		sub.drop()
	}
	none := s.connect(five("none"), false)
	none.subscribe(1, 1, "t/#")
	for range 3 {
		pub.publish("t/one", "x", 0, 0)
		if m := none.wantPayload("x"); m.topic != "t/one" || m.in.Alias != 0 {
			t.Errorf("got topic %q, alias %d", m.topic, m.in.Alias)
		}
	}
}

// A packet that fits without an alias goes out without one.
func TestAliasesLeaveTheMaximumPacketSize(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := five("sub")
	p.TopicAliasMaximum, p.MaximumPacketSize = 10, 100
	sub := s.connect(p, false)
	sub.subscribe(1, 0, "topic/#")
	pub := s.clean("pub")
	for size := 60; size < 120; size++ {
		pub.publish(fmt.Sprintf("topic/%d", size), strings.Repeat("x", size), 0, 0)
	}
	pub.quiet()
	last := 0
	for h, body, err := sub.packet(patience); ; h, body, err = sub.packet(patience) {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(body) + 2; n > 100 {
			t.Fatalf("a packet of %d bytes", n)
		}
		if last = len(sub.read(h, body).payload); last == 87 {
			break
		}
	}
	sub.quiet()
}

// Covers 5:3.2.2-17 5:3.3.2-9 5:3.3.2-12 5:3.3.2-8 5:3.3.2-7 4:3.3.2-1 5:3.3.2-1.
func TestAliasesOfClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 0, "#")
	aliased := func(c *peer, alias int, topic string) {
		c.send(wire.AppendAliased(nil, &wire.Message{Topic: topic, Payload: []byte(topic)}, uint16(alias), false, 0, 0, false, false, nil, 0))
	}
	byAlias := func(c *peer, alias int) {
		c.send(wire.AppendAliased(nil, &wire.Message{Topic: "-", Payload: []byte("by")}, uint16(alias), true, 0, 0, false, false, nil, 0))
	}
	c := s.dial()
	highest := int(c.connect(five("c")).TopicAliasMaximum)
	for alias := 1; alias <= highest; alias++ {
		aliased(c, alias, fmt.Sprintf("t/%d", alias))
		sub.wantPayload(fmt.Sprintf("t/%d", alias))
		byAlias(c, alias)
		if m := sub.wantPayload("by"); m.topic != fmt.Sprintf("t/%d", alias) {
			t.Errorf("alias %d is %q", alias, m.topic)
		}
	}
	aliased(c, 1, "t/other") // an alias may be given anew
	sub.wantPayload("t/other")
	byAlias(c, 1)
	if m := sub.wantPayload("by"); m.topic != "t/other" {
		t.Errorf("alias 1 is %q", m.topic)
	}
	for what, end := range map[string]struct {
		send func(c *peer)
		want byte
	}{
		"above the maximum":        {func(c *peer) { aliased(c, highest+1, "t") }, wire.AliasInvalid},
		"alias 0":                  {func(c *peer) { c.send([]byte("\x30\x08\x00\x01t\x03\x23\x00\x00x")) }, wire.AliasInvalid},
		"of the connection before": {func(c *peer) { byAlias(c, 2) }, wire.ProtocolError},
		"no alias and no topic":    {func(c *peer) { c.send([]byte("\x30\x04\x00\x00\x00x")) }, wire.ProtocolError},
		"long topics, more than we keep": {func(c *peer) {
			for alias := 1; alias <= 2; alias++ {
				aliased(c, alias, strings.Repeat("t", 40000))
			}
		}, wire.QuotaExceeded},
	} {
		c := s.connect(five("c"), false)
		end.send(c)
		if reason := c.wantEnd(); reason != end.want {
			t.Errorf("%s: reason 0x%02x, want 0x%02x", what, reason, end.want)
		}
	}
}

// Covers 5:3.1.2-21 5:3.2.2-21 5:3.2.2-22 5:3.1.2-28 5:3.2.2-16 5:3.1.3-6 5:3.1.3-7.
func TestConnackOfMQTT5SaysWhatIsNotAsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, x := range []struct{ asked, told uint16 }{{0, 0}, {30, 0}, {60, 0}, {61, 60}, {65535, 60}} {
		p := five("c")
		p.KeepAlive = x.asked
		ack := s.dial().connect(p)
		told := uint16(0)
		if ack.ServerKeepAlive != nil {
			told = *ack.ServerKeepAlive
		}
		if told != x.told {
			t.Errorf("keep-alive of %d s: told %d", x.asked, told)
		}
		if ack.MaximumQoS != nil || ack.NoRetain || ack.NoShared || ack.NoSubIDs || ack.NoWildcards || ack.AssignedClientID != "" || ack.ResponseInfo != "" || ack.SessionExpiry != nil {
			t.Errorf("got %+v", ack)
		}
	}
	p := five("asks")
	p.WantsResponseInfo = true
	if ack := s.dial().connect(p); ack.ResponseInfo != "response/asks" {
		t.Errorf("response information %q", ack.ResponseInfo)
	}
	p.ClientID = "a/#" // nothing that could stand in a topic
	if ack := s.dial().connect(p); ack.ResponseInfo != "" {
		t.Errorf("response information %q", ack.ResponseInfo)
	}
	ids := map[string]bool{}
	for _, clean := range []bool{true, false} {
		p := five("")
		p.Clean = clean
		ids[s.dial().connect(p).AssignedClientID] = true
	}
	if len(ids) != 2 || ids[""] {
		t.Errorf("assigned %v", ids)
	}
	nc, err := s.Dial(broker.Identity{ClientID: "edged-x"})
	if err != nil {
		t.Fatal(err)
	}
	own := five("edged-x")
	own.KeepAlive = 300
	if ack := newPeer(t, nc).connect(own); ack.ServerKeepAlive != nil {
		t.Errorf("an in-process client is told a keep-alive of %d s", *ack.ServerKeepAlive)
	}
}

// Whoever publishes to nobody is told in MQTT 5, and so is who may not publish; acknowledgements have no texts.
//
// Covers 5:3.4.2-1 5:3.4.2-2 5:3.5.2-1 5:3.5.2-2 5:3.1.2-29 5:4.3.3-9 4:3.3.5-2.
func TestReasonsOfAcknowledgements(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(five("sub"), false)
	sub.subscribeAs(wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "here", QoS: 1}, {Filter: "own", QoS: 1, NoLocal: true}}})
	for _, x := range []struct {
		version byte
		topic   string
		want    string // what follows the identifier
	}{
		{5, "here", ""},
		{5, "nobody", "\x10"},
		{5, "own", ""}, // there is a subscriber, although it does not get it
		{5, "$SYS/x", "\x87"},
		{4, "here", ""},
		{4, "nobody", ""},
		{4, "$SYS/x", ""},
	} {
		c := sub
		if x.topic != "own" {
			c = s.connect(wire.ConnectPacket{Level: x.version, Clean: true, ClientID: "pub"}, false)
		}
		for qos, kind := range map[byte]byte{1: wire.Puback, 2: wire.Pubrec} {
			c.publish(x.topic, "x", qos, 7)
			if x.topic == "here" {
				sub.wantPayload("x")
			}
			if _, body := c.want(kind); string(body) != "\x00\x07"+x.want {
				t.Errorf("version %d, %s, QoS %d: % x, want reason % x", x.version, x.topic, qos, body, x.want)
			}
		}
		if x.want == "\x87" { // the refused QoS 2 exchange is over: its identifier is free
			c.publish("here", "y", 2, 7)
			c.wantAck(wire.Pubrec, 7)
			sub.wantPayload("y")
		}
	}
}

// No packet is longer than the client takes: what cannot be said is left out, or ends the connection.
//
// Covers 5:3.1.2-24 5:3.1.2-25 5:3.2.2-19 5:3.9.2-1 5:3.11.2-1 5:3.14.2-3.
func TestMaximumPacketSizeOfClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := five("small")
	p.MaximumPacketSize = 10
	c := s.dial()
	c.send(wire.AppendConnect(nil, &p))
	if h, body, err := c.packet(patience); !isEnd(err) {
		t.Errorf("a CONNACK that is too long: packet type %d, % x", h>>4, body)
	}
	p.MaximumPacketSize, p.WantsResponseInfo = 20, true // no room for response information
	c = s.connect(p, false)
	c.subscribe(1, 1, "a", "b")
	c.publish("a", strings.Repeat("x", 50), 1, 1) // discarded
	c.wantAck(wire.Puback, 1)
	c.publish("a", "x", 1, 1)
	c.wantPayload("x")
	c.wantAck(wire.Puback, 1)
	many := wire.SubscribePacket{ID: 2, Filters: make([]wire.Subscription, 30)}
	for i := range many.Filters {
		many.Filters[i].Filter = "f"
	}
	c.send(wire.AppendSubscribe(nil, &many, 5))
	h, body := c.want(wire.Disconnect)
	if h>>4 != wire.Disconnect || len(body) != 1 || body[0] != wire.TooLarge { // without a text: that is too long
		t.Errorf("got % x", body)
	}
	c = s.connect(p, false)
	c.send(wire.AppendUnsubscribe(nil, &wire.UnsubscribePacket{ID: 2, Filters: strings.Split(strings.Repeat("f,", 30)+"f", ",")}, 5))
	if reason := c.wantEnd(); reason != wire.TooLarge {
		t.Errorf("UNSUBACK: reason 0x%02x", reason)
	}
}

// The client reads why its connection ends although it goes on sending, and in words unless it wants none.
//
// Covers 5:3.14.2-1 5:3.14.2-2 5:3.14.4-1 5:3.14.4-2 5:4.13.1-1 5:4.13.2-1.
func TestDisconnectIsRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 0, "will")
	for _, texts := range []bool{true, false} {
		p := five("c")
		p.NoProblemInfo, p.Will = !texts, will("will", "gone", 0, false)
		c := s.connect(p, false)
		c.send(append([]byte{0x36, 0}, bytes.Repeat([]byte{wire.Pingreq << 4, 0}, 50000)...))
		sub.wantPayload("gone") // the will does not wait for the client to leave
		_, body := c.want(wire.Disconnect)
		d, f := wire.DecodeDisconnect(body, 5)
		if f != nil || d.Reason != wire.Malformed || texts != (d.Text == "PUBLISH flags") || d.SessionExpiry != nil {
			t.Errorf("got %+v, %v", d, f)
		}
		if h, body, err := c.packet(patience); !errors.Is(err, io.EOF) { // an end in order, no reset
			t.Errorf("after DISCONNECT: type %d, % x, %v", h>>4, body, err)
		}
		c.drop()
	}
	// A client that never leaves is left after a while.
	c := s.connect(five("stays"), false)
	c.send([]byte{0x36, 0})
	c.want(wire.Disconnect)
	eventually(t, "our side is closed too", func() bool {
		_, err := c.nc.Write([]byte{wire.Pingreq << 4, 0})
		return err != nil && !errors.Is(err, net.ErrClosed)
	})
}

// A QoS 2 message that the client has begun with is finished although it has expired meanwhile; the others are not sent.
//
// Covers 5:4.3.3-7 5:4.3.3-13 5:3.3.2-5.
func TestExpiryDoesNotBreakQoS2(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := five("sub")
	p.Clean, p.SessionExpiry, p.ReceiveMaximum = false, 100, 1
	sub := s.connect(p, false)
	sub.subscribe(1, 2, "t")
	pub := s.connect(five("pub"), false)
	m := wire.Message{Topic: "t", Expires: time.Now().Unix() + 1}
	for i, payload := range []string{"begun", "waiting"} {
		m.Payload = []byte(payload)
		pub.send(wire.AppendPublish(nil, &m, 5, 2, uint16(i+1), false, false, nil, time.Now().Unix()))
		pub.wantAck(wire.Pubrec, uint16(i+1))
	}
	first := sub.wantMessage()
	pub.quiet()
	eventually(t, "both have expired", func() bool { return time.Now().Unix() > m.Expires })
	pub.ack(wire.Pubrel, 2)
	pub.wantAck(wire.Pubcomp, 2)
	sub.drop()
	sub = s.connect(p, true)
	if again := sub.wantMessage(); again.payload != "begun" || !again.dup || again.id != first.id {
		t.Errorf("got %+v", again)
	}
	sub.ack(wire.Pubrec, first.id)
	sub.wantAck(wire.Pubrel, first.id)
	sub.ack(wire.Pubcomp, first.id)
	sub.quiet()
}
