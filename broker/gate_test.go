// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// silent fails the test if a packet comes while the disk has not taken what it depends on.
func (c *peer) silent(what string) {
	c.t.Helper()
	if h, body, err := c.packet(50 * time.Millisecond); err == nil {
		c.t.Errorf("%s: packet type %d % .40x before the disk had it", what, h>>4, body)
	}
}

// QoS 2 goes to its receiver after the commit, QoS 1 and 0 at once.
func TestQoS2IsDeliveredAfterItsCommit(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	exact, live := s.connect(kept(), false), s.clean("live")
	exact.subscribe(1, 2, "t")
	live.subscribe(1, 1, "t")
	pub := s.clean("pub")
	g := newGate(s.disk)
	pub.publish("t", "x", 2, 1)
	live.wantPayload("x")
	exact.silent("QoS 2")
	close(g.open)
	if m := exact.wantMessage(); m.payload != "x" || m.qos != 2 {
		t.Errorf("got %+v", m)
	}
	pub.wantAck(wire.Pubrec, 1)
}

// PUBREL, PUBCOMP and PINGRESP say that what the client said is kept.
func TestAnswersToAcknowledgementsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(kept(), false)
	c.subscribe(1, 2, "one", "two")
	c.publish("two", "x", 2, 5)
	c.wantAck(wire.Pubrec, 5)
	two := c.wantMessage()
	c.publish("one", "x", 1, 6)
	one := c.wantMessage()
	c.wantAck(wire.Puback, 6)
	for what, send := range map[string][]byte{
		"PUBREL":   wire.AppendAck(nil, wire.Pubrec, two.id, 0, 4),
		"PUBCOMP":  wire.AppendAck(nil, wire.Pubrel, 5, 0, 4),
		"PINGRESP": append(wire.AppendAck(nil, wire.Puback, one.id, 0, 4), wire.Pingreq<<4, 0),
	} {
		g := newGate(s.disk)
		c.send(send)
		eventually(t, "a commit is under way", func() bool { return g.waiting.Load() > 0 })
		c.silent(what)
		close(g.open)
		if h, _, err := c.packet(patience); err != nil {
			t.Fatalf("%s: %x, %v", what, h, err)
		}
		s.disk.SetFault(nil)
	}
}

// Acknowledgements leave in the order of their messages, also where a later one depends on nothing [MQTT-4.6.0-2].
func TestAcknowledgementsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("c")
	g := newGate(s.disk)
	c.send(append(c.frame("r", "x", 1, 1, true), c.frame("nobody", "x", 1, 2, false)...))
	c.silent("PUBACK")
	close(g.open)
	c.wantAck(wire.Puback, 1)
	c.wantAck(wire.Puback, 2)
}

// While the disk takes nothing, publishers of QoS 1 are held back before much of theirs is in memory.
func TestPublishersWaitForTheDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub, other := s.clean("pub"), s.clean("other")
	g := newGate(s.disk)
	frame := pub.frame("r", strings.Repeat("x", 100000), 1, 1, true)
	sent := 0
	for ; sent < 60<<20; sent += len(frame) {
		if err := pub.nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := pub.nc.Write(frame); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if sent > 24<<20 { // 4 MiB wait for the disk, the rest in the sockets' buffers
		t.Errorf("%d MiB were taken", sent>>20)
	}
	other.quiet()
	close(g.open)
	eventually(t, "it goes on", func() bool { _, _, err := pub.packet(time.Second); return err == nil })
}

// Once a client's new connection is handled, nothing that its old one said is: also what was under way is either before
// or never.
func TestTakeOverFencesTheOldConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 0, "t")
	for round := range 10 {
		old := s.dial()
		old.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "same"})
		var burst []byte
		for i := range 20000 {
			burst = append(burst, old.frame("t", "old "+strconv.Itoa(i), 0, 0, false)...)
		}
		old.send(burst)
		fresh := s.dial()
		fresh.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "same"})
		fresh.publish("t", "new", 0, 0)
		fresh.quiet()
		fresh.publish("t", "end", 0, 0)
		next, over := 0, false
		for {
			m := sub.wantMessage()
			if m.payload == "end" {
				break
			}
			switch {
			case m.payload == "new":
				over = true
			case over:
				t.Fatalf("round %d: %q after the take-over", round, m.payload)
			case m.payload != "old "+strconv.Itoa(next):
				t.Fatalf("round %d: %q, want old %d", round, m.payload, next)
			default:
				next++
			}
		}
	}
}
