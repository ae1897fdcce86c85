// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strconv"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

func will(topic, payload string, qos byte, retain bool) *wire.WillPacket {
	return &wire.WillPacket{Message: wire.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain}}
}

// Every end of a connection publishes the will but a DISCONNECT that says no.
//
// Covers 4:3.1.2-8 4:3.1.2-10 4:3.1.2-17 4:3.14.4-3 5:3.1.2-8 5:3.1.2-10 5:3.1.2-15 5:3.14.4-3.
func TestWillByCause(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		version byte
		end     func(s *site, c *peer)
		will    bool
	}{
		{"closed without a word", 4, func(_ *site, c *peer) { c.drop() }, true},
		{"reset", 4, func(_ *site, c *peer) { c.reset() }, true},
		{"protocol error", 4, func(_ *site, c *peer) { c.send([]byte{0xF7, 0}) }, true},
		{"malformed PUBLISH", 5, func(_ *site, c *peer) { c.send([]byte{0x36, 0}) }, true},
		{"packet too large", 4, func(_ *site, c *peer) { c.send([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}) }, true},
		{"second CONNECT", 4, func(_ *site, c *peer) { c.send(wire.AppendConnect(nil, &wire.ConnectPacket{Level: 4, ClientID: "p"})) }, true},
		{"taken over", 4, func(s *site, _ *peer) { s.dial().connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "w"}) }, true},
		{"DISCONNECT", 4, func(_ *site, c *peer) { c.disconnect() }, false},
		{"DISCONNECT of MQTT 5", 5, func(_ *site, c *peer) { c.disconnect() }, false},
		{"DISCONNECT with will", 5, func(_ *site, c *peer) { c.send([]byte{0xE0, 1, wire.DisconnectWithWill}) }, true},
		{"DISCONNECT for an error", 5, func(_ *site, c *peer) { c.send([]byte{0xE0, 1, wire.Unspecified}) }, true},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			sub := s.clean("sub")
			sub.subscribe(1, 2, "will/#")
			c := s.connect(wire.ConnectPacket{Level: x.version, Clean: true, ClientID: "w", Will: will("will/w", "gone", 1, true)}, false)
			x.end(s, c)
			if x.will {
				if m := sub.wantPayload("gone"); m.topic != "will/w" || m.qos != 1 || m.retain {
					t.Errorf("got %+v", m)
				}
				late := s.clean("late")
				late.subscribe(1, 1, "will/w")
				if m := late.wantPayload("gone"); !m.retain {
					t.Error("the will is not retained")
				}
				return
			}
			c.wantGone()
			eventually(t, "the session has ended", func() bool { _, there := s.Session("w"); return !there })
			sub.quiet()
		})
	}
}

func (c *peer) wantGone() {
	c.t.Helper()
	if _, _, err := c.packet(patience); !isEnd(err) {
		c.t.Fatalf("the connection is still open: %v", err)
	}
}

func TestWillOfKeepAlive(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 0, "will")
	c := s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "w", KeepAlive: 1, Will: will("will", "gone", 0, false)}, false)
	began := time.Now()
	sub.wantPayload("gone")
	if d := time.Since(began); d < 1400*time.Millisecond {
		t.Errorf("after %v, want 1.5 s", d)
	}
	if reason := c.wantEnd(); reason != wire.KeepAliveTimeout {
		t.Errorf("reason 0x%02x", reason)
	}
}

func TestEmptyWillClears(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("c")
	c.retain("will", "kept", 1)
	c.subscribe(2, 0, "will")
	c.wantPayload("kept")
	s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "w", Will: will("will", "", 1, true)}, false).drop()
	c.wantPayload("")
	eventually(t, "nothing is retained", func() bool { return len(s.Retained("#")) == 0 })
}

func TestWillAtStopAndAfterACrash(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stop", "kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			keeper := s.connect(kept(), false)
			keeper.subscribe(1, 1, "will")
			keeper.disconnectAfterPing()
			w := s.connect(wire.ConnectPacket{Level: 4, ClientID: "w", Will: will("will", "offline", 1, true)}, false)
			w.retain("will", "online", 1)
			w.subscribe(2, 0, "x") // durable, and so is its record with the will
			if how == "kill" {
				s.kill()
			} else {
				s.stop()
			}
			s.start() // the will is published before anybody can connect
			if got := s.Retained("will"); len(got) != 1 || string(got[0].Payload) != "offline" {
				t.Fatalf("retained: %v", got)
			}
			keeper = s.connect(kept(), true)
			keeper.wantPayload("online")
			keeper.wantPayload("offline")
			keeper.quiet()
			s.restart() // and only once
			keeper = s.connect(kept(), true)
			keeper.quiet()
		})
	}
}

// Covers 5:3.1.2-7 5:3.1.2-8 5:3.1.3-9.
func TestDelayedWill(t *testing.T) {
	t.Parallel()
	connect := wire.ConnectPacket{Level: 5, ClientID: "w", SessionExpiry: 100, Will: will("will", "gone", 1, false)}
	connect.Will.Delay = 1
	t.Run("comes", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		sub := s.clean("sub")
		sub.subscribe(1, 0, "will")
		s.connect(connect, false).drop()
		sub.quiet()
		sub.wantPayload("gone")
	})
	t.Run("not when the client is back", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		sub := s.clean("sub")
		sub.subscribe(1, 0, "will")
		s.connect(connect, false).drop()
		eventually(t, "it is gone", func() bool { st, _ := s.Session("w"); return !st.Connected })
		again := connect
		again.Will = nil
		s.connect(again, true)
		if h, _, err := sub.packet(2 * time.Second); err == nil {
			t.Errorf("got packet type %d", h>>4)
		}
	})
	t.Run("at once when its session ends", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		sub := s.clean("sub")
		sub.subscribe(1, 0, "will")
		long := connect
		long.Will = will("will", "gone", 1, false)
		long.Will.Delay = 50
		s.connect(long, false).drop()
		eventually(t, "it is gone", func() bool { st, _ := s.Session("w"); return !st.Connected })
		again := long
		again.Will, again.Clean = nil, true
		s.connect(again, false)
		sub.wantPayload("gone")
	})
	t.Run("keeps its time over a restart", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		sub := s.connect(kept(), false)
		sub.subscribe(1, 1, "will")
		s.connect(connect, false).drop()
		eventually(t, "it is gone", func() bool { st, _ := s.Session("w"); return !st.Connected })
		s.restart()
		sub = s.connect(kept(), true)
		sub.wantPayload("gone")
	})
}

// Covers 5:3.1.3-10.
func TestWillExpiryAndProperties(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "sub"}, false)
	sub.subscribe(1, 0, "will")
	w := will("will", "gone", 1, false)
	w.Life = 77
	w.Props = []byte("\x26\x00\x01k\x00\x01v")
	s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "w", Will: w}, false).drop()
	m := sub.wantPayload("gone")
	if left := m.in.Expires - time.Now().Unix(); left < 70 || left > 77 || string(m.in.Props) != "\x26\x00\x01k\x00\x01v" {
		t.Errorf("expires in %d s, properties % x", left, m.in.Props)
	}
}

// A will has the QoS and RETAIN that CONNECT said; without the flag there is none.
//
// Covers 4:3.1.2-9 4:3.1.2-12 4:3.1.2-16 4:3.1.2-17 5:3.1.2-9 5:3.1.2-14 5:3.1.2-15.
func TestWillQoSAndRetain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, version := range []byte{4, 5} {
		for qos := range byte(3) {
			for _, retain := range []bool{false, true} {
				sub := s.clean("sub")
				sub.subscribe(1, 2, "will")
				s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "w", Will: will("will", "gone", qos, retain)}, false).reset()
				if m := sub.wantPayload0("gone"); m.qos != qos || m.retain || m.dup {
					t.Errorf("version %d, QoS %d: got %+v", version, qos, m)
				}
				if kept := len(s.Retained("will")) == 1; kept != retain {
					t.Errorf("version %d, retain %t: kept %t", version, retain, kept)
				}
				sub.drop()
				s.clean("tidy").retain("will", "", 9)
				s.clean("tidy").disconnect()
				eventually(t, "all are gone", func() bool { return s.Status().Clients == 0 })
			}
		}
		sub := s.clean("sub")
		sub.subscribe(1, 2, "#")
		s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "w"}, false).reset()
		eventually(t, "it is gone", func() bool { return s.Status().Clients == 1 })
		sub.quiet()
		sub.drop()
	}
}

// What is still to be read when its client is back already counts: the message is delivered, and after DISCONNECT there
// is no will.
func TestDisconnectJustBeforeATakeOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.clean("sub")
	sub.subscribe(1, 0, "will", "t")
	dial := s.dial
	for i := range 600 {
		p := wire.ConnectPacket{Level: 4 + byte(i%2), Clean: i%3 == 0, ClientID: "w", Will: will("will", "gone", 0, false)}
		if i == 300 { // the other half in memory
			dial = func() *peer {
				nc, err := s.Dial(broker.Identity{ClientID: "inside", Publish: []string{"#"}})
				if err != nil {
					t.Fatal(err)
				}
				return newPeer(t, nc)
			}
		}
		if i >= 300 {
			p.ClientID = "inside"
		}
		c, next := dial(), dial()
		c.connect(p)
		c.send(append(c.frame("t", strconv.Itoa(i), 0, 0, false), wire.Disconnect<<4, 0))
		if i%4 < 2 {
			c.drop()
		}
		next.connect(p)
		sub.wantPayload(strconv.Itoa(i))
		next.disconnect()
		c.drop()
	}
	sub.quiet()
}
