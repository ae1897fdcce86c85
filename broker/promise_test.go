// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// gate holds every Datasync of a disk back until it is opened.
type gate struct {
	open    chan struct{}
	waiting atomic.Int64
}

func newGate(d *journaltest.Disk) *gate {
	g := &gate{open: make(chan struct{})}
	d.SetFault(func(op journaltest.Op) error {
		if op.Kind == "datasync" {
			g.waiting.Add(1)
			<-g.open
		}
		return nil
	})
	return g
}

// A PUBACK, PUBREC, SUBACK, UNSUBACK or PUBCOMP that promises something goes out once that is on the disk, and not before;
// live subscribers of QoS 0 and 1 have the message at once, those of QoS 2 after the commit.
func TestNothingIsPromisedBeforeItIsDurable(t *testing.T) {
	t.Parallel()
	retained := func(c *peer) { c.send(c.frame("t", "x", 1, 9, true)) }
	cases := []struct {
		name string
		do   func(c *peer)
		want byte
	}{
		{"PUBACK of what a session is owed", func(c *peer) { c.publish("t", "x", 1, 9) }, wire.Puback},
		{"PUBREC", func(c *peer) { c.publish("t", "x", 2, 9) }, wire.Pubrec},
		{"PUBACK of a retained message", retained, wire.Puback},
		{"SUBACK", func(c *peer) {
			p := wire.SubscribePacket{ID: 9, Filters: []wire.Subscription{{Filter: "new"}}}
			c.send(wire.AppendSubscribe(nil, &p, 4))
		}, wire.Suback},
		{"UNSUBACK", func(c *peer) {
			p := wire.UnsubscribePacket{ID: 9, Filters: []string{"old"}}
			c.send(wire.AppendUnsubscribe(nil, &p, 4))
		}, wire.Unsuback},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			away := s.connect(wire.ConnectPacket{Level: 4, ClientID: "away"}, false)
			away.subscribe(1, 2, "t")
			away.disconnectAfterPing()
			live := s.clean("live")
			live.subscribe(1, 1, "t")
			c := s.connect(kept(), false)
			c.subscribe(1, 0, "old")
			g := newGate(s.disk)
			x.do(c)
			if x.want == wire.Puback {
				if m := live.wantMessage(); m.payload != "x" {
					t.Errorf("the live subscriber got %q", m.payload)
				}
			}
			eventually(t, "a commit is under way", func() bool { return g.waiting.Load() > 0 })
			if h, body, err := c.packet(50 * time.Millisecond); err == nil {
				t.Fatalf("got packet type %d % x before the disk had it", h>>4, body)
			}
			close(g.open)
			c.want(x.want)
		})
	}
}

func TestMemoryDurabilityPromisesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Durability = broker.Memory })
	away := s.connect(wire.ConnectPacket{Level: 4, ClientID: "away"}, false)
	away.subscribe(1, 2, "t")
	away.disconnectAfterPing()
	g := newGate(s.disk)
	c := s.clean("c")
	c.publish("t", "1", 1, 9)
	c.wantAck(wire.Puback, 9)
	c.publish("t", "2", 2, 10)
	c.wantAck(wire.Pubrec, 10)
	c.retain("r", "3", 11)
	close(g.open)
	s.restart()
	away = s.connect(wire.ConnectPacket{Level: 4, ClientID: "away"}, true)
	away.wantPayload("1")
	away.wantPayload("2")
	c = s.clean("c")
	c.subscribe(1, 1, "r")
	c.wantPayload("3")
}

// What was acknowledged survives kill -9 at any moment: the message, its identifier, the subscription, what is retained.
func TestKilledBrokerKeepsItsPromises(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t/#")
	acked := 0
	var ids []uint16
	for round := range 10 {
		pub := s.clean("pub")
		publishAll(pub, "t/a", acked, 37)
		acked += 37
		pub.retain("kept", strconv.Itoa(round), 1)
		if round%3 == 0 {
			for len(ids) < 5 {
				ids = append(ids, sub.wantMessage().id)
			}
		}
		s.kill()
		sub.drop()
		s.start()
		sub = s.connect(kept(), true)
	}
	for i := range acked {
		m := sub.wantMessage()
		if m.payload != strconv.Itoa(i) {
			t.Fatalf("got %q, want %d", m.payload, i)
		}
		if i < len(ids) && (m.id != ids[i] || !m.dup) {
			t.Errorf("repeat %d has identifier %d dup %v, want %d", i, m.id, m.dup, ids[i])
		}
		sub.ack(wire.Puback, m.id)
	}
	sub.quiet()
	c := s.clean("c")
	c.subscribe(1, 1, "kept")
	c.wantPayload("9")
}

// What a client acknowledged before a PINGRESP is not sent again after kill -9.
func TestAcknowledgementsAreKeptBeforePingresp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 2, "t")
	pub := s.clean("pub")
	publishAll(pub, "t", 0, 4)
	for i := range 4 {
		m := sub.wantPayload(strconv.Itoa(i))
		_ = m
	}
	sub.quiet()
	s.crash()
	sub = s.connect(kept(), true)
	sub.quiet()
}

// twice is a QoS 2 sender that repeats whatever is open after each break.
func TestQoS2IsExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"reconnection", "kill", "restart"} {
		for step := range 4 {
			t.Run(fmt.Sprintf("%s after step %d", how, step), func(t *testing.T) {
				t.Parallel()
				exactlyOnce(t, how, step)
			})
		}
	}
}

func exactlyOnce(t *testing.T, how string, step int) {
	s := newSite(t, nil)
	sender := wire.ConnectPacket{Level: 4, ClientID: "sender"}
	sub, pub := s.connect(kept(), false), s.connect(sender, false)
	sub.subscribe(1, 2, "t")
	breakAll := func() {
		switch how {
		case "kill":
			s.crash()
		case "restart":
			s.restart()
		}
		sub.drop()
		pub.drop()
		sub, pub = s.connect(kept(), true), s.connect(sender, true)
	}
	pub.publish("t", "x", 2, 5)
	pub.wantAck(wire.Pubrec, 5)
	m := sub.wantMessage()
	if step == 0 {
		breakAll()
		pub.send(wire.AppendPublish(nil, &wire.Message{Topic: "t", Payload: []byte("x")}, 4, 2, 5, true, false, nil, 0))
		pub.wantAck(wire.Pubrec, 5)
		if again := sub.wantMessage(); again.id != m.id || !again.dup {
			t.Fatalf("repeat: %+v, before %+v", again, m)
		}
	}
	pub.ack(wire.Pubrel, 5)
	pub.wantAck(wire.Pubcomp, 5)
	if step == 1 {
		breakAll()
		pub.ack(wire.Pubrel, 5)
		pub.wantAck(wire.Pubcomp, 5)
		sub.wantMessage()
	}
	sub.ack(wire.Pubrec, m.id)
	sub.wantAck(wire.Pubrel, m.id)
	if step == 2 {
		breakAll()
		sub.wantAck(wire.Pubrel, m.id) // and no PUBLISH before it
	}
	sub.ack(wire.Pubcomp, m.id)
	sub.quiet()
	if step == 3 {
		breakAll()
	}
	pub.publish("t", "y", 2, 5) // the identifier is free again: this is another message
	pub.wantAck(wire.Pubrec, 5)
	if next := sub.wantMessage(); next.payload != "y" || next.dup {
		t.Errorf("got %+v, want y", next)
	}
}

// A disk that fails: QoS 0 goes on, what needs the disk is not acknowledged, and is once the disk is back.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	away := s.connect(wire.ConnectPacket{Level: 4, ClientID: "away"}, false)
	away.subscribe(1, 1, "t")
	away.disconnectAfterPing()
	live := s.clean("live")
	live.subscribe(1, 1, "#")
	pub, other := s.clean("pub"), s.clean("other")
	s.disk.SetFault(func(op journaltest.Op) error {
		if op.Kind == "write" || op.Kind == "datasync" || op.Kind == "create" {
			return errors.New("input/output error")
		}
		return nil
	})
	pub.publish("t", "1", 1, 1)
	live.wantPayload("1") // delivered live, not acknowledged
	eventually(t, "E602", func() bool { return s.Status().Alarms["E602"] != "" })
	for i := range 100 {
		other.publish("zero", strconv.Itoa(i), 0, 0)
		live.wantPayload(strconv.Itoa(i))
	}
	other.send(other.frame("zero", "kept", 0, 0, true))
	live.wantPayload("kept")
	if h, _, err := pub.packet(20 * time.Millisecond); err == nil {
		t.Fatalf("packet type %d although nothing is on the disk", h>>4)
	}
	s.disk.SetFault(nil)
	pub.wantAck(wire.Puback, 1)
	eventually(t, "the alarm is over", func() bool { return s.Status().Alarms["E602"] == "" })
	s.crash()
	s.connect(wire.ConnectPacket{Level: 4, ClientID: "away"}, true).wantPayload("1")
}

// A publisher that is held back by the disk can be taken over, and the broker can stop.
func TestHeldPublisherLetsGo(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub := s.connect(kept(), false)
	s.disk.SetReadOnly(true)
	pub.send(pub.frame("r", "1", 1, 1, true))
	eventually(t, "E602", func() bool { return s.Status().Alarms["E602"] != "" })
	pub.send(pub.frame("r", "2", 1, 2, true))
	again := s.dial()
	again.connect(kept())
	pub.wantEnd()
	again.send(again.frame("r", "3", 1, 3, true))
	s.disk.SetReadOnly(false)
	again.wantAck(wire.Puback, 3)
}
