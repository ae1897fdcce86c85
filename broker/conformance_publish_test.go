// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// Covers 4:3.3.1-5 4:3.3.1-6 4:3.3.1-7 4:3.3.1-8 4:3.3.1-9 4:3.3.1-10 4:3.3.1-11 4:3.3.1-12 4:3.1.2-7 5:3.3.1-5 5:3.3.1-6
// 5:3.3.1-7 5:3.3.1-8 5:3.3.1-12.
func TestRetainedMessages(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		s := newSite(t, nil)
		live := s.clean("live")
		live.subscribe(1, 2, "#")
		pub := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "pub"}, false)
		fresh := func(want string, qos byte) { // what a new subscriber gets
			t.Helper()
			c := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "new"}, false)
			c.subscribe(1, 2, "t")
			if want != "" {
				if m := c.wantMessage(); m.payload != want || !m.retain || m.qos != qos || m.dup {
					t.Errorf("version %d: got %+v, want %q at QoS %d", version, m, want, qos)
				}
			}
			c.quiet()
			c.drop()
		}
		for _, x := range []struct {
			payload string
			qos     byte
			retain  bool
			want    string
			wantQoS byte
		}{
			{"not kept", 1, false, "", 0},
			{"kept", 1, true, "kept", 1},
			{"not kept", 2, false, "kept", 1},
			{"", 0, false, "kept", 1}, // empty, without RETAIN
			{"second", 2, true, "second", 2},
			{"zero", 0, true, "zero", 0}, // also of QoS 0
			{"", 1, true, "", 0},
			{"third", 0, true, "third", 0},
			{"", 0, true, "", 0},
			{"last", 1, true, "last", 1},
		} {
			pub.send(pub.frame("t", x.payload, x.qos, 1, x.retain))
			if x.qos > 0 {
				pub.want([]byte{1: wire.Puback, 2: wire.Pubrec}[x.qos])
			}
			if x.qos == 2 {
				pub.ack(wire.Pubrel, 1)
				pub.wantAck(wire.Pubcomp, 1)
			}
			m := live.wantMessage()
			live.finish(m)
			if m.payload != x.payload || m.retain {
				t.Errorf("version %d: the subscriber that was there got %+v", version, m)
			}
			fresh(x.want, x.wantQoS)
		}
		pub.disconnect() // it stays when the session of its publisher ends, and after a restart
		eventually(t, "it is gone", func() bool { _, there := s.Session("pub"); return !there })
		fresh("last", 1)
		s.restart()
		fresh("last", 1)
	}
}

// What the broker tells of itself comes to filters that name $SYS, and to no other.
//
// Covers 4:4.7.2-1 5:4.7.2-1.
func TestWildcardsAndDollar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.Open(broker.Defaults(), "state", nil, broker.Options{FS: journaltest.New()})
		if err != nil {
			t.Fatal(err)
		}
		stop := runInBubble(t, b)
		defer stop()
		var all []*peer
		for i, filter := range []string{"$SYS/broker/+", "$SYS/broker/#", "#", "+/#", "+/broker/#", "+/broker/version"} {
			id := strconv.Itoa(i)
			nc, err := b.Dial(broker.Identity{ClientID: id, Subscribe: []string{"#", "$SYS/#"}})
			if err != nil {
				t.Fatal(err)
			}
			c := &peer{t: t, nc: nc, version: 4}
			c.connect(wire.ConnectPacket{Level: 4 + byte(i%2), Clean: true, ClientID: id})
			c.subscribe(1, 0, filter)
			all = append(all, c)
		}
		time.Sleep(time.Minute)
		for i, c := range all {
			if i < 2 {
				if m := c.wantMessage(); m.topic[:12] != "$SYS/broker/" {
					t.Errorf("topic %q", m.topic)
				}
			} else {
				c.quiet()
			}
			c.drop()
		}
	})
}

// Covers 5:3.8.3-3 5:3.3.1-9 5:3.3.1-10 5:3.3.1-11 5:3.3.1-12 5:3.3.1-13.
func TestSubscriptionOptions(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub := s.clean("pub")
	pub.retain("kept", "kept", 1)
	for handling, want := range [][3]bool{{true, true, true}, {true, false, false}, {false, false, false}} {
		c := s.connect(held(5, "sub"+strconv.Itoa(handling)), false)
		for i, sent := range want {
			if i == 2 { // also when the subscription was there from a connection before
				c.reset()
				c = s.connect(held(5, "sub"+strconv.Itoa(handling)), true)
			}
			p := wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "kept", RetainHandling: byte(handling)}}}
			c.send(append(wire.AppendSubscribe(nil, &p, 5), wire.Pingreq<<4, 0))
			kept := 0
			for h, _, err := c.packet(patience); h>>4 != wire.Pingresp; h, _, err = c.packet(patience) {
				if err != nil {
					t.Fatal(err)
				}
				if h>>4 == wire.Publish { // before or after SUBACK
					kept++
				}
			}
			if sent != (kept == 1) || kept > 1 {
				t.Errorf("Retain Handling %d, SUBSCRIBE %d: %d retained messages", handling, i+1, kept)
			}
		}
		c.drop()
	}
	c := s.connect(five("c"), false)
	c.subscribeAs(wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{
		{Filter: "own", QoS: 1, NoLocal: true}, {Filter: "as", QoS: 1, RetainAsPublished: true}, {Filter: "not", QoS: 1},
	}})
	c.publish("own", "mine", 1, 1)
	c.wantAck(wire.Puback, 1)
	c.quiet()
	pub.publish("own", "another's", 1, 1)
	c.wantPayload("another's")
	for _, topic := range []string{"as", "not"} {
		for _, retain := range []bool{true, false} {
			pub.send(pub.frame(topic, "x", 1, 9, retain))
			if m := c.wantPayload("x"); m.retain != (retain && topic == "as") {
				t.Errorf("%s, RETAIN %t: came with %t", topic, retain, m.retain)
			}
		}
	}
}

// What belongs to the message comes out as it went in, in its order, from the queue and the store too; its life is less
// by the time that it waited.
//
// Covers 5:3.3.2-4 5:3.3.2-6 5:3.3.2-15 5:3.3.2-16 5:3.3.2-17 5:3.3.2-18 5:3.3.2-20 5:3.1.3-10.
func TestPropertiesPassThrough(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	props := "\x01\x01" + "\x03\x00\x02ct" + "\x08\x00\x05reply" + "\x09\x00\x03\x00\xff\x01" +
		"\x26\x00\x01b\x00\x011" + "\x26\x00\x01a\x00\x012" + "\x26\x00\x01b\x00\x011" + "\x26\x00\x00\x00\x00"
	away := s.connect(held(5, "away"), false)
	away.subscribe(1, 1, "t")
	away.disconnectAfterPing()
	live := s.connect(five("live"), false)
	live.subscribe(1, 1, "t", "will")
	w := will("will", "gone", 1, false)
	w.Props = []byte(props)
	pub := s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "pub", Will: w}, false)
	m := wire.Message{Topic: "t", Payload: []byte("x"), Props: []byte(props), Expires: 100}
	pub.send(wire.AppendPublish(nil, &m, 5, 1, 1, false, true, nil, 0))
	pub.wantAck(wire.Puback, 1)
	check := func(what string, m message, least, most int64) {
		t.Helper()
		if left := m.in.Expires - time.Now().Unix(); string(m.in.Props) != props || left < least || left > most {
			t.Errorf("%s: properties % x, %d s left", what, m.in.Props, left)
		}
	}
	check("at once", live.wantPayload("x"), 95, 100)
	began := time.Now()
	eventually(t, "time passes", func() bool { return time.Since(began) > 2100*time.Millisecond })
	late := s.connect(five("late"), false)
	late.subscribe(1, 1, "t")
	check("retained", late.wantPayload("x"), 90, 98)
	s.crash()
	away = s.connect(held(5, "away"), true)
	check("queued", away.wantPayload("x"), 80, 98)
	live = s.connect(five("live"), false)
	live.subscribe(1, 1, "will")
	s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "pub", Will: w}, false).reset()
	if m := live.wantPayload("gone"); string(m.in.Props) != props {
		t.Errorf("will: properties % x", m.in.Props)
	}
}
