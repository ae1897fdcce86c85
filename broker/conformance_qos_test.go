// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"testing"

	"edged/mqtt/wire"
)

// held is the CONNECT of a session that outlives its connection, in either version.
func held(version byte, id string) wire.ConnectPacket {
	p := wire.ConnectPacket{Level: version, ClientID: id}
	if version == 5 {
		p.SessionExpiry = 100
	}
	return p
}

// What a client publishes is answered by its QoS, with its identifier, in its order.
//
// Covers 4:2.3.1-6 4:3.3.4-1 4:4.3.2-2 4:4.3.3-2 4:4.6.0-2 4:4.6.0-3 5:2.2.1-5 5:3.3.4-1 5:4.3.2-4 5:4.3.2-5 5:4.3.3-8
// 5:4.3.3-10 5:4.3.3-11 5:4.3.3-12 5:4.6.0-2 5:4.6.0-3 5:3.6.2-1 5:3.7.2-1 4:3.3.1-3 5:3.3.1-3.
func TestAnswersToPublish(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 1, "t")
	for _, version := range []byte{4, 5} {
		c := s.connect(held(version, "c"+string('0'+version)), false)
		c.publish("t", "zero", 0, 0)
		sub.wantPayload("zero")
		c.quiet() // no answer

		dup := func(payload string, qos byte, id uint16) {
			m := wire.Message{Topic: "t", Payload: []byte(payload)}
			c.send(wire.AppendPublish(nil, &m, version, qos, id, true, false, nil, 0))
		}
		for i := range 3 { // QoS 1: the same identifier is another message each time, whatever DUP says
			dup(fmt.Sprint(i), 1, 65535)
			if m := sub.wantPayload(fmt.Sprint(i)); m.dup {
				t.Errorf("version %d: the publisher's DUP was passed on", version)
			}
			c.wantAck(wire.Puback, 65535)
		}
		for id := uint16(300); id > 290; id-- {
			c.publish("t", "many", byte(id%2)+1, id)
		}
		for id := uint16(300); id > 290; id-- {
			sub.wantPayload("many")
			c.wantAck([]byte{wire.Puback, wire.Pubrec}[id%2], id)
		}
		for id := uint16(291); id <= 300; id++ {
			if id%2 == 1 {
				c.ack(wire.Pubrel, id)
				c.wantAck(wire.Pubcomp, id)
			}
		}

		c.publish("t", "two", 2, 9) // QoS 2: once until PUBREL, over a reconnection too
		c.wantAck(wire.Pubrec, 9)
		sub.wantPayload("two")
		dup("two", 2, 9)
		c.wantAck(wire.Pubrec, 9)
		c.reset()
		c = s.connect(held(version, "c"+string('0'+version)), true)
		dup("two", 2, 9)
		c.wantAck(wire.Pubrec, 9)
		c.ack(wire.Pubrel, 9)
		if reason := c.wantAck(wire.Pubcomp, 9); reason != 0 {
			t.Errorf("reason 0x%02x", reason)
		}
		c.ack(wire.Pubrel, 9) // a second time there is none
		if reason := c.wantAck(wire.Pubcomp, 9); version == 5 && reason != wire.PacketIDNotFound {
			t.Errorf("reason 0x%02x", reason)
		}
		sub.quiet()
		dup("new", 2, 9) // after PUBCOMP it is another message
		c.wantAck(wire.Pubrec, 9)
		sub.wantPayload("new")
		c.drop()
	}
}

// finish acknowledges a message to its end.
func (c *peer) finish(m message) {
	c.t.Helper()
	switch m.qos {
	case 1:
		c.ack(wire.Puback, m.id)
	case 2:
		c.ack(wire.Pubrec, m.id)
		c.wantAck(wire.Pubrel, m.id)
		c.ack(wire.Pubcomp, m.id)
		c.quiet() // it is taken
	}
}

// What a client gets bears identifiers that are free, DUP only when it is a repeat, and is repeated on the next
// connection until it is acknowledged, in order, and not before.
//
// Covers 4:2.3.1-4 4:3.3.1-1 4:4.3.1-1 4:4.3.2-1 4:4.3.3-1 4:4.4.0-1 4:4.6.0-1 4:4.6.0-4 4:3.1.2-5 4:4.1.0-1 4:4.1.0-2
// 5:2.2.1-4 5:3.3.1-1 5:4.3.1-1 5:4.3.2-1 5:4.3.2-2 5:4.3.2-3 5:4.3.3-1 5:4.3.3-2 5:4.3.3-3 5:4.3.3-4 5:4.3.3-5 5:4.3.3-6
// 5:4.4.0-1 5:4.6.0-1 5:4.6.0-4 5:4.1.0-1 4:2.3.1-5 5:2.2.1-2.
func TestRepeatsTowardsSubscribers(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		s := newSite(t, nil)
		sub := s.connect(held(version, "sub"), false)
		sub.subscribe(1, 2, "t")
		pub := s.clean("pub")
		for i, qos := range []byte{0, 1, 2, 1, 2, 2} {
			pub.publish("t", fmt.Sprint(i), qos, uint16(i+1))
			if qos > 0 {
				pub.wantAck([]byte{1: wire.Puback, 2: wire.Pubrec}[qos], uint16(i+1))
			}
		}
		var first []message
		for i, qos := range []byte{0, 1, 2, 1, 2, 2} {
			m := sub.wantPayload0(fmt.Sprint(i))
			if m.qos != qos || m.dup || (m.id > 0) != (qos > 0) {
				t.Errorf("version %d: message %d came with QoS %d, DUP %t, identifier %d", version, i, m.qos, m.dup, m.id)
			}
			for _, o := range first {
				if qos > 0 && o.id == m.id {
					t.Errorf("version %d: two messages with identifier %d", version, m.id)
				}
			}
			first = append(first, m)
		}
		sub.quiet() // nothing is repeated on this connection
		sub.ack(wire.Puback, first[1].id)
		sub.ack(wire.Pubrec, first[4].id) // not in the order in which they came
		sub.ack(wire.Pubrec, first[2].id)
		sub.wantAck(wire.Pubrel, first[4].id)
		sub.wantAck(wire.Pubrel, first[2].id)
		sub.ack(wire.Pubcomp, first[4].id)
		sub.quiet()
		sub.reset()
		for range 2 {
			sub = s.connect(held(version, "sub"), true)
			sub.wantAck(wire.Pubrel, first[2].id) // PUBREC came for it: no PUBLISH
			for _, i := range []int{3, 5} {
				if m := sub.wantPayload0(fmt.Sprint(i)); !m.dup || m.id != first[i].id || m.qos != first[i].qos {
					t.Errorf("version %d: got %+v, want %d again", version, m, i)
				}
			}
			sub.quiet()
			sub.reset()
		}
		s.crash()
		sub = s.connect(held(version, "sub"), true)
		sub.wantAck(wire.Pubrel, first[2].id)
		sub.ack(wire.Pubcomp, first[2].id)
		sub.ack(wire.Puback, sub.wantPayload0("3").id)
		sub.finish(sub.wantPayload0("5"))
		sub.reset()
		sub = s.connect(held(version, "sub"), true)
		sub.quiet()
	}
}

// wantPayload0 reads a PUBLISH with that payload and does not acknowledge it.
func (c *peer) wantPayload0(want string) message {
	c.t.Helper()
	m := c.wantMessage()
	if m.payload != want {
		c.t.Fatalf("got %q, want %q", m.payload, want)
	}
	return m
}

// A message that its receiver refuses is done with.
//
// Covers 5:4.4.0-2 5:4.8.2-6.
func TestRefusalByTheReceiver(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := held(5, "sub")
	p.ReceiveMaximum = 2
	sub := s.connect(p, false)
	other := s.connect(five("other"), false)
	sub.subscribe(1, 2, "t", "$share/g/s")
	other.subscribe(1, 2, "$share/g/s")
	pub := s.clean("pub")
	for i, topic := range []string{"t", "t", "s", "s"} {
		for qos := byte(1); qos <= 2; qos++ {
			pub.publish(topic, "no", qos, uint16(10*i)+uint16(qos))
			pub.want([]byte{1: wire.Puback, 2: wire.Pubrec}[qos])
		}
	}
	got := 0
	for h, body, err := sub.packet(patience); got < 6; h, body, err = sub.packet(patience) {
		if err != nil {
			t.Fatal(err)
		}
		m := sub.read(h, body)
		sub.send(wire.AppendAck(nil, []byte{1: wire.Puback, 2: wire.Pubrec}[m.qos], m.id, wire.Unspecified, 5))
		if got++; got == 6 {
			break
		}
	}
	sub.quiet()
	for range 2 { // its own share of four, and nothing that was refused
		m := other.wantMessage()
		other.send(wire.AppendAck(nil, []byte{1: wire.Puback, 2: wire.Pubrec}[m.qos], m.id, wire.Unspecified, 5))
	}
	other.quiet()
	sub.drop()
	sub = s.connect(p, true)
	sub.quiet()
}

// No more is under way to a client than it takes; all else goes on meanwhile.
//
// Covers 5:3.3.4-9 5:3.3.4-10 5:4.9.0-1 5:4.9.0-2 5:4.9.0-3.
func TestFlowControl(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, maximum := range []uint16{1, 2, 5} {
		p := five("sub")
		p.ReceiveMaximum = maximum
		sub := s.connect(p, false)
		sub.subscribe(1, 2, "t")
		pub := s.clean("pub")
		for i := range 12 {
			pub.publish("t", fmt.Sprint(i), byte(i%2)+1, uint16(i+1))
			pub.want([]byte{wire.Puback, wire.Pubrec}[i%2])
		}
		for i := 0; i < 12; i += int(maximum) {
			n := min(int(maximum), 12-i)
			var got []message
			for k := range n {
				got = append(got, sub.wantPayload0(fmt.Sprint(i+k)))
			}
			sub.quiet() // the window is used up; PINGRESP comes
			if i == 0 {
				sub.subscribe(2, 0, "other") // and SUBACK
				sub.publish("nobody", "x", 1, 1)
				sub.wantAck(wire.Puback, 1) // and PUBACK
			}
			for _, m := range got {
				if m.qos == 2 {
					sub.ack(wire.Pubrec, m.id)
					sub.wantAck(wire.Pubrel, m.id)
				}
			}
			if got[len(got)-1].qos == 2 && maximum == 1 {
				sub.quiet() // PUBREC does not give the place back
			}
			for _, m := range got {
				sub.ack([]byte{1: wire.Puback, 2: wire.Pubcomp}[m.qos], m.id)
			}
		}
		sub.quiet()
		sub.drop()
		pub.drop()
		eventually(t, "both are gone", func() bool { return s.Status().Clients == 0 })
	}
}

// A client that has more under way than our Receive Maximum is cut off, at QoS 1 as well, where it is the disk that lets
// the answers wait. 3.1.1 has no such bound; [TestReceiveMaximumOfOurs] counts up to it.
//
// Covers 5:3.3.4-7.
func TestReceiveMaximumIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	away := s.connect(kept(), false)
	away.subscribe(1, 1, "t")
	away.disconnectAfterPing()
	for qos := byte(1); qos <= 2; qos++ {
		c := s.dial()
		ack := c.connect(five("c"))
		g := newGate(s.disk)
		for i := range int(ack.ReceiveMaximum) + 1 {
			c.publish("t", "x", qos, uint16(i+1))
		}
		if reason := c.wantEnd(); reason != wire.ReceiveMaxExceeded {
			t.Errorf("QoS %d: reason 0x%02x", qos, reason)
		}
		close(g.open)
		eventually(t, "it is gone", func() bool { return s.Status().Clients == 0 })
	}
}
