// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// Session present is right in every case, and what was kept is there exactly then.
//
// Covers 4:3.1.2-4 4:3.1.2-6 4:3.1.4-3 4:3.1.4-4 4:3.2.2-1 4:3.2.2-2 4:3.2.2-3 4:3.1.3-2 5:3.1.2-4 5:3.1.2-5 5:3.1.2-6
// 5:3.1.2-23 5:3.1.4-4 5:3.1.4-5 5:3.2.2-1 5:3.2.2-2 5:3.2.2-3 5:3.1.3-2 5:4.1.0-2.
func TestSessionPresent(t *testing.T) {
	t.Parallel()
	type step struct {
		version byte
		clean   bool
		expiry  uint32 // of MQTT 5
		present bool
	}
	for name, steps := range map[string][]step{
		"3.1.1, never kept":                  {{4, true, 0, false}, {4, true, 0, false}},
		"3.1.1, kept":                        {{4, false, 0, false}, {4, false, 0, true}, {4, false, 0, true}},
		"3.1.1, kept then clean":             {{4, false, 0, false}, {4, true, 0, false}, {4, false, 0, false}, {4, false, 0, true}},
		"3.1.1, clean then kept":             {{4, true, 0, false}, {4, false, 0, false}},
		"5, not kept":                        {{5, false, 0, false}, {5, false, 0, false}},
		"5, kept":                            {{5, false, 100, false}, {5, false, 100, true}, {5, false, 0, true}, {5, false, 100, false}},
		"5, Clean Start with an expiry":      {{5, true, 100, false}, {5, false, 100, true}, {5, true, 100, false}, {5, false, 100, true}},
		"3.1.1, then 5":                      {{4, false, 0, false}, {5, false, 100, true}, {4, false, 0, true}},
		"5, then 3.1.1":                      {{5, true, 100, false}, {4, false, 0, true}, {4, true, 0, false}},
		"3.1.1, kept, then 5 without expiry": {{4, false, 0, false}, {5, false, 0, true}, {4, false, 0, false}},
	} {
		s := newSite(t, nil)
		for i, x := range steps {
			p := wire.ConnectPacket{Level: x.version, Clean: x.clean, ClientID: "c", SessionExpiry: x.expiry}
			c := s.dial()
			c.version = x.version
			c.send(wire.AppendConnect(nil, &p))
			_, body := c.want(wire.Connack)
			if present := body[0] == 1; present != x.present || body[0] > 1 || body[1] != 0 {
				t.Errorf("%s: connection %d got % x, want session present %t", name, i+1, body, x.present)
			}
			other := s.dial() // another ClientId is another session
			if ack := other.connect(wire.ConnectPacket{Level: x.version, ClientID: "C", Clean: true}); ack.SessionPresent {
				t.Errorf("%s: another client has the session", name)
			}
			other.publish("t", "x", 0, 0)
			other.quiet()
			if x.present {
				c.wantPayload("x")
			} else if i > 0 {
				c.quiet()
			}
			other.disconnect()
			c.subscribe(1, 0, "t")
			if i%2 == 0 {
				c.disconnectAfterPing()
			} else {
				c.reset()
			}
			eventually(t, "both are gone", func() bool { return s.Status().Clients == 0 })
			if name == "3.1.1, kept" {
				s.restart()
			}
		}
	}
}

// Covers 4:3.1.3-5 5:3.1.3-5 4:3.1.3-6 4:3.1.3-7 4:3.1.3-8.
func TestClientIds(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	all := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 2)
	for version := byte(3); version <= 5; version++ {
		for n := 1; n <= 23; n++ {
			s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: all[3*n:][:n]}, false).disconnect()
		}
	}
	// Two without a name are two.
	a, b := s.clean(""), s.clean("")
	a.quiet()
	b.quiet()
	if n := s.Status().Sessions; n < 2 {
		t.Errorf("%d sessions", n)
	}
	c := s.dial()
	if ack := c.connect(wire.ConnectPacket{Level: 4}); ack.Code != wire.RefusedClientID {
		t.Errorf("empty ClientId without Clean Session: code %d", ack.Code)
	}
	c.wantGone()
}

// Who takes over is served, the other is closed: after DISCONNECT 0x8E in MQTT 5, without a word in 3.1.1.
//
// Covers 4:3.1.4-2 5:3.1.4-3 5:3.14.4-1.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, old := range []byte{4, 5} {
		for _, fresh := range []byte{4, 5} {
			was := s.connect(wire.ConnectPacket{Level: old, Clean: true, ClientID: "same"}, false)
			is := s.connect(wire.ConnectPacket{Level: fresh, Clean: true, ClientID: "same"}, false)
			if old == 5 {
				if _, body := was.want(wire.Disconnect); body[0] != wire.SessionTakenOver {
					t.Errorf("reason 0x%02x", body[0])
				}
			}
			if h, body, err := was.packet(patience); !isEnd(err) {
				t.Errorf("version %d got packet type %d, % x", old, h>>4, body)
			}
			is.quiet()
			is.disconnect()
			eventually(t, "it is gone", func() bool { return s.Status().Clients == 0 })
		}
	}
}

// What comes after a CONNECT that is refused counts for nothing.
//
// Covers 4:3.1.4-5 5:3.1.4-6 4:3.2.2-4 4:3.2.2-5 5:3.2.2-6 5:3.2.2-7 5:3.2.2-8 5:3.1.3-8 4:3.1.3-9.
func TestNothingCountsAfterARefusal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for name, x := range map[string]struct{ connect, want []byte }{
		"a ClientId of ours":         {connectOf("MQTT", 4, 2, "\x00\x07edged-x"), []byte("\x20\x02\x00\x05")},
		"a ClientId of ours, 5":      {connectOf("MQTT", 5, 2, "\x00\x00\x07edged-x"), []byte("\x20\x03\x00\x87\x00")},
		"level 9":                    {connectOf("MQTT", 9, 2, "\x00\x01a"), []byte("\x20\x02\x00\x01")},
		"no ClientId, not clean":     {connectOf("MQTT", 4, 0, "\x00\x00"), []byte("\x20\x02\x00\x02")},
		"an authentication method":   {connectOf("MQTT", 5, 2, "\x04\x15\x00\x01x\x00\x01a"), []byte("\x20\x03\x00\x8c\x00")},
		"a command that is retained": {connectOf("MQTT", 4, 0x26, "\x00\x01a\x00\x05$SYS/\x00\x01x"), []byte("\x20\x02\x00\x05")},
	} {
		c := s.dial()
		c.send(append(bytes.Clone(x.connect), "\x31\x04\x00\x01tx\x30\x03\x00\x01t"...))
		var got []byte
		for {
			h, body, err := c.packet(patience)
			if err != nil {
				if !isEnd(err) {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			got = append(append(got, h, byte(len(body))), body...)
		}
		if !bytes.Equal(got, x.want) {
			t.Errorf("%s: got % x, want % x", name, got, x.want)
		}
	}
	if n := s.Status().Retained; n != 0 {
		t.Errorf("%d messages are retained", n)
	}
}

// The keep-alive counts up to its greatest value, without overflow, and 0 is none.
//
// Covers 4:3.1.2-24 5:3.1.2-22 5:3.2.2-22.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := broker.Defaults()
		b, err := broker.Open(cfg, "state", nil, broker.Options{FS: journaltest.New()})
		if err != nil {
			t.Fatal(err)
		}
		stop := runInBubble(t, b)
		defer stop()
		for _, x := range []struct {
			version byte
			seconds uint16
		}{{4, 1}, {5, 3}, {4, 60}, {4, 43691}, {5, 65535}, {4, 0}} {
			nc, err := b.Dial(broker.Identity{ClientID: "c"})
			if err != nil {
				t.Fatal(err)
			}
			c := &peer{t: t, nc: nc, version: 4}
			c.connect(wire.ConnectPacket{Level: x.version, Clean: true, ClientID: "c", KeepAlive: x.seconds})
			began := time.Now()
			want := time.Duration(x.seconds) * time.Second * 3 / 2
			h, body, err := c.packet(100000 * time.Second)
			lasted := time.Since(began)
			switch {
			case x.seconds == 0 && lasted < 100000*time.Second:
				t.Errorf("keep-alive 0: ended after %v", lasted)
			case x.seconds > 0 && (lasted < want || lasted > want+time.Second):
				t.Errorf("keep-alive %d s: ended after %v, want %v", x.seconds, lasted, want)
			case x.version == 5 && (err != nil || body[0] != wire.KeepAliveTimeout):
				t.Errorf("keep-alive %d s: got %d % x, %v", x.seconds, h>>4, body, err)
			}
			c.drop()
		}
	})
}

// A packet of any kind within one and a half times the keep-alive holds the connection.
//
// Covers 4:3.1.2-24 5:3.1.2-22 4:3.12.4-1 5:3.12.4-1.
func TestAnyPacketKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.Open(broker.Defaults(), "state", nil, broker.Options{FS: journaltest.New()})
		if err != nil {
			t.Fatal(err)
		}
		stop := runInBubble(t, b)
		defer stop()
		nc, err := b.Dial(broker.Identity{ClientID: "c", Publish: []string{"#"}, Subscribe: []string{"#"}})
		if err != nil {
			t.Fatal(err)
		}
		c := &peer{t: t, nc: nc, version: 4}
		c.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "c", KeepAlive: 10})
		for range 10 {
			time.Sleep(14 * time.Second)
			c.publish("t", "x", 0, 0)
			time.Sleep(14 * time.Second)
			c.subscribe(1, 0, "s")
			time.Sleep(14 * time.Second)
			c.quiet()
		}
		c.drop()
	})
}

// runInBubble runs a broker inside a synctest bubble; stop ends it.
func runInBubble(t *testing.T, b *broker.Broker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

// CONNACK comes before whatever waits for the client, and once.
//
// Covers 4:3.2.0-1 5:3.2.0-1 5:3.2.0-2 5:4.12.0-6.
func TestConnackComesFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, version := range []byte{4, 5} {
		sub := s.connect(held(version, "sub"), false)
		sub.subscribe(1, 2, "t")
		sub.disconnectAfterPing()
		pub := s.clean("pub")
		publishAll(pub, "t", 0, 50)
		sub = s.dial()
		p := held(version, "sub")
		sub.version = version
		sub.send(wire.AppendConnect(nil, &p))
		h, body := sub.want(wire.Connack)
		want := "\x01\x00"
		if version == 5 { // and nothing of authentication, nor of a limit that there is not
			want += "\x0b\x27\x00\x04\x00\x00\x21\x03\xe8\x22\x00\x20"
		}
		if h != wire.Connack<<4 || len(body) != len(want) || string(body[:2]) != want[:2] {
			t.Errorf("version %d: CONNACK % x, want something like % x", version, body, want)
		}
		for i := range 50 {
			m := sub.wantPayload0(fmt.Sprint(i))
			if m.qos == 2 {
				sub.ack(wire.Pubrec, m.id)
			} else {
				sub.ack(wire.Puback, m.id)
			}
		}
		sub.quiet()
		sub.drop()
		s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "sub"}, false)
	}
}

// A packet as long as we take is taken; one byte more ends the connection.
//
// Covers 5:3.2.2-15.
func TestOurMaximumPacketSize(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Packet = 4 << 10 })
	for _, version := range []byte{4, 5} {
		for over := range 2 {
			c := s.dial()
			ack := c.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "c"})
			if version == 5 && ack.MaximumPacketSize != 4<<10 {
				t.Errorf("CONNACK says %d", ack.MaximumPacketSize)
			}
			c.subscribe(1, 0, "t")
			m := wire.Message{Topic: "t", Payload: make([]byte, 4<<10)}
			m.Payload = m.Payload[:2*(4<<10)-wire.PublishSize(&m, version, 0, nil)+over]
			c.send(wire.AppendPublish(nil, &m, version, 0, 0, false, false, nil, 0))
			if over == 0 {
				c.wantPayload(string(m.Payload))
				continue
			}
			if reason := c.wantEnd(); version == 5 && reason != wire.TooLarge {
				t.Errorf("reason 0x%02x", reason)
			}
		}
	}
}
