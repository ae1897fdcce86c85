// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	began := time.Unix(1e9, 0)
	for _, c := range []struct {
		name   string
		outage time.Duration
		most   time.Duration
	}{
		{"at once", 0, 4 * time.Second},
		{"sixteen seconds", 16 * time.Second, 4 * time.Second},
		{"a minute", time.Minute, 15 * time.Second},
		{"twenty minutes", 20 * time.Minute, 5 * time.Minute},
		{"a week", 7 * 24 * time.Hour, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBackoff(began)
			b.rand = func(int64) int64 { return 0 }
			if got := b.next(began.Add(c.outage)); got != 500*time.Millisecond {
				t.Errorf("shortest wait %v, want 0.5 s", got)
			}
			b.rand = func(n int64) int64 { return n - 1 }
			if got := b.next(began.Add(c.outage)); got != c.most {
				t.Errorf("longest wait %v, want %v", got, c.most)
			}
			if got := b.refused(); got != 90*time.Second {
				t.Errorf("longest wait after a refusal %v, want 90 s", got)
			}
			b.rand = func(int64) int64 { return 0 }
			if got := b.refused(); got != time.Minute {
				t.Errorf("shortest wait after a refusal %v, want 60 s", got)
			}
		})
	}
}

func TestBackoffStartsAnewOnlyAfterAGoodSession(t *testing.T) {
	t.Parallel()
	const outage = time.Hour
	for _, c := range []struct {
		name   string
		lasted time.Duration
		acked  bool
		anew   bool
	}{
		{"acknowledged and 30 s", 30 * time.Second, true, true},
		{"acknowledged and shorter", 30*time.Second - 1, true, false},
		{"long, nothing acknowledged", time.Hour, false, false},
		{"neither", time.Second, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Unix(1e9, 0)
			up := began.Add(outage)
			end := up.Add(c.lasted)
			b := newBackoff(began)
			b.lost(up, end, c.acked)
			b.rand = func(n int64) int64 { return n - 1 }
			got := b.next(end)
			if anew := got == firstSpan; anew != c.anew {
				t.Errorf("next try within %v after a session of %v: counted anew %t, want %t", got, c.lasted, anew, c.anew)
			}
		})
	}
}

func TestDeadLink(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name string
		v    vitals
		dead bool
	}{
		{"nothing is owed", vitals{lastAck: ago(3600)}, false},
		{"waits six seconds", vitals{oldest: ago(6), lastAck: ago(60), lastTaken: ago(60)}, false},
		{"waits longer", vitals{oldest: ago(6.1), lastAck: ago(60), lastTaken: ago(60)}, true},
		{"another was acknowledged", vitals{oldest: ago(60), lastAck: ago(5), lastTaken: ago(60)}, false},
		{"the peer's TCP takes bytes", vitals{oldest: ago(60), lastAck: ago(60), lastTaken: ago(5)}, false},
		{"both signs are old", vitals{oldest: ago(60), lastAck: ago(6.1), lastTaken: ago(7)}, true},
		{"a slow path has four round trips", vitals{oldest: ago(19), lastAck: ago(60), roundTrip: 5 * time.Second}, false},
		{"and no more", vitals{oldest: ago(20.1), lastAck: ago(60), roundTrip: 5 * time.Second}, true},
		{"a fast path has six seconds", vitals{oldest: ago(5.9), lastAck: ago(60), roundTrip: time.Millisecond}, false},
		{"TCP tells nothing", vitals{oldest: ago(7), lastAck: ago(60)}, true},
	} {
		if got := c.v.dead(now); got != c.dead {
			t.Errorf("%s: dead %t, want %t", c.name, got, c.dead)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter string
		valid  bool
	}{
		{"a", true},
		{"a/b", true},
		{"+", true},
		{"#", true},
		{"a/+/b", true},
		{"a/#", true},
		{"/", true},
		{"$SYS/#", true},
		{"", false},
		{"a+", false},
		{"a/#/b", false},
		{"a/b#", false},
		{"a\x00", false},
		{"a\xff", false},
		{"$share/g/a", false},
	} {
		if got := validFilter(c.filter); got != c.valid {
			t.Errorf("validFilter(%q) = %t, want %t", c.filter, got, c.valid)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"#", "a/b", true},
		{"#", "#", true},
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a/#", true},
		{"a/+", "a/b", true},
		{"a/+", "a/+", true},
		{"a/+/c", "a/b/c", true},
		{"a", "b", false},
		{"a/+", "a/#", false},
		{"a/b", "a/+", false},
		{"a/+", "a/b/c", false},
		{"a/b", "a", false},
		{"#", "$SYS/#", false},
		{"+/x", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
	} {
		if got := covers(c.a, c.b); got != c.want {
			t.Errorf("covers(%q, %q) = %t, want %t", c.a, c.b, got, c.want)
		}
	}
	got := fewest([]string{"a/b", "a/#", "c", "a/#", "c", "d/+"})
	if want := []string{"a/#", "c", "d/+"}; !slices.Equal(got, want) {
		t.Errorf("fewest: got %q, want %q", got, want)
	}
}

func TestMapping(t *testing.T) {
	t.Parallel()
	cfg := Config{
		Send: []string{"edged/gw/dev/#", "plc/+"}, Receive: []string{"edged/gw/dev/+/set", "site/#"}, Prefix: "plant/7/",
	}
	m := newMapping("gw", cfg)
	for _, c := range []struct{ local, cloud string }{
		{"edged/gw/dev/a/data", "plant/7/edged/gw/dev/a/data"},
		{"plc/x", "plant/7/plc/x"},
		{"edged/gw/info", "plant/7/edged/gw/info"},
		{"edged/gw/health", "plant/7/edged/gw/health"},
		{"edged/gw/event", "plant/7/edged/gw/event"},
		{"edged/gw/status", ""},    // the uplink says that itself
		{"edged/gw/dev/a/set", ""}, // what comes in does not go out
		{"site/x", ""},
		{"plc/x/y", ""},
		{"other", ""},
	} {
		out, ok := m.outgoing(c.local, nil)
		got := out.Topic
		if got != c.cloud || ok != (c.cloud != "") {
			t.Errorf("outgoing(%q) = %q, %t, want %q", c.local, got, ok, c.cloud)
		}
	}
	for _, c := range []struct{ cloud, local string }{
		{"plant/7/edged/gw/dev/a/set", "edged/gw/dev/a/set"},
		{"plant/7/site/x", "site/x"},
		{"edged/gw/dev/a/set", ""},
		{"plant/7/edged/gw/dev/a/data", ""},
		{"plant/7/", ""},
		{"plant/8/site/x", ""},
	} {
		in, ok := m.incoming(c.cloud, nil)
		got := in.Topic
		if ok != (c.local != "") || ok && got != c.local {
			t.Errorf("incoming(%q) = %q, %t, want %q", c.cloud, got, ok, c.local)
		}
	}
	if got, want := m.asked(), []string{"plant/7/edged/gw/dev/+/set", "plant/7/site/#"}; !slices.Equal(got, want) {
		t.Errorf("asked in the cloud %q, want %q", got, want)
	}
	publish, subscribe := Rights("gw", cfg)
	if want := []string{"edged/gw/dev/#", "plc/+", "edged/gw/info", "edged/gw/health", "edged/gw/event"}; !slices.Equal(subscribe, want) || !slices.Equal(publish, cfg.Receive) {
		t.Errorf("rights: publish %q, subscribe %q, want %q", publish, subscribe, want)
	}
	if _, all := Rights("gw", Config{Send: []string{"edged/gw/#"}}); !slices.Equal(all, []string{"edged/gw/#"}) {
		t.Errorf("rights with all of the gateway: %q", all)
	}
}
