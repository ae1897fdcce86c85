// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"strings"
	"testing"

	"edged/mqtt/wire"
)

// with returns an authority with users.
func with(t testing.TB, users map[string]User, anonymous bool) *Authority {
	t.Helper()
	a := New()
	apply(t, a, users, anonymous)
	return a
}

func apply(t testing.TB, a *Authority, users map[string]User, anonymous bool) {
	t.Helper()
	table, err := a.Read(users, anonymous)
	if err != nil {
		t.Fatal(err)
	}
	a.Apply(table)
}

func secretOf(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

func TestRights(t *testing.T) {
	t.Parallel()
	a := with(t, map[string]User{
		"u": {
			Password: secretOf("p"), ClientIDs: []string{"*"},
			Publish:   []string{"a/+/set", "own/{client_id}/#", "for/{user}/x", "{client_id}/top"},
			Subscribe: []string{"b/#", "own/{client_id}", "{client_id}/uptime", "both/{user}/{client_id}", "$SYS/broker/uptime"},
		},
		"none":   {Password: secretOf("p"), Publish: []string{}, Subscribe: nil},
		"open":   {Password: secretOf("p"), Publish: []string{"#", "+/x"}, Subscribe: []string{"#"}},
		"closed": {Password: secretOf("p"), Publish: []string{"a"}, Subscribe: []string{"a"}},
	}, true)
	inside := a.Admit(Identity{ClientID: "edged-x", Publish: []string{"{client_id}/x", "x/#"}, Subscribe: []string{"x/set"}})
	client := func(name, id string) Client {
		if name == "inside" {
			return inside
		}
		return a.Client(name, id)
	}
	for _, x := range []struct {
		user, id, do, topic string
		want                bool
	}{
		{"u", "u", "publish", "a/1/set", true},
		{"u", "u", "publish", "a/1", false},
		{"u", "u", "publish", "a/1/set/x", false},
		{"u", "u", "publish", "b/x", false},
		{"u", "u-1", "publish", "own/u-1/x", true},
		{"u", "u-1", "publish", "own/u-2/x", false},
		{"u", "u-1", "publish", "own/{client_id}/x", false},
		{"u", "{user}", "publish", "own/u/x", false},
		{"u", "u", "publish", "for/u/x", true},
		{"u", "v", "publish", "for/v/x", false},
		{"u", "v", "publish", "v/top", true},

		{"u", "+", "publish", "own/a/x", false}, // CVE-2017-7650
		{"u", "#", "publish", "own/a/x", false},
		{"u", "#", "publish", "own/#/x", false},
		{"u", "a/b", "publish", "own/a/b/x", false},
		{"u", "", "publish", "own//x", false},
		{"u", "a\nb", "publish", "own/a\nb/x", false},
		{"u", "a\u0085", "publish", "own/a\u0085/x", false},
		{"u", "$SYS", "publish", "$SYS/top", false},
		{"u", "$SYS", "read", "$SYS/uptime", false},
		{"u", "+", "subscribe", "own/a", false},
		{"u", "#", "subscribe", "own/a", false},
		{"u", "+", "read", "own/a", false},
		{"u", "#", "read", "both/u/a", false},

		{"u", "u", "read", "b", true},
		{"u", "u", "read", "b/c/d", true},
		{"u", "u", "read", "a/1/set", false},
		{"u", "u", "read", "both/u/u", true},
		{"u", "u", "read", "both/v/u", false},
		{"u", "u", "read", "$SYS/broker/uptime", true},
		{"u", "u", "read", "$SYS/broker/version", false},
		{"u", "u", "subscribe", "#", true},
		{"u", "u", "subscribe", "+/x", true},
		{"u", "u", "subscribe", "a/+", false},
		{"u", "u", "subscribe", "$SYS/#", true},
		{"u", "u", "subscribe", "$CONTROL/#", false},
		{"u", "u", "subscribe", "own/+", true},
		{"u", "u", "subscribe", "own/v", false},

		{"none", "none", "publish", "a", false},
		{"none", "none", "read", "a", false},
		{"none", "none", "subscribe", "#", false},
		{"closed", "closed", "subscribe", "+", true},
		{"closed", "closed", "subscribe", "a/b", false},
		{"open", "open", "publish", "a/b", true},
		{"open", "open", "publish", "$SYS/x", false},
		{"open", "open", "publish", "$CONTROL/dynamic-security/v1", false},
		{"open", "open", "publish", "", false},
		{"open", "open", "read", "a/b", true},
		{"open", "open", "read", "$SYS/broker/uptime", false},
		{"open", "open", "subscribe", "$SYS/#", false},
		{"open", "open", "subscribe", "$SYS/broker/uptime", false},

		{"", "x", "publish", "a/b", true},
		{"", "x", "publish", "$SYS/x", false},
		{"", "x", "read", "$SYS/broker/uptime", true},
		{"", "x", "subscribe", "$SYS/#", true},
		{"stranger", "x", "publish", "a/b", false},
		{"stranger", "x", "read", "a/b", false},
		{"stranger", "x", "subscribe", "#", false},

		{"inside", "", "publish", "x/y", true},
		{"inside", "", "publish", "edged-x/x", false},
		{"inside", "", "publish", "$SYS/x", false},
		{"inside", "", "read", "x/y", false},
		{"inside", "", "read", "x/set", true},
	} {
		c, got := client(x.user, x.id), false
		switch x.do {
		case "publish":
			got = c.MayPublish(x.topic)
		case "read":
			got = c.MayRead(x.topic)
		case "subscribe":
			got = c.MaySubscribe(x.topic)
		}
		if got != x.want {
			t.Errorf("user %q as %q: %s %q: %v, want %v", x.user, x.id, x.do, x.topic, got, x.want)
		}
	}
	if c := (Client{}); c.MayPublish("a") || c.MayRead("a") || c.MaySubscribe("#") || c.MayStay() || c.MayDoAll() {
		t.Error("nobody may do something")
	}
}

func TestClientIDs(t *testing.T) {
	t.Parallel()
	a := with(t, map[string]User{
		"plain": {Password: secretOf("p")},
		"some":  {Password: secretOf("p"), ClientIDs: []string{"a", "b*"}},
		"no":    {Password: secretOf("p"), ClientIDs: []string{}},
		"edged": {Password: secretOf("p")},
		"all":   {Password: secretOf("p"), ClientIDs: []string{"*", "edged-air"}},
	}, true)
	for _, x := range []struct {
		user, id string
		want     bool
	}{
		{"plain", "plain", true},
		{"plain", "plain-", true},
		{"plain", "plain-1", true},
		{"plain", "plain1", false},
		{"plain", "Plain", false},
		{"plain", "some", false},
		{"plain", "", false},
		{"some", "a", true},
		{"some", "aa", false},
		{"some", "b", true},
		{"some", "bcd", true},
		{"some", "some", false},
		{"no", "no", false},
		{"edged", "edged", true},
		{"edged", "edged-dev-air", false},
		{"all", "edged-air", false},
		{"all", "x", true},
		{"", "x", true},
		{"", "edged-gateway", false},
		{"", "plain", false}, // it is a user's
		{"", "plain-1", false},
		{"", "b", false},
		{"", "no", true},
		{"stranger", "stranger", false},
	} {
		if got := a.Client(x.user, x.id).MayStay(); got != x.want {
			t.Errorf("user %q: client identifier %q: %v, want %v", x.user, x.id, got, x.want)
		}
	}
}

// Of a retained message the user is known, but not the client identifier: some identifier that the user may have.
func TestMayStillPublish(t *testing.T) {
	t.Parallel()
	a := with(t, map[string]User{"u": {
		Password: secretOf("p"), Publish: []string{"x/{client_id}/y", "{client_id}/{client_id}", "deep/{client_id}/#", "plain"},
	}}, false)
	for topic, want := range map[string]bool{
		"plain": true, "x/u/y": true, "x/u-1/y": true, "x/v/y": false, "x/u": false, "x/u/y/z": false, "x": false,
		"u/u": true, "u/u-1": false, "u-1/u-1": true, "deep/u-7/a/b": true, "deep/v/a": false, "$SYS/u": false,
	} {
		if got := a.MayStillPublish("u", topic); got != want {
			t.Errorf("%q: %v, want %v", topic, got, want)
		}
	}
	apply(t, a, nil, true)
	if a.MayStillPublish("u", "plain") {
		t.Error("a user that is gone may still publish")
	}
	if !a.MayStillPublish("", "plain") || !a.MayStillPublish("~edged-dev-air", "plain") {
		t.Error("the guest, and a device that has not come yet, may not")
	}
}

// FuzzRight: whatever the client identifier, a right reaches no topic that the same right, written with the identifier's
// own text as one level, would not name.
func FuzzRight(f *testing.F) {
	for _, id := range []string{"a", "+", "#", "a/b", "$SYS", "", "\x00", "{client_id}", "ü"} {
		f.Add("x/{client_id}/#", id, "x/a/b")
		f.Add("{client_id}/+", id, "a/b")
	}
	f.Fuzz(func(t *testing.T, filter, id, topic string) {
		if filterProblem(filter) != "" || !wire.ValidTopicName(topic) {
			return
		}
		r := rightsOf("user", []string{filter})
		if len(r) != 1 {
			t.Fatalf("%q: %d rights", filter, len(r))
		}
		own, ok := r[0].expand(id)
		if ok {
			if _, bare, valid := wire.ValidFilter(own); valid != (wire.ValidTopicName(id) || !r[0].own) || valid && bare != own {
				t.Fatalf("%q for %q: %q is no filter", filter, id, own)
			}
			if strings.Count(own, "/") != strings.Count(filter, "/") {
				t.Fatalf("%q for %q: %q has other levels", filter, id, own)
			}
		}
		if !r[0].matches(id, topic) {
			return
		}
		want, have := strings.Split(filter, "/"), strings.Split(topic, "/")
		for i, level := range want {
			if level == forClientID && (i >= len(have) || have[i] != id) {
				t.Fatalf("%q for %q matches %q", filter, id, topic)
			}
		}
		if got, ok := r[0].clientIn(topic); r[0].own && (!ok || got != id) {
			t.Fatalf("%q: the identifier in %q is %q, want %q", filter, topic, got, id)
		}
	})
}
