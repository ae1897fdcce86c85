// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

// sum is a broker.Options.Gap that adds up.
type sum struct {
	mu  sync.Mutex
	all map[string]uint64 // messages by reason
}

func (x *sum) add(g broker.Gap) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all == nil {
		x.all = map[string]uint64{}
	}
	x.all[g.Reason] += g.Messages
}

func (x *sum) of(reason string) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all[reason]
}

// bounded is a client in this process whose session has bounds of its own.
type bounded struct {
	*site
	id broker.Identity
}

func newBounded(t *testing.T, q broker.Queue, change func(*site)) *bounded {
	s := newSite(t, change)
	l := &bounded{s, broker.Identity{ClientID: "edged-link", Subscribe: []string{"t/#"}, Queue: q}}
	c := l.connect(false)
	c.subscribe(1, 2, "t/#")
	c.disconnectAfterPing()
	return l
}

func (l *bounded) connect(present bool) *peer {
	l.t.Helper()
	nc, err := l.Dial(l.id)
	if err != nil {
		l.t.Fatal(err)
	}
	c := newPeer(l.t, nc)
	if ack := c.connect(wire.ConnectPacket{Level: 4, ClientID: l.id.ClientID}); ack.SessionPresent != present {
		l.t.Fatalf("session present %v", ack.SessionPresent)
	}
	return c
}

func (l *bounded) status() broker.SessionStatus {
	l.t.Helper()
	st, ok := l.Session(l.id.ClientID)
	if !ok {
		l.t.Fatal("there is no session")
	}
	return st
}

// five connects with MQTT 5 and a clean session.
func (s *site) five(id string) *peer {
	s.t.Helper()
	return s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: id}, false)
}

// Whose message is owed to a full session that rejects is told so in MQTT 5, and nobody gets the message; all that was
// taken arrives, and once there is room the next is taken.
func TestFullSessionRefusesInFive(t *testing.T) {
	t.Parallel()
	var gaps sum
	l := newBounded(t, broker.Queue{Size: 64 << 10, WhenFull: "reject"}, func(s *site) { s.opts.Gap = gaps.add })
	live := l.clean("live")
	live.subscribe(1, 1, "t/#")
	pub := l.five("pub")
	payload := strings.Repeat("x", 1000)
	taken, refused := 0, 0
	for i := range 100 {
		qos, kind := byte(1), byte(wire.Puback)
		if i%2 == 1 {
			qos, kind = 2, wire.Pubrec
		}
		pub.publish("t/a", payload, qos, uint16(i+1))
		switch reason := pub.wantAck(kind, uint16(i+1)); reason {
		case 0:
			if taken++; refused > 0 {
				t.Fatal("a message was taken after one was refused")
			}
			live.wantPayload(payload)
			if qos == 2 {
				pub.ack(wire.Pubrel, uint16(i+1))
				pub.wantAck(wire.Pubcomp, uint16(i+1))
			}
		case wire.QuotaExceeded:
			refused++
		default:
			t.Fatalf("reason 0x%02x", reason)
		}
	}
	live.quiet()
	if taken < 60 || taken > 70 {
		t.Errorf("%d messages of 1 kB fit into 64 KiB", taken)
	}
	pub.publish("other", payload, 1, 500)
	if reason := pub.wantAck(wire.Puback, 500); reason != wire.NoSubscribers {
		t.Errorf("what the session is not owed: reason 0x%02x", reason)
	}
	pub.publish("t/a", payload, 0, 0)
	live.wantPayload(payload)
	if st := l.status(); st.Refused != uint64(refused) || st.Dropped != 0 || st.Messages != uint64(taken) {
		t.Errorf("%d taken, %d refused, %+v", taken, refused, st)
	}
	eventually(t, "the refusals are told", func() bool {
		return gaps.of("reject") == uint64(refused)
	})
	c := l.connect(true)
	for left := taken; left > 0; {
		h, body, err := c.packet(patience)
		switch {
		case err != nil:
			t.Fatalf("%d are not there: %v", left, err)
		case h>>4 == wire.Pubrel:
			continue // it answers a PUBREC
		}
		left--
		if m := c.read(h, body); m.qos == 2 {
			c.ack(wire.Pubrec, m.id)
		} else {
			c.ack(wire.Puback, m.id)
		}
	}
	eventually(t, "there is room again", func() bool {
		pub.publish("t/a", payload, 1, 502)
		return pub.wantAck(wire.Puback, 502) == 0
	})
}

// Before MQTT 5 a publisher waits, however long, without an acknowledgement and without being closed; what it and others
// sent arrives in order and once.
func TestFullSessionHoldsBackBeforeFive(t *testing.T) {
	t.Parallel()
	l := newBounded(t, broker.Queue{Size: 64 << 10, WhenFull: "reject"}, nil)
	pub := l.connectAs("pub", 1)
	payload := strings.Repeat("x", 1000)
	for i := range 50 {
		pub.publish("t/a", payload, 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	for i := 50; i < 100; i++ {
		pub.publish("t/a", payload, 1, uint16(i+1))
	}
	acked := 50
	for { // those that came in before it was full
		_, body, err := pub.packet(2500 * time.Millisecond) // beyond its keep-alive
		if err != nil {
			if isEnd(err) {
				t.Fatalf("who waits was closed: %v", err)
			}
			break
		}
		id, _ := wire.ReadAck(body, 4)
		acked = int(id)
	}
	if acked < 60 || acked > 70 {
		t.Errorf("%d were acknowledged before it was full", acked)
	}
	other := l.clean("other")
	other.subscribe(1, 1, "elsewhere")
	other.publish("elsewhere", "served", 1, 9)
	other.wantPayload("served")
	other.wantAck(wire.Puback, 9)
	gone := l.clean("gone")
	gone.publish("t/a", payload, 1, 1)
	clients := l.Status().Clients
	gone.drop()
	eventually(t, "who waits and goes takes no place", func() bool { return l.Status().Clients < clients })
	if st := l.status(); st.Dropped != 0 || st.Messages != uint64(acked) {
		t.Errorf("%d acknowledged, %+v", acked, st)
	}
	c := l.connect(true)
	for range 100 {
		c.wantPayload(payload)
	}
	c.quiet()
	for i := acked; i < 100; i++ {
		pub.wantAck(wire.Puback, uint16(i+1))
	}
}

// connectAs connects with a clean session and a keep-alive in seconds.
func (s *site) connectAs(id string, keepAlive uint16) *peer {
	s.t.Helper()
	return s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: id, KeepAlive: keepAlive}, false)
}

// fill publishes messages of 100 KiB until one is refused, and tells how many were taken: at least 60.
func (l *bounded) fill(pub *peer) (payload string, taken int) {
	l.t.Helper()
	payload = strings.Repeat("x", 100<<10)
	for ; taken < 400; taken++ {
		pub.publish("t/a", payload, 1, uint16(taken+1))
		if pub.wantAck(wire.Puback, uint16(taken+1)) == wire.QuotaExceeded {
			break
		}
	}
	if taken < 60 || taken == 400 {
		l.t.Fatalf("%d of 100 KiB were taken", taken)
	}
	return payload, taken
}

// At the journal's bound, what a session that rejects is owed stays: publishers wait, or are refused, until it has taken
// it.
func TestJournalsBoundTakesNothingFromASessionThatRejects(t *testing.T) {
	t.Parallel()
	l := newBounded(t, broker.Queue{Size: 1 << 30, WhenFull: "reject"}, func(s *site) {
		s.cfg.Limits.Journal, s.cfg.Limits.SessionQueue = 8<<20, 8<<20
	})
	pub := l.five("pub")
	payload, taken := l.fill(pub)
	if taken > 200 {
		t.Fatalf("%d of 100 KiB were taken into a journal of 8 MiB", taken)
	}
	if st := l.status(); st.Dropped != 0 || st.Messages != uint64(taken) {
		t.Errorf("%d taken, %+v", taken, st)
	}
	old := l.clean("old")
	old.publish("t/a", payload, 1, 1)
	c := l.connect(true)
	for range taken + 1 {
		c.wantPayload(payload)
	}
	old.wantAck(wire.Puback, 1)
	eventually(t, "there is room again", func() bool {
		pub.publish("t/a", payload, 1, 1000)
		return pub.wantAck(wire.Puback, 1000) == 0
	})
}

// On a full disk, who publishes to a session that rejects is refused in MQTT 5 instead of waiting.
func TestFullDiskRefusesForASessionThatRejects(t *testing.T) {
	t.Parallel()
	l := newBounded(t, broker.Queue{Size: 1 << 30, WhenFull: "reject"}, func(s *site) { s.disk.SetLimit(20 << 20) })
	payload, taken := l.fill(l.five("pub"))
	c := l.connect(true)
	for range taken {
		c.wantPayload(payload)
	}
	if st := l.status(); st.Dropped != 0 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
}
