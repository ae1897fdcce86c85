// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

func five(id string) wire.ConnectPacket {
	return wire.ConnectPacket{Level: 5, Clean: true, ClientID: id}
}

func TestRetained(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub := s.clean("pub")
	for i, topic := range []string{"r/a", "r/b", "r/c"} {
		pub.retain(topic, "old", uint16(i+1))
	}
	pub.retain("r/a", "new", 4)
	pub.retain("r/c", "", 5)
	s.kill()
	s.start()
	sub := s.connect(five("sub"), false)
	sub.subscribe(1, 1, "r/#")
	for _, want := range []string{"r/a new", "r/b old"} {
		m := sub.wantMessage()
		sub.ack(wire.Puback, m.id)
		if m.topic+" "+m.payload != want || !m.retain || m.qos != 1 {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
	sub.quiet()
	pub = s.clean("pub")
	pub.retain("r/b", "live", 1)
	if m := sub.wantPayload("live"); m.retain {
		t.Error("RETAIN on a live delivery without Retain As Published")
	}
	again := func(handling byte) {
		sub.subscribeAs(wire.SubscribePacket{ID: 3, Filters: []wire.Subscription{{Filter: "r/b", QoS: 1, RetainHandling: handling, RetainAsPublished: true}}})
	}
	again(1) // a new subscription
	sub.wantPayload("live")
	again(1)
	again(2)
	sub.quiet()
	again(0)
	sub.wantPayload("live")
	pub.retain("r/b", "as published", 2)
	if m := sub.wantPayload("as published"); !m.retain {
		t.Error("no RETAIN although it is as published")
	}
	sub.quiet()
}

// A subscriber that comes while messages are published and retained gets the newest of each topic in the end, whatever
// happens in between.
func TestSubscribingDuringRetainedTraffic(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const topics, each = 5, 200
	done := make(chan struct{})
	go func() {
		defer close(done)
		pub := s.clean("pub")
		for i := range each {
			for k := range topics {
				pub.retain(fmt.Sprintf("r/%d", k), strconv.Itoa(i), uint16(k+1))
			}
		}
	}()
	for round, going := 0, true; going; round++ {
		select {
		case <-done:
			going = false
		default:
		}
		sub := s.clean(fmt.Sprintf("sub%d", round))
		sub.send(wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "r/#"}}}, 4))
		last := map[string]int{}
		for range 20 {
			h, body, err := sub.packet(20 * time.Millisecond)
			if err != nil {
				break
			}
			if h>>4 != wire.Publish {
				continue
			}
			m := sub.read(h, body)
			n, _ := strconv.Atoi(m.payload)
			if before, known := last[m.topic]; known && n <= before {
				t.Fatalf("round %d: %s: %d after %d, retain %v", round, m.topic, n, before, m.retain)
			} else if known && n != before+1 {
				t.Fatalf("round %d: %s: %d after %d: one is missing", round, m.topic, n, before)
			}
			last[m.topic] = n
		}
		sub.drop()
		if !going && len(last) != topics {
			t.Errorf("got %v in the end", last)
		}
	}
}

func TestRetainedCommandsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.opts.NoRetain = []string{"edged/+/dev/+/set"} })
	const topic = "edged/gw/dev/air/set"
	sub := s.clean("sub")
	sub.subscribe(1, 1, "edged/#")
	five, four := s.connect(five("5"), false), s.clean("4")
	for i, c := range []*peer{five, four} {
		c.send(c.frame(topic, "x", 1, 7, true))
		if reason := c.wantAck(wire.Puback, 7); c == five && reason != wire.NotAuthorized {
			t.Errorf("reason 0x%02x", reason)
		}
		c.send(c.frame(topic, "x", 0, 0, true))
		c.send(c.frame(topic, "x", 2, 8, true))
		if reason := c.wantAck(wire.Pubrec, 8); c == five && reason != wire.NotAuthorized {
			t.Errorf("reason 0x%02x", reason)
		}
		c.quiet()
		if n := s.Status().Commands; n != uint64(3*(i+1)) {
			t.Errorf("%d counted, want %d", n, 3*(i+1))
		}
	}
	sub.quiet()
	five.publish(topic, "fine", 1, 9)
	five.wantAck(wire.Puback, 9)
	sub.wantPayload("fine")
}

func TestNobodyOutsideWritesSYS(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 1, "$SYS/#", "#")
	c := s.connect(five("c"), false)
	c.publish("$SYS/x", "x", 1, 1)
	if reason := c.wantAck(wire.Puback, 1); reason != wire.NotAuthorized {
		t.Errorf("reason 0x%02x", reason)
	}
	s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "w", Will: will("$SYS/x", "x", 1, true)}, false).drop()
	eventually(t, "it is gone", func() bool { return s.Status().Clients == 2 })
	sub.quiet()
	if n := s.Status().Refused; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// An in-process client may do what its identity says, and nothing else.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	dial := func(id broker.Identity, clean bool) *peer {
		t.Helper()
		nc, err := s.Dial(id)
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, nc)
		c.connect(wire.ConnectPacket{Level: 5, Clean: clean, ClientID: id.ClientID, SessionExpiry: 100})
		return c
	}
	id := broker.Identity{ClientID: "edged-dev-air", Publish: []string{"dev/air/#"}, Subscribe: []string{"dev/air/set"}, SessionQueue: 1 << 20}
	dev := dial(id, true)
	for filter, want := range map[string]byte{"dev/air/set": 1, "dev/+/set": 1, "#": 1, "dev/water/set": wire.NotAuthorized, "x/#": wire.NotAuthorized} {
		if got := dev.subscribe(1, 1, filter); got[0] != want {
			t.Errorf("SUBSCRIBE %q: 0x%02x, want 0x%02x", filter, got[0], want)
		}
	}
	out := s.clean("out")
	for i, topic := range []string{"dev/water/set", "dev/air/data", "dev/air/set"} {
		out.publish(topic, topic, 1, uint16(i+1))
		out.wantAck(wire.Puback, uint16(i+1))
	}
	dev.wantPayload("dev/air/set")
	dev.publish("dev/water/data", "x", 1, 1)
	if reason := dev.wantAck(wire.Puback, 1); reason != wire.NotAuthorized {
		t.Errorf("publish elsewhere: 0x%02x", reason)
	}
	dev.retain("dev/air/data", "mine", 2)
	dev.drop()
	s.restart() // nobody has dialled yet: the session goes on being owed what it subscribed to
	out = s.clean("out")
	out.publish("dev/air/set", "meanwhile", 1, 1)
	out.wantAck(wire.Puback, 1)
	out.subscribe(2, 0, "dev/air/data")
	out.wantPayload("mine")
	dev = dial(id, false)
	dev.wantPayload("meanwhile")
	dev.quiet()
}

func TestSharedSubscription(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a, b := s.connect(five("a"), false), s.connect(five("b"), false)
	for _, c := range []*peer{a, b} {
		c.subscribe(1, 1, "$share/g/t/#")
	}
	pub := s.clean("pub")
	publishAll(pub, "t/x", 0, 10)
	seen := map[string]bool{}
	for range 5 {
		for _, c := range []*peer{a, b} {
			m := c.wantMessage()
			c.ack(wire.Puback, m.id)
			seen[m.payload] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("seen %v", seen)
	}
	b.disconnect()
	eventually(t, "b is gone", func() bool { return s.Status().Clients == 2 })
	publishAll(pub, "t/x", 10, 4)
	for i := range 4 {
		a.wantPayload(strconv.Itoa(10 + i))
	}
}

func TestMQTT5Delivery(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "sub", MaximumPacketSize: 200}, false)
	for i, f := range []wire.Subscription{{Filter: "t/+", QoS: 1}, {Filter: "t/#", QoS: 0}, {Filter: "own", QoS: 1, NoLocal: true}} {
		sub.subscribeAs(wire.SubscribePacket{ID: 1, SubscriptionID: uint32(i + 1), Filters: []wire.Subscription{f}})
	}
	sub.publish("own", "x", 1, 5)
	sub.wantAck(wire.Puback, 5)
	sub.quiet()

	pub := s.connect(five("pub"), false)
	m := wire.Message{Topic: "t/1", Payload: []byte("x"), Props: []byte("\x01\x01\x03\x00\x02ct\x26\x00\x01k\x00\x01v"), Expires: time.Now().Unix() + 60}
	pub.send(wire.AppendPublish(nil, &m, 5, 1, 1, false, false, nil, time.Now().Unix()))
	pub.wantAck(wire.Puback, 1)
	got := sub.wantPayload("x")
	slices.Sort(got.in.SubIDs)
	if string(got.in.Props) != string(m.Props) || !slices.Equal(got.in.SubIDs, []uint32{1, 2}) || got.qos != 1 {
		t.Errorf("got %+v", got)
	}
	if left := got.in.Expires - time.Now().Unix(); left < 50 || left > 60 {
		t.Errorf("expires in %d s", left)
	}

	pub.publish("t/1", strings.Repeat("x", 300), 1, 2) // too large for that client
	pub.wantAck(wire.Puback, 2)
	pub.send([]byte("\x30\x0a\x00\x03t/2\x03\x23\x00\x07a" + "\x30\x07\x00\x00\x03\x23\x00\x07b")) // by alias
	for _, want := range []string{"a", "b"} {
		if m := sub.wantPayload(want); m.topic != "t/2" {
			t.Errorf("topic %q", m.topic)
		}
	}
	sub.quiet()
}

func TestMessageExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(persistent, false)
	sub.subscribe(1, 1, "t")
	sub.drop()
	pub := s.connect(five("pub"), false)
	for i, life := range []int64{1, 60, 0} {
		m := wire.Message{Topic: "t", Payload: []byte(strconv.Itoa(i)), Retain: i == 0}
		if life > 0 {
			m.Expires = time.Now().Unix() + life
		}
		if i == 0 {
			m.Topic = "t"
		}
		pub.send(wire.AppendPublish(nil, &m, 5, 1, uint16(i+1), false, m.Retain, nil, time.Now().Unix()))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	eventually(t, "the retained one has expired", func() bool { return len(s.Retained("t")) == 0 })
	sub = s.connect(persistent, true)
	sub.wantPayload("1")
	sub.wantPayload("2")
	sub.quiet()
}

func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	one := five("one")
	one.Clean, one.SessionExpiry = false, 1
	c := s.connect(one, false)
	c.subscribe(1, 1, "t")
	c.drop()
	eventually(t, "its time is over", func() bool { _, there := s.Session("one"); return !there })
	c = s.connect(one, false)
	c.send([]byte("\xe0\x07\x00\x05\x11\x00\x00\x00\x00")) // DISCONNECT ends it
	eventually(t, "it has ended", func() bool { _, there := s.Session("one"); return !there })
	publishAll(s.clean("pub"), "t", 0, 1) // owed to nobody: the subscription went with the session

	// Clean Start 0 with expiry 0 takes the session up, and ends it with the connection.
	one.SessionExpiry = 100
	c = s.connect(one, false)
	c.subscribe(1, 1, "t")
	c.drop()
	publishAll(s.clean("pub"), "t", 0, 1)
	one.SessionExpiry = 0
	c = s.connect(one, true)
	c.wantPayload("0")
	c.drop()
	eventually(t, "it has ended", func() bool { _, there := s.Session("one"); return !there })
}

// A session ends with Clean Session, and what it was owed does not come back after a restart.
func TestCleanSessionForgets(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(persistent, false)
	c.subscribe(1, 1, "t")
	c.drop()
	publishAll(s.clean("pub"), "t", 0, 3)
	c = s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "p"}, false)
	c.quiet()
	c.disconnect()
	s.restart()
	s.connect(persistent, false).quiet()
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(wire.ConnectPacket{Level: 5, ClientID: "p", SessionExpiry: 100}, false)
	c.subscribe(1, 1, "a", "b/#")
	p := wire.UnsubscribePacket{ID: 2, Filters: []string{"a", "never"}}
	c.send(wire.AppendUnsubscribe(nil, &p, 5))
	_, body := c.want(wire.Unsuback)
	if _, codes, f := wire.DecodeUnsuback(body, 5); f != nil || !slices.Equal(codes, []byte{0, wire.NoSubscription}) {
		t.Errorf("codes % x, %v", codes, f)
	}
	s.kill()
	s.start()
	c = s.connect(wire.ConnectPacket{Level: 5, ClientID: "p", SessionExpiry: 100}, true)
	pub := s.clean("pub")
	publishAll(pub, "a", 0, 1)
	publishAll(pub, "b/x", 1, 1)
	c.wantPayload("1")
	c.quiet()
}

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
	slow, fast := s.connect(persistent, false), s.clean("fast")
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
	slow = s.connect(persistent, true)
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
	sub := s.connect(persistent, false)
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
	s.kill()
	s.start()
	sub = s.connect(persistent, true)
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
	sub := s.connect(persistent, false)
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
	send(300, true) // 30 MB
	eventually(t, "segments are given back", func() bool { return s.Status().JournalBytes <= 16<<20 })
	if n := s.Status().Dropped; n != 0 {
		t.Errorf("%d were dropped", n)
	}
	sub.drop()
	send(300, false)
	eventually(t, "the bound is kept", func() bool { return s.Status().JournalBytes <= 20<<20 })
	if st, _ := s.Session("p"); st.Dropped == 0 || st.Messages < 50 {
		t.Errorf("got %+v", st)
	}
	s.kill()
	s.start()
	s.connect(wire.ConnectPacket{Level: 4, ClientID: "idle"}, true)
	late := s.clean("late")
	late.subscribe(1, 0, "kept")
	late.wantPayload("still")
	publishAll(late, "idle", 0, 1)
	if st, _ := s.Session("idle"); st.Messages != 1 {
		t.Errorf("the subscription is gone: %+v", st)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.connect(persistent, false)
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
