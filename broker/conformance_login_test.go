// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"edged/broker"
	"edged/mqtt/wire"
)

// A bad user name or password is 4, in MQTT 5 0x86; a ClientId of somebody else 5 and 0x87, and whoever holds it stays. A
// filter without a right is refused with 0x80, in MQTT 5 0x87, and a message without one is acknowledged and dropped.
//
// Covers 4:3.1.2-19 4:3.1.2-21 4:3.2.2-4 4:3.2.2-5 4:3.3.5-2 4:3.9.3-2 5:3.1.2-17 5:3.1.2-19 5:3.1.4-2 5:3.2.2-6 5:3.2.2-7
// 5:3.9.3-2.
func TestUsersAndRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) {
		s.cfg.Anonymous = false
		s.cfg.Users = map[string]broker.User{"ann": {
			Password: func() ([]byte, error) { return []byte("right"), nil }, Publish: []string{"a"}, Subscribe: []string{"a/+"},
		}}
	})
	login := func(version byte, id, user, password string) (*peer, byte) {
		c := s.dial()
		ack := c.connect(wire.ConnectPacket{
			Level: version, Clean: true, ClientID: id, HasUser: user != "", User: user, HasPassword: user != "", Password: []byte(password),
		})
		if ack.Code != 0 {
			c.wantGone()
		}
		return c, ack.Code
	}
	for _, x := range []struct {
		version            byte
		id, user, password string
		code               byte
	}{
		{4, "ann", "ann", "right", 0},
		{5, "ann-5", "ann", "right", 0},
		{4, "bob", "ann", "right", wire.RefusedAuthority},
		{5, "bob", "ann", "right", wire.NotAuthorized},
		{4, "ann", "ann", "wrong", wire.RefusedCredentials},
		{5, "ann", "ann", "wrong", wire.BadCredentials},
	} {
		holder, _ := login(4, "ann-holds", "ann", "right")
		c, code := login(x.version, x.id, x.user, x.password)
		if code != x.code {
			t.Errorf("version %d, %q as %q: code 0x%02x, want 0x%02x", x.version, x.user, x.id, code, x.code)
		}
		holder.quiet()
		holder.drop()
		if x.code != 0 {
			continue
		}
		no := map[byte]byte{4: wire.Unspecified, 5: wire.NotAuthorized}[x.version]
		if codes := c.subscribe(1, 1, "a/b", "#", "b", "a/#", "+"); string(codes) != string([]byte{1, 1, no, 1, no}) {
			t.Errorf("version %d: SUBACK % x", x.version, codes)
		}
		for topic, reason := range map[string]byte{"a": wire.NoSubscribers, "b": wire.NotAuthorized} {
			c.publish(topic, "x", 1, 7)
			if got := c.wantAck(wire.Puback, 7); x.version == 5 && got != reason {
				t.Errorf("%s: reason 0x%02x", topic, got)
			}
		}
		c.quiet()
	}
}
