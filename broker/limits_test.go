// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/mqtt/wire"
)

func TestSubscriptionLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SubscriptionsPerClient = 2 })
	if got := s.clean("4").subscribe(1, 1, "a", "b", "c", "a"); !slices.Equal(got, []byte{1, 1, 0x80, 1}) {
		t.Errorf("3.1.1: % x", got)
	}
	if got := s.connect(five("5"), false).subscribe(1, 1, "a", "b", "c"); !slices.Equal(got, []byte{1, 1, wire.QuotaExceeded}) {
		t.Errorf("5: % x", got)
	}
}

// A subscriber that does not read holds nobody up; it is taken over at once, and gets what it is owed then.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	slow, fast := s.connect(kept(), false), s.clean("fast")
	slow.subscribe(1, 1, "t", "zero")
	fast.subscribe(1, 1, "t")
	pub := s.clean("pub")
	const all = 600
	big := strings.Repeat("x", 20000)
	for i := range all {
		pub.publish("zero", big, 0, 0)
		pub.publish("t", strconv.Itoa(i)+" "+big, 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
		m := fast.wantMessage()
		fast.ack(wire.Puback, m.id)
		if !strings.HasPrefix(m.payload, strconv.Itoa(i)+" ") {
			t.Fatalf("message %d: %.10q", i, m.payload)
		}
	}
	if n := s.Status().Dropped; n == 0 {
		t.Error("messages of QoS 0 to a client that does not read are neither sent nor dropped")
	}
	slow = s.connect(kept(), true)
	for i := range all {
		m := slow.wantMessage()
		slow.ack(wire.Puback, m.id)
		if !strings.HasPrefix(m.payload, strconv.Itoa(i)+" ") {
			t.Fatalf("message %d: %.10q", i, m.payload)
		}
	}
	slow.quiet()
}

func TestSessionQueueGivesUpTheOldest(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SessionQueue = 1 << 20 })
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	sub.drop()
	pub := s.clean("pub")
	const all = 300
	big := strings.Repeat("x", 10000)
	for i := range all {
		pub.publish("t", strconv.Itoa(i)+" "+big, 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	st, _ := s.Session("p")
	if st.Bytes > 1<<20 || st.Bytes < 1<<19 || st.Dropped == 0 || st.Dropped+st.Messages != all || s.Status().Dropped != st.Dropped || st.Oldest.IsZero() {
		t.Errorf("got %+v", st)
	}
	s.wantHits("session_queue", -1)
	s.crash()
	sub = s.connect(kept(), true)
	for i := int(st.Dropped); i < all; i++ {
		m := sub.wantMessage()
		sub.ack(wire.Puback, m.id)
		if !strings.HasPrefix(m.payload, strconv.Itoa(i)+" ") {
			t.Fatalf("got %.10q, want %d", m.payload, i)
		}
	}
	sub.quiet()
}

// What nobody needs is given back; sessions' records and retained messages outlive their segments. At the journal's bound
// the session that pins it gives up its oldest.
func TestJournalIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Journal = 16 << 20 })
	idle := s.connect(wire.ConnectPacket{Level: 4, ClientID: "idle"}, false)
	idle.subscribe(1, 1, "idle")
	idle.disconnectAfterPing()
	pub := s.clean("pub")
	pub.retain("kept", "still", 1)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	big := strings.Repeat("x", 100000)
	send := func(n int, read bool) {
		for range n {
			pub.publish("t", big, 1, 1)
			pub.wantAck(wire.Puback, 1)
			if read {
				sub.wantPayload(big)
			}
		}
	}
	send(200, true) // 20 MB
	eventually(t, "segments are given back", func() bool { return s.Status().JournalBytes <= 16<<20 })
	if n := s.Status().Dropped; n != 0 {
		t.Errorf("%d were dropped", n)
	}
	sub.drop()
	send(220, false)
	eventually(t, "the bound is kept", func() bool { return s.Status().JournalBytes <= 20<<20 })
	if st, _ := s.Session("p"); st.Dropped == 0 || st.Messages < 50 {
		t.Errorf("got %+v", st)
	}
	s.crash()
	s.connect(wire.ConnectPacket{Level: 4, ClientID: "idle"}, true)
	late := s.clean("late")
	late.subscribe(1, 0, "kept")
	late.wantPayload("still")
	publishAll(late, "idle", 0, 1)
	s.wantOwed("idle", 1)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(kept(), false)
	c.subscribe(1, 1, "t")
	c.drop()
	pub := s.clean("pub")
	pub.retain("t", "0123456789", 1)
	st := s.Status()
	if len(st.Listeners) != 1 || st.Listeners[0] != s.addr || st.Sessions != 2 || st.Retained != 1 || st.JournalBytes == 0 {
		t.Errorf("got %+v", st)
	}
	owed, ok := s.Session("p")
	if !ok || owed.Messages != 1 || owed.Bytes < 10 || time.Since(owed.Oldest) > patience {
		t.Errorf("got %+v", owed)
	}
	if _, ok := s.Session("nobody"); ok {
		t.Error("nobody has a session")
	}
}

func TestReceiveMaximumOfOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.dial()
	ack := c.connect(five("c"))
	for i := range int(ack.ReceiveMaximum) {
		c.publish("t", "x", 2, uint16(i+1))
		c.wantAck(wire.Pubrec, uint16(i+1))
	}
	c.publish("t", "x", 2, uint16(ack.ReceiveMaximum)+1)
	if reason := c.wantEnd(); reason != wire.ReceiveMaxExceeded {
		t.Errorf("reason 0x%02x", reason)
	}
	four := s.clean("4") // 3.1.1 knows no such limit
	for i := range 1500 {
		four.publish("t", "x", 2, uint16(i+1))
		four.wantAck(wire.Pubrec, uint16(i+1))
	}
}

// What one sparse session is owed does not hold the journal of a busy one: it is carried along, and comes first, in order
// and once, also after a crash in between and a second time round.
func TestSparseSessionDoesNotPinTheJournal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sparse := s.connect(wire.ConnectPacket{Level: 4, ClientID: "sparse"}, false)
	sparse.subscribe(1, 1, "sparse")
	sparse.disconnectAfterPing()
	busy := s.connect(kept(), false)
	busy.subscribe(1, 1, "busy")
	big := strings.Repeat("x", 200000)
	next := 0
	traffic := func(n int) {
		pub := s.clean("pub")
		for i := range n {
			if i%30 == 0 {
				publishAll(pub, "sparse", next, 2)
				next += 2
			}
			pub.publish("busy", big, 1, 1)
			pub.wantAck(wire.Puback, 1)
			busy.wantPayload(big)
		}
		busy.quiet()
	}
	small := func() {
		eventually(t, "the journal is short", func() bool { return s.Status().JournalBytes <= 24<<20 })
	}
	traffic(140) // 40 MB
	small()
	s.crash()
	busy = s.connect(kept(), true)
	traffic(140)
	small()
	if st, _ := s.Session("sparse"); st.Dropped != 0 || st.Messages != uint64(next) || st.Bytes < 10 {
		t.Errorf("got %+v, want %d messages", st, next)
	}
	sparse = s.connect(wire.ConnectPacket{Level: 4, ClientID: "sparse"}, true)
	for i := range 5 {
		if m := sparse.wantMessage(); m.payload != strconv.Itoa(i) {
			t.Fatalf("got %q, want %d", m.payload, i)
		}
	}
	sparse.drop() // none is acknowledged
	traffic(30)
	s.restart()
	sparse = s.connect(wire.ConnectPacket{Level: 4, ClientID: "sparse"}, true)
	for i := range next {
		sparse.wantPayload(strconv.Itoa(i))
	}
	sparse.quiet()
	s.wantOwed("sparse", 0)
}
