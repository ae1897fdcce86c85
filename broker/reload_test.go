// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"edged/broker"
	"edged/mqtt/wire"
)

// reload puts the site's configuration into force with other users.
func (s *site) reload(change func(users map[string]broker.User)) {
	s.t.Helper()
	s.cfg.Users = maps.Clone(s.cfg.Users)
	change(s.cfg.Users)
	if err := s.Reload(s.cfg); err != nil {
		s.t.Fatal(err)
	}
}

// give gives alice other rights.
func give(publish, subscribe []string) func(users map[string]broker.User) {
	return func(users map[string]broker.User) {
		u := users["alice"]
		u.Publish, u.Subscribe = publish, subscribe
		users["alice"] = u
	}
}

func TestReloadChangesLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("c")
	c.publish("a/b/c", "x", 1, 1)
	c.wantAck(wire.Puback, 1)
	c.retain("r/1", "x", 2)
	s.cfg.Limits.TopicLevels, s.cfg.Limits.Retained = 2, 1
	s.reload(func(map[string]broker.User) {})
	c.retain("r/2", "x", 3)
	if n := s.Status().Retained; n != 1 {
		t.Errorf("%d are retained", n)
	}
	c.publish("a/b/c", "x", 1, 4)
	c.wantEnd()
}

func TestRightsChangeAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	alice, pub := s.connect(as("alice", "alice", 5), false), s.connect(as("alice", "alice-p", 5), false)
	alice.subscribe(1, 1, "#")
	said := func(topic string, reason byte) {
		t.Helper()
		pub.publish(topic, topic, 1, 1)
		if got := pub.wantAck(wire.Puback, 1) &^ wire.NoSubscribers; got != reason {
			t.Errorf("%s: reason 0x%02x, want 0x%02x", topic, got, reason)
		}
	}
	said("a/x", 0)
	alice.wantPayload("a/x")
	said("b/x", wire.NotAuthorized)
	s.reload(give([]string{"a/#", "b/#"}, []string{"b/#"}))
	said("a/x", 0)
	said("b/x", 0)
	alice.wantPayload("b/x")
	s.reload(give([]string{"b/#"}, []string{"a/#", "b/#"}))
	said("a/x", wire.NotAuthorized)
	s.reload(give([]string{"a/#"}, nil))
	said("a/x", 0)
	alice.quiet()
	if got := alice.subscribe(2, 1, "a/x"); got[0] != wire.NotAuthorized {
		t.Errorf("SUBACK % x", got)
	}
	s.reload(give([]string{"a/#"}, []string{"a/#"}))
	said("a/x", 0)
	alice.wantPayload("a/x") // the subscription is still there
}

// What a session is owed is held back once its right is gone: what waits in memory, and what waits in the journal.
func TestRevokedRightStopsWhatIsQueued(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	p := persistent(as("alice", "alice", 5))
	p.ReceiveMaximum = 1
	alice := s.connect(p, false)
	alice.subscribe(1, 1, "#")
	pub := s.connect(as("alice", "alice-p", 5), false)
	n := uint16(0)
	say := func(topics ...string) {
		for _, topic := range topics {
			n++
			pub.publish(topic, topic, 1, n)
			pub.wantAck(wire.Puback, n)
		}
	}
	say("a/1", "a/2", "shared/1", "a/3", "shared/2")
	first := alice.wantMessage() // the rest waits for its acknowledgement
	s.reload(give([]string{"a/#", "shared/#"}, []string{"shared/#"}))
	alice.ack(wire.Puback, first.id)
	alice.wantPayload("shared/1")
	alice.wantPayload("shared/2")
	alice.quiet()

	s.reload(give([]string{"a/#", "shared/#"}, []string{"a/#", "shared/#"}))
	alice.drop()
	eventually(t, "she is gone", func() bool { return s.Status().Clients == 1 })
	say("a/4", "shared/3", "a/5", "shared/4")
	s.reload(give([]string{"a/#", "shared/#"}, []string{"shared/#"}))
	alice = s.connect(p, true)
	alice.wantPayload("shared/3")
	alice.wantPayload("shared/4")
	alice.quiet()
	if st, _ := s.Session("alice"); st.Messages != 0 {
		t.Errorf("she is still owed %d", st.Messages)
	}
}

// A retained message is delivered while its publisher may publish there, and to who may read it.
func TestRevokedRightStopsWhatIsRetained(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	pub := s.connect(as("alice", "alice", 5), false)
	for i, topic := range []string{"a/1", "shared/1", "own/alice/1"} {
		pub.retain(topic, topic, uint16(i+1))
	}
	s.connect(as("alice", "alice-9", 5), false).retain("own/alice-9/1", "own/alice-9/1", 1)
	seen := func(id string, want ...string) {
		t.Helper()
		c := s.connect(as("alice", id, 5), false)
		c.subscribe(1, 1, "#")
		for _, x := range want {
			c.wantPayload(x)
		}
		c.quiet()
		c.disconnect()
	}
	seen("alice", "a/1", "own/alice/1", "shared/1")
	seen("alice-9", "a/1", "own/alice-9/1", "shared/1")
	s.reload(give([]string{"shared/#", "own/{client_id}/#"}, []string{"#"}))
	seen("alice", "own/alice-9/1", "own/alice/1", "shared/1")
	s.reload(func(users map[string]broker.User) {
		u := users["alice"]
		u.ClientIDs = []string{"alice"}
		users["alice"] = u
	})
	seen("alice", "own/alice/1", "shared/1")
	s.reload(give([]string{"shared/#"}, []string{"own/#"}))
	seen("alice")
	s.reload(give([]string{"a/1"}, []string{"#"}))
	seen("alice", "a/1")
	s.restart()
	seen("alice", "a/1")
	s.reload(func(users map[string]broker.User) {
		delete(users, "alice")
		users["bob"] = user("bob", nil, []string{"#"})
	})
	bob := s.connect(as("bob", "bob", 5), false)
	bob.subscribe(1, 1, "#")
	bob.quiet()
}

// Who may not be here any more is disconnected, and its session ends with what it is owed and with its will.
func TestRemovedUserIsDisconnected(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	bob := s.connect(as("bob", "bob", 5), false)
	p := withWill(persistent(as("alice", "alice", 5)), "shared/bob/will")
	bob.subscribe(1, 1, "#")
	alice := s.connect(p, false)
	alice.subscribe(1, 1, "a/#")
	away := persistent(as("alice", "alice-away", 4))
	gone := s.connect(away, false)
	gone.subscribe(1, 1, "a/#")
	gone.disconnect()
	old := s.connect(as("alice", "alice-old", 4), false)
	alice.publish("a/x", "x", 1, 1)
	alice.wantPayload("x")
	alice.wantAck(wire.Puback, 1)
	kept := s.cfg.Users["alice"]
	s.reload(func(users map[string]broker.User) { delete(users, "alice") })
	if reason := alice.wantEnd(); reason != wire.NotAuthorized {
		t.Errorf("DISCONNECT 0x%02x", reason)
	}
	old.wantEnd()
	bob.quiet() // no will of hers
	for _, id := range []string{"alice", "alice-away", "alice-old"} {
		eventually(t, "her session has ended", func() bool { _, there := s.Session(id); return !there })
	}
	if ack := s.dial().connect(p); ack.Code != wire.BadCredentials {
		t.Errorf("CONNACK 0x%02x", ack.Code)
	}
	s.reload(func(users map[string]broker.User) { users["alice"] = kept })
	s.connect(away, false)
}

func TestChangedCredentialsDisconnect(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	alice, bob := s.connect(persistent(as("alice", "alice", 5)), false), s.connect(as("bob", "bob", 5), false)
	s.reload(func(users map[string]broker.User) {
		u := users["alice"]
		u.Password = func() ([]byte, error) { return []byte("other"), nil }
		users["alice"] = u
	})
	if reason := alice.wantEnd(); reason != wire.NotAuthorized {
		t.Errorf("DISCONNECT 0x%02x", reason)
	}
	bob.quiet()
	p := persistent(as("alice", "alice", 5))
	p.Password = []byte("other")
	s.connect(p, true)
	s.reload(func(users map[string]broker.User) {
		u := users["bob"]
		u.ClientIDs = []string{"robert"}
		users["bob"] = u
	})
	bob.wantEnd()
}

// The guest is somebody like others: without anonymous clients it is gone.
func TestGuestsAreDisconnected(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("c")
	s.cfg.Anonymous = false
	s.reload(func(map[string]broker.User) {})
	c.wantEnd()
	if ack := s.dial().connect(wire.ConnectPacket{Clean: true, ClientID: "c"}); ack.Code != wire.RefusedAuthority {
		t.Errorf("CONNACK %d", ack.Code)
	}
}

// A password that cannot be read refuses a reload, and all stays as it was; at a start it keeps out that user alone.
func TestUnreadablePassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	alice := s.connect(persistent(as("alice", "alice", 5)), false)
	cfg := s.cfg
	cfg.Users = map[string]broker.User{"alice": {Password: func() ([]byte, error) { return nil, errors.New("no such file") }}}
	if err := s.Reload(cfg); err == nil || !strings.Contains(err.Error(), "alice") {
		t.Errorf("%v", err)
	}
	alice.publish("a/x", "x", 1, 1)
	alice.wantAck(wire.Puback, 1)
	s.stop()
	s.cfg.Users = maps.Clone(s.cfg.Users)
	maps.Copy(s.cfg.Users, cfg.Users)
	s.start()
	s.connect(as("bob", "bob", 5), false)
	if ack := s.dial().connect(as("alice", "alice", 5)); ack.Code != wire.BadCredentials {
		t.Errorf("CONNACK 0x%02x", ack.Code)
	}
	if _, there := s.Session("alice"); !there {
		t.Error("her session has not survived")
	}
}

// A user that was removed while the broker was down leaves no session.
func TestRemovedWhileDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, team)
	s.connect(persistent(as("alice", "alice", 5)), false).drop()
	s.connect(persistent(as("bob", "bob", 5)), false).drop()
	s.stop()
	s.cfg.Users = maps.Clone(s.cfg.Users)
	delete(s.cfg.Users, "alice")
	s.start()
	if _, there := s.Session("alice"); there {
		t.Error("the session of a user that is gone is still there")
	}
	s.connect(persistent(as("bob", "bob", 5)), true)
}
