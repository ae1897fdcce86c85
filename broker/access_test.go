// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"edged/bridge"
	"edged/broker"
	"edged/mqtt/wire"
)

// user is somebody with a password, "pw-" and the name.
func user(name string, publish, subscribe []string) broker.User {
	return broker.User{
		Password: func() ([]byte, error) { return []byte("pw-" + name), nil },
		Publish:  publish, Subscribe: subscribe,
	}
}

// team is users that come in under their own names.
func team(s *site) {
	s.cfg.Anonymous = false
	s.cfg.Users = map[string]broker.User{
		"alice": user("alice", []string{"a/#", "shared/#", "own/{client_id}/#"}, []string{"a/#", "shared/#", "own/{client_id}/#"}),
		"bob":   user("bob", []string{"b/#", "shared/#"}, []string{"b/#", "shared/bob/#"}),
		"mute":  user("mute", nil, nil),
	}
}

// as is the CONNECT of a user under a client identifier.
func as(name, id string, level byte) wire.ConnectPacket {
	return wire.ConnectPacket{
		Level: level, Clean: true, ClientID: id, HasUser: true, User: name, HasPassword: true, Password: []byte("pw-" + name),
	}
}

// persistent makes a session of MQTT 5 outlive its connection.
func persistent(c wire.ConnectPacket) wire.ConnectPacket {
	c.Clean, c.SessionExpiry = false, 3600
	return c
}

func withWill(c wire.ConnectPacket, topic string) wire.ConnectPacket {
	c.Will = will(topic, "x", 1, true)
	return c
}

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	wrong := func(c wire.ConnectPacket) wire.ConnectPacket { c.Password = []byte("x"); return c }
	for _, x := range []struct {
		what     string
		p        wire.ConnectPacket
		old, new byte
	}{
		{"its own name", as("alice", "alice", 0), 0, 0},
		{"its name and more", as("alice", "alice-7", 0), 0, 0},
		{"another's identifier", as("alice", "bob", 0), wire.RefusedAuthority, wire.NotAuthorized},
		{"the gateway's", as("alice", "edged-gateway", 0), wire.RefusedAuthority, wire.NotAuthorized},
		{"a wrong password", wrong(as("mute", "mute", 0)), wire.RefusedCredentials, wire.BadCredentials},
		{"nobody", as("carol", "carol", 0), wire.RefusedCredentials, wire.BadCredentials},
		{"no name", wire.ConnectPacket{Clean: true, ClientID: "x"}, wire.RefusedAuthority, wire.NotAuthorized},
		{"a will to its topics", withWill(as("alice", "alice-w", 0), "a/w"), 0, 0},
		{"a will past its rights", withWill(as("alice", "alice-w", 0), "b/w"), wire.RefusedAuthority, wire.NotAuthorized},
		{"a will to $CONTROL", withWill(as("alice", "alice-w", 0), "$CONTROL/x"), wire.RefusedAuthority, wire.NotAuthorized},
		{"a will of another client", withWill(as("alice", "alice-w", 0), "own/alice/w"), wire.RefusedAuthority, wire.NotAuthorized},
	} {
		for _, level := range []byte{4, 5} {
			x.p.Level = level
			want := x.old
			if level == 5 {
				want = x.new
			}
			c := s.dial()
			if ack := c.connect(x.p); ack.Code != want {
				t.Errorf("%s, version %d: CONNACK 0x%02x, want 0x%02x", x.what, level, ack.Code, want)
			} else if want != 0 {
				c.wantEnd()
			}
		}
	}
}

func TestRefusedPublish(t *testing.T) {
	t.Parallel()
	var log lines
	s := newSite(t, func(s *site) { team(s); s.log = slog.New(slog.NewTextHandler(&log, nil)) })
	reader := s.connect(as("bob", "bob", 5), false)
	reader.subscribe(1, 1, "#", "b/#")
	old, five := s.connect(as("alice", "alice", 4), false), s.connect(as("alice", "alice-5", 5), false)
	for i, topic := range []string{"b/x", "b", "$SYS/x", "$CONTROL/dynamic-security/v1", "own/alice-6/x", "own/x"} {
		id := uint16(i + 1)
		for qos := byte(0); qos < 3; qos++ {
			old.publish(topic, "secret-payload", qos, id)
			five.publish(topic, "secret-payload", qos, id)
		}
		old.wantAck(wire.Puback, id) // acknowledged and dropped
		old.wantAck(wire.Pubrec, id)
		old.ack(wire.Pubrel, id)
		old.wantAck(wire.Pubcomp, id)
		if a, b := five.wantAck(wire.Puback, id), five.wantAck(wire.Pubrec, id); a != wire.NotAuthorized || b != wire.NotAuthorized {
			t.Errorf("%q: reasons 0x%02x and 0x%02x", topic, a, b)
		}
	}
	reader.quiet()
	if n := s.Status().Refused; n != 6*6 {
		t.Errorf("%d are counted", n)
	}
	if n := strings.Count(log.String(), "E402"); n != 2 {
		t.Errorf("%d lines for two clients:\n%s", n, &log)
	}
	if strings.Contains(log.String(), "secret-payload") || strings.Contains(log.String(), "pw-") {
		t.Errorf("the log holds secrets:\n%s", &log)
	}
}

// lines is what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A refused login is logged with address and client identifier, once, and never with what was shown.
func TestRefusedLoginIsLogged(t *testing.T) {
	t.Parallel()
	var log lines
	s := newSite(t, func(s *site) { team(s); s.log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		c := s.dial()
		c.connect(wire.ConnectPacket{Clean: true, ClientID: "x\"\u0085 level=ERROR", HasUser: true, User: "hunter1", HasPassword: true, Password: []byte("hunter2")})
		c.wantEnd()
	}
	text := log.String()
	if n := strings.Count(text, "E403"); n != 1 || !strings.Contains(text, "127.0.0.1") || strings.Contains(text, "hunter") || strings.Contains(text, "\u0085") {
		t.Errorf("%d lines:\n%s", n, text)
	}
	if n := s.Status().Logins; n != 3 {
		t.Errorf("%d are counted", n)
	}
}

func TestSubscribeIsNarrowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	bob, five := s.connect(as("bob", "bob", 4), false), s.connect(as("bob", "bob-5", 5), false)
	filters := []string{"#", "+/x", "b/#", "shared/+/x", "$share/g/#", "a/#", "a/+/c", "$SYS/#", "$share/g/a/x", "own/bob/#"}
	if got, want := bob.subscribe(1, 1, filters...), []byte{1, 1, 1, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x80}; !slices.Equal(got, want) {
		t.Errorf("SUBACK % x, want % x", got, want)
	}
	if got, want := five.subscribe(1, 1, filters...), []byte{1, 1, 1, 1, 1, 0x87, 0x87, 0x87, 0x87, 0x87}; !slices.Equal(got, want) {
		t.Errorf("SUBACK % x, want % x", got, want)
	}
	bob.send(wire.AppendUnsubscribe(nil, &wire.UnsubscribePacket{ID: 2, Filters: []string{"$share/g/#"}}, 4))
	bob.want(wire.Unsuback)
	alice := s.connect(as("alice", "alice", 4), false)
	for id, topic := range []string{"a/x", "shared/x/x"} {
		alice.publish(topic, "no", 1, uint16(id+1))
		alice.wantAck(wire.Puback, uint16(id+1))
	}
	alice.retain("a/kept", "no", 4)
	alice.publish("shared/bob/x", "yes", 1, 3)
	bob.wantPayload("yes")
	bob.quiet()
	late := s.connect(as("bob", "bob-late", 4), false)
	late.subscribe(1, 1, "#")
	late.quiet()
	if got := s.connect(as("mute", "mute", 5), false).subscribe(1, 1, "#", "a"); !slices.Equal(got, []byte{0x87, 0x87}) {
		t.Errorf("without a right: SUBACK % x", got)
	}
}

// Of the members of a shared subscription only those with a right take part.
func TestSharedSubscriptionWithoutRight(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	alice, bob := s.connect(as("alice", "alice", 5), false), s.connect(as("bob", "bob", 5), false)
	alice.subscribe(1, 1, "$share/g/#")
	bob.subscribe(1, 1, "$share/g/#")
	pub := s.connect(as("alice", "alice-p", 5), false)
	for i := range 10 {
		pub.publish("a/x", "x", 1, uint16(i+1))
		alice.wantPayload("x")
	}
	bob.quiet()
}

func TestResponseTopic(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	alice := s.connect(as("alice", "alice", 5), false)
	for id, x := range map[uint16]struct {
		topic string
		want  byte
	}{1: {"a/answer", 0}, 2: {"b/set", wire.NotAuthorized}, 3: {"$SYS/x", wire.NotAuthorized}, 4: {"own/alice/x", 0}, 5: {"own/bob/x", wire.NotAuthorized}} {
		props := append([]byte{3, 0, 1, 'c', 8, 0, byte(len(x.topic))}, x.topic...)
		m := wire.Message{Topic: "a/ask", Payload: []byte("x"), Props: props}
		alice.send(wire.AppendPublish(nil, &m, 5, 1, id, false, false, nil, 0))
		if got := alice.wantAck(wire.Puback, id); got != x.want && (x.want != 0 || got >= wire.Unspecified) {
			t.Errorf("response topic %q: reason 0x%02x, want 0x%02x", x.topic, got, x.want)
		}
	}
	p := as("alice", "alice-w", 5)
	p.Will = will("a/w", "x", 0, false)
	p.Will.Props = append([]byte{8, 0, 5}, "b/set"...)
	if ack := s.dial().connect(p); ack.Code != wire.NotAuthorized {
		t.Errorf("a will with another's response topic: CONNACK 0x%02x", ack.Code)
	}
}

// Nobody gets at another user's session, or puts an end to it, although both may use its identifier.
func TestSessionTheft(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) {
		team(s)
		for name, u := range s.cfg.Users {
			u.ClientIDs = []string{"desk", name + "*"}
			s.cfg.Users[name] = u
		}
	})
	alice := s.connect(persistent(as("alice", "desk", 5)), false)
	alice.subscribe(1, 1, "a/#")
	thieves := func() {
		t.Helper()
		for _, p := range []wire.ConnectPacket{as("bob", "desk", 5), persistent(as("bob", "desk", 5))} {
			if ack := s.dial().connect(p); ack.Code != wire.NotAuthorized {
				t.Errorf("CONNACK 0x%02x", ack.Code)
			}
		}
		p := as("bob", "desk", 4)
		p.Clean = false
		if ack := s.dial().connect(p); ack.Code != wire.RefusedAuthority {
			t.Errorf("3.1.1: CONNACK %d", ack.Code)
		}
		p = as("alice", "desk", 5)
		p.Password = []byte("pw-bob")
		if ack := s.dial().connect(p); ack.Code != wire.BadCredentials {
			t.Errorf("a wrong password: CONNACK 0x%02x", ack.Code)
		}
	}
	thieves()
	alice.quiet() // she has not been thrown out
	alice.drop()
	eventually(t, "she is gone", func() bool { return s.Status().Clients == 0 })
	pub := s.connect(as("alice", "alice-p", 5), false)
	pub.publish("a/x", "hers", 1, 1)
	pub.wantAck(wire.Puback, 1)
	thieves()
	s.restart()
	thieves()
	alice = s.connect(persistent(as("alice", "desk", 5)), true)
	alice.wantPayload("hers")
	alice.send([]byte{wire.Disconnect << 4, 7, 0, 5, 17, 0, 0, 0, 0}) // session expiry 0: it ends
	alice.wantEnd()
	eventually(t, "the session has ended", func() bool { _, there := s.Session("desk"); return !there })
	s.connect(as("bob", "desk", 5), false)
}

// Each device's session has its own identity and exactly its own topics.
func TestDevicesHaveTheirOwnTopics(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	devices := []string{"air", "meter", "air2"}
	all := s.clean("all")
	all.subscribe(1, 0, "#")
	for _, device := range devices {
		id := broker.Identity{ClientID: bridge.DeviceClient(device)}
		id.Publish, id.Subscribe = bridge.DeviceRights("gw", device)
		nc, err := s.Dial(id)
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, nc)
		if ack := c.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: id.ClientID}); ack.Code != 0 {
			t.Fatalf("%s: CONNACK 0x%02x", device, ack.Code)
		}
		n := uint16(0)
		for _, other := range devices {
			for _, leaf := range []string{"status", "health", "meta", "data", "result", "set", "else", "data/x"} {
				n++
				topic, mine := "edged/gw/dev/"+other+"/"+leaf, other == device && !slices.Contains([]string{"set", "else", "data/x"}, leaf)
				c.publish(topic, device, 1, n)
				if got := c.wantAck(wire.Puback, n) < wire.Unspecified; got != mine {
					t.Errorf("%s publishes to %s: %v, want %v", device, topic, got, mine)
				}
				if mine {
					all.wantPayload(device)
				}
				n++
				if got := c.subscribe(n, 1, topic)[0] < wire.Unspecified; got != (other == device && leaf == "set") {
					t.Errorf("%s subscribes to %s: %v", device, topic, got)
				}
			}
		}
		if got := c.subscribe(n+1, 1, "edged/other/dev/"+device+"/set", "#"); got[0] < wire.Unspecified || got[1] >= wire.Unspecified {
			t.Errorf("%s: SUBACK % x", device, got)
		}
		all.publish("edged/gw/dev/"+device+"/data", "x", 0, 0)
		all.wantPayload("x")
		c.quiet() // # gave it nothing but its own set
		other, err := s.Dial(id)
		if err != nil {
			t.Fatal(err)
		}
		if ack := newPeer(t, other).connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: bridge.DeviceClient("thief")}); ack.Code != wire.NotAuthorized {
			t.Errorf("%s comes in under another identifier: CONNACK 0x%02x", device, ack.Code)
		}
	}
	all.quiet()
}
