// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// wantHits fails the test unless a limit was reached so often, or, where n is negative, at all.
func (s *site) wantHits(limit string, n int) {
	s.t.Helper()
	if got := s.Status().Limits[limit]; n >= 0 && got != uint64(n) || n < 0 && got == 0 {
		s.t.Errorf("limit %s was reached %d times, want %d", limit, got, n)
	}
}

func TestClientLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Clients = 2 })
	s.clean("a")
	b := s.clean("b")
	old, young := s.dial(), s.dial()
	if ack := old.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "c"}); ack.Code != wire.RefusedUnavailable {
		t.Errorf("3.1.1: code %d", ack.Code)
	}
	if ack := young.connect(five("c")); ack.Code != wire.ServerBusy {
		t.Errorf("5: code 0x%02x", ack.Code)
	}
	s.wantHits("clients", 2)
	s.clean("b") // who takes over takes no place
	b.wantEnd()
	s.wantHits("clients", 2)
}

// Who says nothing is closed in time, and who says it byte by byte is, too.
func TestConnectTimeoutIsCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.ConnectTimeout = 100 * time.Millisecond })
	silent, slow := s.dial(), s.dial()
	slow.send([]byte{0x10})
	slow.send([]byte{0x0d})
	silent.wantEnd()
	slow.wantEnd()
	s.wantHits("connect_timeout", 2)
	if s.cfg.Limits.ConnectTimeout = 0; len(s.Status().Limits) < 15 {
		t.Errorf("limits: %v", s.Status().Limits)
	}
}

func TestPacketLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Packet = 2000 })
	c := s.dial()
	if ack := c.connect(five("c")); ack.MaximumPacketSize != 2000 {
		t.Errorf("CONNACK: %+v", ack)
	}
	c.publish("t", strings.Repeat("x", 1990), 1, 1)
	c.wantAck(wire.Puback, 1)
	c.send([]byte{0x30, 0xd1, 0x0f}) // 2001 bytes are announced
	if reason := c.wantEnd(); reason != wire.TooLarge {
		t.Errorf("reason 0x%02x", reason)
	}
	early := s.dial()
	early.send([]byte{0x10, 0xd1, 0x0f})
	early.wantEnd()
	s.wantHits("packet", 2)
}

func TestTopicLevelLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.TopicLevels = 3 })
	c := s.connect(five("c"), false)
	if got := c.subscribe(1, 0, "a/b/c", "a/b/c/d", "+/+/+/#"); !slices.Equal(got, []byte{0, wire.FilterInvalid, wire.FilterInvalid}) {
		t.Errorf("SUBACK % x", got)
	}
	c.publish("a/b/c", "x", 0, 0)
	c.wantPayload("x")
	c.publish("a/b/c/d", "x", 0, 0)
	if reason := c.wantEnd(); reason != wire.TopicInvalid {
		t.Errorf("reason 0x%02x", reason)
	}
	s.wantHits("topic_levels", 3)
}

func TestRetainedLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Retained, s.cfg.Limits.RetainedBytes = 2, 1000 })
	c, sub := s.clean("c"), s.clean("sub")
	sub.subscribe(1, 0, "#")
	for i, x := range []struct{ topic, payload string }{{"a", "1"}, {"b", "1"}, {"c", "1"}, {"a", strings.Repeat("x", 900)}} {
		c.retain(x.topic, x.payload, uint16(i+1))
		sub.wantPayload(x.payload) // it is delivered all the same
	}
	if n := s.Status().Retained; n != 2 || s.Retained("a")[0].Payload[0] != '1' {
		t.Errorf("%d are retained, a is %q", n, s.Retained("a")[0].Payload)
	}
	s.wantHits("retained", 2)
	c.retain("a", "", 9) // to clear takes no room
	c.retain("c", "1", 10)
	s.wantHits("retained", 2)
}

func TestSessionExpiryLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SessionExpiry = time.Second })
	c := s.dial()
	p := five("c")
	p.Clean, p.SessionExpiry = false, 3600
	own := p
	own.ClientID = "edged-uplink"
	defer inside(t, s.Broker, own).drop()
	s.wantHits("session_expiry", 0)
	if ack := c.connect(p); ack.SessionExpiry == nil || *ack.SessionExpiry != 1 {
		t.Errorf("CONNACK: %+v", ack)
	}
	s.wantHits("session_expiry", 1)
	c.drop()
	eventually(t, "the session is over", func() bool { _, there := s.Session("c"); return !there })
}

// Where there is no room for more sessions, those go that nobody is connected to: first those that are owed nothing, the
// longest away first. Who is connected stays, and so does who comes.
func TestSessionsMakeRoom(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Memory = 8 << 20 }) // 1 MiB for sessions
	here, owed := s.connect(wire.ConnectPacket{Level: 4, ClientID: "here"}, false), s.connect(wire.ConnectPacket{Level: 4, ClientID: "owed"}, false)
	here.subscribe(1, 1, "here")
	owed.subscribe(1, 1, "owed")
	owed.disconnectAfterPing()
	publishAll(s.clean("pub"), "owed", 0, 3)
	const all = 1500
	for i := range all {
		c := s.connect(wire.ConnectPacket{Level: 4, ClientID: "mayfly-" + strconv.Itoa(i)}, false)
		c.disconnectAfterPing()
	}
	if n := s.Status().Sessions; n < 100 || n > 900 {
		t.Errorf("%d sessions", n)
	}
	s.wantHits("sessions", -1)
	if _, there := s.Session("mayfly-0"); there {
		t.Error("the one that is away for longest is still there")
	}
	if _, there := s.Session("mayfly-" + strconv.Itoa(all-1)); !there {
		t.Error("the latest is gone")
	}
	here.quiet()
	if st, _ := s.Session("owed"); st.Messages != 3 {
		t.Errorf("the one that is owed something: %+v", st)
	}
}

// Subscriptions that take too much memory together are refused, and those that are there go on.
func TestSubscriptionsAreBoundedInAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Memory = 8 << 20 })
	first := s.clean("first")
	first.subscribe(1, 0, "first")
	refused := 0
	for i := range 10 {
		c := s.connect(five("c"+strconv.Itoa(i)), false)
		var filters []string
		for k := range 100 {
			filters = append(filters, strconv.Itoa(i)+"/"+strconv.Itoa(k)+strings.Repeat("/level", 12))
		}
		for _, code := range c.subscribe(1, 0, filters...) {
			if code == wire.QuotaExceeded {
				refused++
			}
		}
	}
	if refused < 100 || refused > 990 {
		t.Errorf("%d of 1000 were refused", refused)
	}
	s.wantHits("memory_state", refused)
	s.clean("pub").publish("first", "x", 0, 0)
	first.wantPayload("x")
}

// Clients that do not read are closed before they take more memory than there is; who reads is served.
func TestSlowReadersAreShed(t *testing.T) {
	s := newSite(t, func(s *site) { s.cfg.Limits.Memory = 8 << 20 })
	for i := range 12 {
		deaf := s.dial()
		if err := deaf.nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		deaf.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "deaf" + strconv.Itoa(i)})
		deaf.subscribe(1, 1, "t")
	}
	good, pub := s.clean("good"), s.clean("pub")
	good.subscribe(1, 1, "t")
	big := strings.Repeat("x", 250000)
	end := time.Now().Add(3 * patience)
	for n := uint16(1); s.Status().Limits["memory_shed"] == 0; n++ {
		if time.Now().After(end) {
			t.Fatalf("nobody is closed: %v", s.Status().Limits)
		}
		pub.publish("t", big, 1, n)
		pub.wantAck(wire.Puback, n)
		for {
			h, body, err := good.packet(time.Millisecond)
			if err != nil {
				break
			}
			if h>>4 == wire.Publish {
				good.ack(wire.Puback, good.read(h, body).id)
			}
		}
	}
	good.quietOrMessages()
}

// quietOrMessages fails the test unless the connection lives.
func (c *peer) quietOrMessages() {
	c.t.Helper()
	c.send([]byte{wire.Pingreq << 4, 0})
	for {
		h, _, err := c.packet(patience)
		if err != nil {
			c.t.Fatal(err)
		}
		if h>>4 == wire.Pingresp {
			return
		}
	}
}

// QoS 2 that is begun and never ended is bounded before MQTT 5 too.
func TestHeldQoS2(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("c")
	var all []byte
	for id := range 2001 {
		all = append(all, c.frame("t", "x", 2, uint16(id+1), false)...)
	}
	go c.send(all)
	c.wantEnd()
	s.wantHits("held_qos2", 1)
}

// A client that does not read the answers to what it asks is not read from any more, and goes on when it reads.
func TestDeafClientsWait(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("deaf")
	const pings = 1 << 20
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.send(slices.Repeat([]byte{wire.Pingreq << 4, 0}, pings))
	}()
	for range pings {
		c.want(wire.Pingresp)
	}
	<-sent
	c.quiet()
}
