// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"edged/mqtt/wire"
)

// frames reads the next packet as bytes.
func (c *peer) wantBytes(what, want string) {
	c.t.Helper()
	h, body, err := c.packet(patience)
	if got := string(append([]byte{h, byte(len(body))}, body...)); err != nil || got != want {
		c.t.Errorf("%s: got % x, %v; want % x", what, got, err, want)
	}
}

// SUBSCRIBE and UNSUBSCRIBE are answered with their identifier and, for each filter, a code in its place.
//
// Covers 4:2.3.1-7 4:3.8.4-1 4:3.8.4-2 4:3.8.4-4 4:3.8.4-5 4:3.9.3-1 4:3.9.3-2 4:3.10.4-1 4:3.10.4-2 4:3.10.4-4 4:3.10.4-5
// 4:3.10.4-6 5:2.2.1-6 5:3.8.4-1 5:3.8.4-2 5:3.8.4-5 5:3.8.4-6 5:3.8.4-7 5:3.9.3-1 5:3.9.3-2 5:3.10.4-1 5:3.10.4-2
// 5:3.10.4-4 5:3.10.4-5 5:3.10.4-6 5:3.11.3-1 5:3.11.3-2.
func TestAnswersToSubscribe(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SubscriptionsPerClient = 4 })
	four, five := s.clean("4"), s.connect(five("5"), false)
	for c, x := range map[*peer]struct{ props, refused, none string }{four: {"", "\x80", ""}, five: {"\x00", "\x97", "\x00"}} {
		filters := "\x00\x01a\x02" + "\x00\x01b\x00" + "\x00\x03c/#\x01" + "\x00\x01a\x01" + "\x00\x01A\x02" + "\x00\x01d\x02"
		body := "\xfe\xdc" + x.props + filters
		c.send(append([]byte{0x82, byte(len(body))}, body...))
		answer := "\xfe\xdc" + x.props + "\x02\x00\x01\x01\x02" + x.refused // d is one too many
		c.wantBytes("SUBACK", string([]byte{0x90, byte(len(answer))})+answer)
		for _, topic := range []string{"a", "A", "b", "c/x/y", "d"} {
			c.publish(topic, topic, 0, 0)
		}
		for _, topic := range []string{"a", "A", "b", "c/x/y"} {
			c.wantPayload(topic)
		}
		body = "\x00\x07" + x.props + "\x00\x01a" + "\x00\x03c/x" + "\x00\x05c/x/y" + "\x00\x01b"
		c.send(append([]byte{0xa2, byte(len(body))}, body...))
		answer = "\x00\x07" + x.props
		if x.props != "" {
			answer += "\x00\x11\x11\x00" // c/x and c/x/y are not what c/# is, although they match it
		}
		c.wantBytes("UNSUBACK", string([]byte{0xb0, byte(len(answer))})+answer)
		for _, topic := range []string{"a", "A", "b", "c/x/y", "d"} {
			c.publish(topic, topic, 0, 0)
		}
		for _, topic := range []string{"A", "c/x/y"} {
			c.wantPayload(topic)
		}
		body = "\x00\x08" + x.props + "\x00\x05never"
		c.send(append([]byte{0xa2, byte(len(body))}, body...))
		if answer = "\x00\x08" + x.props; x.props != "" {
			answer += "\x11"
		}
		c.wantBytes("UNSUBACK for nothing", string([]byte{0xb0, byte(len(answer))})+answer)
		c.drop()
	}
}

// What was begun before UNSUBSCRIBE is finished, on the next connection too.
//
// Covers 4:3.10.4-3 5:3.10.4-3.
func TestUnsubscribeFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		s := newSite(t, nil)
		sub := s.connect(held(version, "sub"), false)
		sub.subscribe(1, 2, "t")
		pub := s.clean("pub")
		publish := func(payload string, qos byte) {
			pub.publish("t", payload, qos, 1)
			if qos == 1 {
				pub.wantAck(wire.Puback, 1)
				return
			}
			pub.wantAck(wire.Pubrec, 1)
			pub.ack(wire.Pubrel, 1)
			pub.wantAck(wire.Pubcomp, 1)
		}
		publish("one", 1)
		publish("two", 2)
		one, two := sub.wantPayload0("one"), sub.wantPayload0("two")
		sub.send(wire.AppendUnsubscribe(nil, &wire.UnsubscribePacket{ID: 2, Filters: []string{"t"}}, version))
		sub.want(wire.Unsuback)
		publish("late", 1)
		sub.quiet()
		sub.reset()
		sub = s.connect(held(version, "sub"), true)
		if m := sub.wantPayload0("one"); m.id != one.id {
			t.Errorf("identifier %d, want %d", m.id, one.id)
		}
		sub.ack(wire.Puback, one.id)
		sub.wantPayload0("two")
		sub.ack(wire.Pubrec, two.id)
		sub.wantAck(wire.Pubrel, two.id)
		sub.ack(wire.Pubcomp, two.id)
		sub.quiet()
	}
}

// The lower QoS counts, and of several subscriptions the highest; there is one copy, with all their identifiers.
//
// Covers 4:3.8.4-6 4:3.3.5-1 4:4.5.0-1 5:3.8.4-8 5:3.3.4-2 5:3.3.4-3 5:3.3.4-4 5:4.5.0-1.
func TestQoSOfDeliveries(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, version := range []byte{4, 5} {
		sub := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "sub"}, false)
		for granted := range byte(3) {
			sub.subscribeAs(wire.SubscribePacket{ID: 1, SubscriptionID: uint32(granted + 1), Filters: []wire.Subscription{
				{Filter: fmt.Sprintf("only/%d", granted), QoS: granted},
				{Filter: "all/" + []string{"#", "+", "x"}[granted], QoS: granted},
				{Filter: "rev/" + []string{"x", "+", "#"}[granted], QoS: granted},
			}})
		}
		pub := s.clean("pub")
		for qos := range byte(3) {
			for _, topic := range []string{"only/0", "only/1", "only/2", "all/x", "rev/x"} {
				pub.publish(topic, "x", qos, 1)
				if qos > 0 {
					pub.want([]byte{1: wire.Puback, 2: wire.Pubrec}[qos])
				}
				if qos == 2 {
					pub.ack(wire.Pubrel, 1)
					pub.wantAck(wire.Pubcomp, 1)
				}
				granted := topic[len(topic)-1] - '0'
				ids := []uint32{uint32(granted) + 1}
				if topic[:4] != "only" {
					granted, ids = 2, []uint32{1, 2, 3}
				}
				m := sub.wantMessage()
				sub.finish(m)
				slices.Sort(m.in.SubIDs)
				if m.qos != min(qos, granted) || version == 5 && !slices.Equal(m.in.SubIDs, ids) {
					t.Errorf("version %d, %s at QoS %d: came at QoS %d with identifiers %v", version, topic, qos, m.qos, m.in.SubIDs)
				}
			}
		}
		sub.quiet() // one copy of each
		sub.drop()
		pub.drop()
		eventually(t, "both are gone", func() bool { return s.Status().Clients == 0 })
	}
}

// The same filter again takes the place of the former, sends what is retained anew, and loses nothing that is published
// meanwhile.
//
// Covers 4:3.8.4-3 5:3.8.4-3 5:3.8.4-4 5:3.3.1-9.
func TestSubscribingAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, version := range []byte{4, 5} {
		sub := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "sub"}, false)
		pub := s.clean("pub")
		pub.retain("kept", "kept", 1)
		sub.subscribe(1, 0, "kept", "t")
		sub.wantPayload("kept")
		const all = 300
		for i := range all {
			pub.publish("t", strconv.Itoa(i), 1, 1)
		}
		for i := range 30 {
			sub.send(wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: uint16(i + 1), Filters: []wire.Subscription{{Filter: "t", QoS: 1}, {Filter: "kept"}}}, version))
		}
		next, kept := 0, 0
		for h, body, err := sub.packet(patience); ; h, body, err = sub.packet(patience) {
			if err != nil {
				t.Fatalf("%v after %d messages and %d retained", err, next, kept)
			}
			if h>>4 == wire.Publish {
				m := sub.read(h, body)
				if m.qos == 1 {
					sub.ack(wire.Puback, m.id)
				}
				switch {
				case m.topic == "kept" && m.retain:
					kept++
				case m.payload != strconv.Itoa(next):
					t.Fatalf("got %q, want %d", m.payload, next)
				default:
					next++
				}
			}
			if next == all && kept == 30 {
				break
			}
		}
		pub.drop()
		pub = s.clean("pub2")
		pub.publish("t", "once", 1, 1)
		pub.wantAck(wire.Puback, 1)
		if m := sub.wantPayload("once"); m.qos != 1 {
			t.Errorf("version %d: QoS %d", version, m.qos)
		}
		sub.quiet()
		sub.drop()
		pub.retain("kept", "", 2)
	}
}

// A shared subscription's members get the QoS that each was granted. What was begun with one is finished with it, and
// goes to nobody else when its session ends.
//
// Covers 5:4.8.2-3 5:4.8.2-4 5:4.8.2-5.
func TestSharedMembers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	zero, two := s.connect(held(5, "zero"), false), s.connect(held(5, "two"), false)
	zero.subscribe(1, 0, "$share/g/t")
	two.subscribe(1, 2, "$share/g/t")
	pub := s.clean("pub")
	publish := func(payload string) {
		pub.publish("t", payload, 2, 1)
		pub.wantAck(wire.Pubrec, 1)
		pub.ack(wire.Pubrel, 1)
		pub.wantAck(wire.Pubcomp, 1)
	}
	publish("a")
	if m := zero.wantPayload("a"); m.qos != 0 {
		t.Errorf("QoS %d", m.qos)
	}
	publish("b")
	begun := two.wantPayload0("b")
	if begun.qos != 2 {
		t.Errorf("QoS %d", begun.qos)
	}
	two.reset()
	eventually(t, "it is gone", func() bool { st, _ := s.Session("two"); return !st.Connected })
	for i := range 3 { // who is connected gets the rest
		publish(strconv.Itoa(i))
		zero.wantPayload(strconv.Itoa(i))
	}
	two = s.connect(held(5, "two"), true)
	if m := two.wantPayload0("b"); m.id != begun.id || !m.dup {
		t.Errorf("got %+v", m)
	}
	two.reset()
	p := held(5, "two")
	p.Clean = true
	two = s.connect(p, false)
	two.quiet()
	zero.quiet() // b was begun with a session that is no more
	two.subscribe(1, 1, "$share/g/t")
	two.disconnectAfterPing()
	zero.disconnectAfterPing()
	eventually(t, "both are gone", func() bool { return s.Status().Clients == 1 })
	for i := range 4 { // while all are away it is kept for who can be owed it
		publish(strconv.Itoa(i))
	}
	s.connect(held(5, "zero"), true).quiet()
	two = s.connect(held(5, "two"), true)
	for i := range 4 {
		two.wantPayload(strconv.Itoa(i))
	}
}
