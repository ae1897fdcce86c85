// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

func link(s *site) { s.cfg.Durability = broker.Link }

// A thousand messages that the persistent subscriber acknowledges cost no byte of the journal, however they are
// acknowledged, and each PUBACK waits for that.
func TestLinkWritesNothingThatIsTaken(t *testing.T) {
	t.Parallel()
	for at := 50; ; at /= 2 { // a slow machine acknowledges fewer in time
		n, slow := takeAtOnce(t, at)
		if n == 0 {
			return
		}
		if !slow || at == 1 {
			t.Fatalf("%d bytes of journal for messages that were taken at once, %d at a time", n, at)
		}
	}
}

// takeAtOnce publishes a thousand messages, so many at a time, which a persistent subscriber acknowledges. It tells how
// many bytes of journal they took, and whether this machine was slower than the 250 ms.
func takeAtOnce(t *testing.T, at int) (wrote int64, slow bool) {
	s := newSite(t, link)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t/#")
	pub := s.clean("pub")
	before := s.Status().JournalBytes
	const all = 1000
	for from := 0; from < all; from += at {
		began := time.Now()
		for i := from; i < from+at; i++ {
			pub.send(pub.frame(fmt.Sprintf("t/%d", i%7), strconv.Itoa(i), 1, uint16(i+1), i%3 == 0))
		}
		var late []uint16
		for i := from; i < from+at; i++ {
			m := sub.wantMessage()
			if m.payload != strconv.Itoa(i) {
				t.Fatalf("got %q, want %d", m.payload, i)
			}
			if i%10 == 3 { // out of order
				late = append(late, m.id)
				continue
			}
			sub.ack(wire.Puback, m.id)
		}
		for _, id := range late {
			sub.ack(wire.Puback, id)
		}
		for i := from; i < from+at; i++ {
			pub.wantAck(wire.Puback, uint16(i+1))
		}
		slow = slow || time.Since(began) > 200*time.Millisecond
	}
	wrote = s.Status().JournalBytes - before
	s.crash()
	sub = s.connect(kept(), true)
	if wrote == 0 {
		sub.quiet()
	}
	return wrote, slow
}

// The PUBACK waits for the acknowledgement of every session that is owed the message, not longer.
func TestLinkPubackWaitsForTheSubscribers(t *testing.T) {
	t.Parallel()
	s := newSite(t, link)
	one := s.connect(kept(), false)
	one.subscribe(1, 1, "t")
	two := s.connect(wire.ConnectPacket{Level: 5, ClientID: "two", SessionExpiry: 100}, false)
	two.subscribe(1, 1, "t")
	pub := s.clean("pub")
	before := s.Status().JournalBytes
	g := newGate(s.disk) // nothing becomes durable: only acknowledgements release the PUBACK
	pub.publish("t", "x", 1, 9)
	a, b := one.wantMessage(), two.wantMessage()
	one.ack(wire.Puback, a.id)
	one.quiet()
	if h, _, err := pub.packet(50 * time.Millisecond); err == nil {
		t.Fatalf("packet type %d before the second session acknowledged", h>>4)
	}
	two.ack(wire.Puback, b.id)
	if s.Status().JournalBytes == before { // else this machine was slower than the 250 ms
		pub.wantAck(wire.Puback, 9)
	}
	close(g.open)
}

// What is not acknowledged within 250 ms, or cannot be, is on disk before the PUBACK, under the identifier that it went
// out with.
func TestLinkWritesWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"silent", "gone", "leaves", "ends"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, link)
			sub := s.connect(kept(), false)
			sub.subscribe(1, 1, "t")
			pub := s.clean("pub")
			if how == "gone" {
				sub.disconnectAfterPing()
			}
			for i := range 3 { // taken, so that there are numbers without a record
				if how != "gone" {
					pub.publish("t", "before", 1, uint16(i+1))
					sub.wantPayload("before")
					pub.wantAck(wire.Puback, uint16(i+1))
				}
			}
			id := uint16(0)
			pub.publish("t", "x", 1, 9)
			if how != "gone" {
				id = sub.wantMessage().id
			}
			switch how {
			case "leaves":
				sub.drop()
			case "ends":
				clean := kept()
				clean.Clean = true
				s.connect(clean, false)
			}
			pub.wantAck(wire.Puback, 9)
			s.crash()
			if how == "ends" {
				s.connect(kept(), false)
				return
			}
			sub = s.connect(kept(), true)
			s.wantOwed("p", 1)
			if m := sub.wantPayload("x"); id != 0 && (m.id != id || !m.dup) {
				t.Errorf("repeat with identifier %d dup %v, want %d", m.id, m.dup, id)
			}
			sub.quiet()
			s.wantOwed("p", 0)
		})
	}
}

// Who comes back at once gets what it had not acknowledged, although nothing of it was on disk when it left.
func TestLinkRepeatsWhatIsNotWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, link)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	pub := s.clean("pub")
	for i := range 20 {
		pub.publish("t", strconv.Itoa(i), 1, uint16(i+1))
		m := sub.wantMessage()
		sub = s.connect(kept(), true) // takes over
		if again := sub.wantPayload(strconv.Itoa(i)); again.id != m.id || !again.dup {
			t.Fatalf("repeat %+v, before %+v", again, m)
		}
		sub.quiet()
	}
	for i := range 20 {
		pub.wantAck(wire.Puback, uint16(i+1))
	}
}

// A session's record that is written while something has none does not say that this is in the journal.
func TestLinkRecordDoesNotSpeakOfWhatIsNotWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, link)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	s.clean("pub").publish("t", "x", 1, 1)
	sub.wantMessage()
	sub.subscribe(2, 1, "other")
	s.crash()
	sub = s.connect(kept(), true)
	sub.disconnectAfterPing() // on a slow machine it was written, and comes
	if st, _ := s.Session("p"); st.Dropped != 0 {
		t.Errorf("owed %+v", st)
	}
}

// An identifier that a subscriber saw before a crash, and the disk never did, does not come again soon for another message:
// a late PUBACK would take that for the one before.
func TestLinkDoesNotReuseWhatACrashForgot(t *testing.T) {
	t.Parallel()
	s := newSite(t, link)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	seen := map[uint16]bool{}
	for round := range 5 {
		pub := s.clean("pub")
		var open []uint16
		for i := range 20 {
			pub.publish("t", "x", 1, uint16(i+1))
			m := sub.wantMessage()
			if seen[m.id] {
				t.Fatalf("round %d: identifier %d again", round, m.id)
			}
			seen[m.id] = true
			if i < 15 {
				sub.ack(wire.Puback, m.id)
				pub.wantAck(wire.Puback, uint16(i+1))
			} else {
				open = append(open, m.id)
			}
		}
		s.kill()
		sub.drop()
		s.start()
		sub = s.connect(kept(), true)
		for range open { // those that were not in time are on disk, and repeats
			st, _ := s.Session("p")
			if st.Messages == 0 {
				break
			}
			if m := sub.wantMessage(); !m.dup || !seen[m.id] {
				t.Fatalf("round %d: %+v", round, m)
			} else {
				sub.ack(wire.Puback, m.id)
				sub.quiet()
			}
		}
		sub.subscribe(1, 1, "t") // so that the session's record is on disk
	}
}

// Whoever acknowledges when, and whoever dies when: what was acknowledged comes, in order, and nothing is counted as lost.
func TestLinkKeepsItsPromisesOverKills(t *testing.T) {
	t.Parallel()
	s := newSite(t, link)
	by := rand.New(rand.NewPCG(7, 9))
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t/#")
	other := wire.ConnectPacket{Level: 4, ClientID: "other"}
	away := s.connect(other, false)
	away.subscribe(1, 1, "t/#")
	away.disconnectAfterPing()
	next, got := 0, 0
	for round := range 30 {
		pub := s.clean("pub")
		batch := 1 + by.IntN(40)
		mode := by.IntN(4)
		if mode == 0 {
			sub.disconnectAfterPing()
		}
		for i := range batch {
			pub.publish("t/a", strconv.Itoa(next+i), 1, uint16(i+1))
		}
		reads := batch
		if mode == 1 {
			reads = by.IntN(batch)
		}
		for range reads {
			if mode == 0 {
				break
			}
			m := sub.wantMessage()
			n, err := strconv.Atoi(m.payload)
			if err != nil || n > got {
				t.Fatalf("round %d: %q after %d", round, m.payload, got-1)
			}
			got = max(got, n+1)
			if mode != 2 || by.IntN(2) == 0 {
				sub.ack(wire.Puback, m.id)
			}
		}
		for i := range batch {
			pub.wantAck(wire.Puback, uint16(i+1))
		}
		next += batch
		if by.IntN(3) == 0 {
			s.restart()
		} else {
			s.crash()
		}
		sub.drop()
		sub = s.connect(kept(), true)
		for got < next {
			m := sub.wantMessage()
			n, err := strconv.Atoi(m.payload)
			if err != nil || n > got {
				t.Fatalf("round %d: %q after %d of %d", round, m.payload, got-1, next)
			}
			got = max(got, n+1)
			sub.ack(wire.Puback, m.id)
		}
		sub.quietOf(next)
	}
	away = s.connect(other, true)
	for i := range next {
		away.wantPayload(strconv.Itoa(i))
	}
	away.quiet()
	for _, id := range []string{"p", "other"} {
		if st, _ := s.Session(id); st.Dropped != 0 {
			t.Errorf("%s: %+v", id, st)
		}
	}
}

// quietOf reads repeats of messages below n, until what was acknowledged is on disk.
func (c *peer) quietOf(n int) {
	c.t.Helper()
	c.send([]byte{wire.Pingreq << 4, 0})
	for {
		h, body, err := c.packet(patience)
		switch {
		case err != nil:
			c.t.Fatal(err)
		case h>>4 == wire.Pingresp:
			return
		}
		m := c.read(h, body)
		if k, err := strconv.Atoi(m.payload); err != nil || k >= n {
			c.t.Fatalf("got %+v, only %d were published", m, n)
		}
		c.ack(wire.Puback, m.id)
	}
}

// Retained values are not written one by one: the newest at a stop, or once a minute.
func TestLinkWritesTheNewestRetainedAtAStop(t *testing.T) {
	t.Parallel()
	s := newSite(t, link)
	pub := s.clean("pub")
	before := s.Status().JournalBytes
	for i := range 100 {
		pub.retain("r", strconv.Itoa(i), uint16(i+1))
	}
	if n := s.Status().JournalBytes - before; n != 0 {
		t.Errorf("%d bytes of journal before the stop", n)
	}
	s.restart()
	c := s.clean("c")
	c.subscribe(1, 1, "r")
	c.wantPayload("99")
}
