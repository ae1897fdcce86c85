// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// publishAll publishes n numbered messages at QoS 1 and waits for all PUBACKs, which come in order.
func publishAll(c *peer, topic string, from, n int) {
	c.t.Helper()
	var b []byte
	for i := range n {
		b = append(b, c.frame(topic, strconv.Itoa(from+i), 1, uint16((from+i)%65535+1), false)...)
	}
	c.send(b)
	for i := range n {
		c.wantAck(wire.Puback, uint16((from+i)%65535+1))
	}
}

func TestPublishSubscribeAtEveryQoSAndVersion(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, version := range []byte{3, 4, 5} {
		for qos := range byte(3) {
			t.Run(fmt.Sprintf("version %d QoS %d", version, qos), func(t *testing.T) {
				sub := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "sub"}, false)
				if got := sub.subscribe(1, 2, "a/+"); !slices.Equal(got, []byte{2}) {
					t.Fatalf("granted % x", got)
				}
				pub := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "pub"}, false)
				pub.publish("a/b", "x", qos, 7)
				switch qos {
				case 1:
					pub.wantAck(wire.Puback, 7)
				case 2:
					pub.wantAck(wire.Pubrec, 7)
					pub.ack(wire.Pubrel, 7)
					pub.wantAck(wire.Pubcomp, 7)
				}
				m := sub.wantMessage()
				if m.topic != "a/b" || m.payload != "x" || m.qos != qos || m.dup || m.retain {
					t.Errorf("got %+v", m)
				}
				switch qos {
				case 1:
					sub.ack(wire.Puback, m.id)
				case 2:
					sub.ack(wire.Pubrec, m.id)
					sub.wantAck(wire.Pubrel, m.id)
					sub.ack(wire.Pubcomp, m.id)
				}
				sub.quiet()
				pub.disconnect()
				sub.disconnect()
			})
		}
	}
}

// 10,000 queued messages over 20 reconnections: each in order, none lost, repeats only of what was not acknowledged, under
// the identifier of before and with DUP.
//
// Covers 4:3.1.2-5 5:3.1.2-23 4:4.6.0-1 4:4.6.0-5 4:4.6.0-6 5:4.6.0-1 5:4.6.0-5 5:4.6.0-6.
func TestOrderOfABacklogOverReconnections(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "q/#")
	sub.drop()
	const all = 10000
	publishAll(s.clean("pub"), "q/a", 0, all)
	next := 0
	var open []message
	for round := range 20 {
		sub := s.connect(kept(), true)
		for i, old := range open {
			m := sub.wantMessage()
			if m.payload != old.payload || m.id != old.id || !m.dup {
				t.Fatalf("round %d: repeat %d is %q id %d dup %v, want %q id %d", round, i, m.payload, m.id, m.dup, old.payload, old.id)
			}
			sub.ack(wire.Puback, m.id)
		}
		open = nil
		for range all/20 - 10 {
			m := sub.wantMessage()
			if m.payload != strconv.Itoa(next) {
				t.Fatalf("round %d: got %q, want %d", round, m.payload, next)
			}
			next++
			sub.ack(wire.Puback, m.id)
		}
		for range 10 {
			if next == all {
				break
			}
			m := sub.wantMessage()
			if m.payload != strconv.Itoa(next) {
				t.Fatalf("round %d: got %q, want %d", round, m.payload, next)
			}
			next++
			open = append(open, m)
		}
		// What was sent beyond is repeated too, so only what comes next is looked at.
		sub.disconnectAfterPing()
		if st, _ := s.Session("p"); st.Messages != uint64(all-next+len(open)) {
			t.Fatalf("round %d: %d messages owed, want %d", round, st.Messages, all-next+len(open))
		}
	}
	if next != all {
		t.Fatalf("got %d of %d", next, all)
	}
}

// disconnectAfterPing reads on until the PINGRESP, which says that all acknowledgements arrived, then drops the connection.
func (c *peer) disconnectAfterPing() {
	c.t.Helper()
	c.send([]byte{wire.Pingreq << 4, 0})
	for {
		h, _, err := c.packet(patience)
		if err != nil {
			c.t.Fatalf("no PINGRESP: %v", err)
		}
		if h>>4 == wire.Pingresp {
			break
		}
	}
	c.drop()
}

// Publishers and a subscriber take their own connections over again and again, under traffic: nothing that was
// acknowledged is lost, each publisher's messages stay in order, and the first packet of every connection is CONNACK.
//
// Covers 4:3.2.0-1 5:3.2.0-1.
func TestTakeOverStorm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	first := s.connect(kept(), false)
	first.subscribe(1, 1, "storm/#")
	const publishers, each = 3, 1000
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() { storm(s, p, each) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[string]int{} // highest number by topic
	total := 0
	c := first
	for round := 0; total < publishers*each; round++ {
		for range 40 {
			h, body, err := c.packet(300 * time.Millisecond)
			if err != nil {
				break
			}
			m := c.read(h, body)
			c.ack(wire.Puback, m.id)
			n, _ := strconv.Atoi(m.payload)
			switch last, known := seen[m.topic]; {
			case !known && n == 0, known && n == last+1:
				seen[m.topic] = n
				total++
			case known && n <= last: // a repeat
			default:
				t.Fatalf("round %d: %s jumps from %d to %d", round, m.topic, last, n)
			}
		}
		if round > 2000 {
			t.Fatalf("got %d of %d: %v", total, publishers*each, seen)
		}
		c = s.connect(kept(), true) // takes over
	}
	<-done
}

// storm publishes numbers; each is sent until it is acknowledged, on connections that take over one another.
func storm(s *site, p, n int) {
	id := fmt.Sprintf("pub%d", p)
	topic := fmt.Sprintf("storm/%d", p)
	for next := 0; next < n; {
		c := s.dial()
		c.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: id})
		for range 50 {
			if next == n {
				break
			}
			c.publish(topic, strconv.Itoa(next), 1, uint16(next%65535+1))
			c.wantAck(wire.Puback, uint16(next%65535+1))
			next++
		}
	}
}

// Identifiers of SUBSCRIBE and PUBLISH are the client's own: that one of them equals one that the broker uses means
// nothing.
func TestIdentifiersOfEachSideAreItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(kept(), false)
	c.subscribe(1, 1, "t")
	c.drop()
	pub := s.clean("pub")
	const owed = 300
	publishAll(pub, "t", 0, owed)
	c = s.connect(kept(), true)
	var under []message
	for range owed {
		under = append(under, c.wantMessage())
	}
	for i, m := range under {
		if i%100 == 0 {
			if got := c.subscribe(m.id, 1, "other"); !slices.Equal(got, []byte{1}) {
				t.Fatalf("SUBSCRIBE with identifier %d: % x", m.id, got)
			}
		}
		c.publish("nobody", "x", 1, m.id)
		c.wantAck(wire.Puback, m.id)
	}
	c.drop()
	c = s.connect(kept(), true)
	for i := range owed {
		if m := c.wantPayload(strconv.Itoa(i)); !m.dup || m.id != under[i].id {
			t.Fatalf("repeat %d: identifier %d dup %v, want %d", i, m.id, m.dup, under[i].id)
		}
	}
}

// All 65,535 identifiers come round.
func TestEveryIdentifierComesRound(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 1, "t")
	pub := s.clean("pub")
	id := uint16(0)
	for batch := range 140 {
		publishAll(pub, "t", batch*500, 500)
		var acks []byte
		for i := range 500 {
			m := sub.wantMessage()
			if id++; id == 0 {
				id = 1
			}
			if m.id != id || m.payload != strconv.Itoa(batch*500+i) {
				t.Fatalf("message %d: %q with identifier %d, want %d", batch*500+i, m.payload, m.id, id)
			}
			acks = wire.AppendAck(acks, wire.Puback, m.id, 0, 4)
		}
		sub.send(acks)
	}
}

// Covers 5:3.3.4-9 5:4.9.0-2.
func TestReceiveMaximum(t *testing.T) {
	t.Parallel()
	for _, most := range []uint16{1, 5, 20} {
		t.Run(strconv.Itoa(int(most)), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			connect := wire.ConnectPacket{Level: 5, ClientID: "p", ReceiveMaximum: most, SessionExpiry: 1000}
			sub := s.connect(connect, false)
			sub.subscribe(1, 1, "t")
			const all = 2000
			publishAll(s.clean("pub"), "t", 0, all)
			next := 0
			for next < all {
				var got []message
				for range min(int(most), all-next) {
					got = append(got, sub.wantMessage())
				}
				if next%100 == 0 {
					sub.quiet() // no more than that
				}
				for _, m := range got {
					if m.payload != strconv.Itoa(next) {
						t.Fatalf("got %q, want %d", m.payload, next)
					}
					next++
					sub.ack(wire.Puback, m.id)
				}
			}
			sub.quiet()
		})
	}
}
