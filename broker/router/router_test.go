// SPDX-License-Identifier: Apache-2.0

package router_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"edged/broker/router"
	"edged/mqtt/wire"
)

func everything(string, string) bool { return true }

func newRouter(mayRead func(s, topic string) bool) *router.Router[string] {
	return router.New(mayRead, cmp.Compare[string])
}

func subscribers(r *router.Router[string], topic string) []string {
	got := []string{}
	for _, t := range r.Find([]byte(topic)).Targets {
		got = append(got, t.Subscriber)
	}
	return got
}

func TestMatching(t *testing.T) {
	cases := []struct {
		filter   string
		yes, not []string
	}{
		{"a/b", []string{"a/b"}, []string{"a", "a/b/", "a/b/c", "/a/b", "a/B"}},
		{"a/+", []string{"a/b", "a/"}, []string{"a", "a/b/c"}},
		{"a/#", []string{"a", "a/", "a/b", "a/b/c"}, []string{"ab", "b/a"}},
		{"a/+/#", []string{"a/b", "a/b/c", "a/b/c/d", "a/"}, []string{"a"}},
		{"#", []string{"a", "/", "a/b"}, []string{"$SYS", "$SYS/a"}},
		{"+/a", []string{"/a", "b/a"}, []string{"$SYS/a", "a"}},
		{"$SYS/#", []string{"$SYS", "$SYS/a"}, []string{"a"}},
		{"$SYS/+/x", []string{"$SYS/a/x"}, nil},
		{"+", []string{"a"}, []string{"/", "a/b", "$a"}},
		{"/+", []string{"/", "/a"}, []string{"a", "//"}},
		{"a//b", []string{"a//b"}, []string{"a/b", "a/x/b"}},
	}
	for _, c := range cases {
		r := newRouter(everything)
		r.Add(router.Subscription[string]{Subscriber: "s", Filter: c.filter})
		for _, topic := range c.yes {
			if got := subscribers(r, topic); len(got) != 1 {
				t.Errorf("%q does not match %q", c.filter, topic)
			}
		}
		for _, topic := range c.not {
			if got := subscribers(r, topic); len(got) != 0 {
				t.Errorf("%q matches %q", c.filter, topic)
			}
		}
	}
}

// The tree agrees with the plain definition of a match, for many random filters and topics at once, through removals.
func TestTreeAgreesWithDefinition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(from []string) string {
		levels := make([]string, 1+rnd.IntN(4))
		for i := range levels {
			levels[i] = from[rnd.IntN(len(from))]
		}
		return strings.Join(levels, "/")
	}
	r := newRouter(everything)
	held := map[string]bool{}
	for range 3000 {
		f := word([]string{"a", "b", "", "+", "$x"})
		if rnd.IntN(3) == 0 {
			f += "/#"
		}
		switch {
		case f == "":
		case held[f] && rnd.IntN(2) == 0:
			r.Remove(f, "", f)
			delete(held, f)
		default:
			r.Add(router.Subscription[string]{Subscriber: f, Filter: f})
			held[f] = true
		}
		topic := word([]string{"a", "b", "c", "", "$x"})
		if topic == "" {
			continue
		}
		want := []string{}
		for f := range held {
			if wire.Matches(f, topic) {
				want = append(want, f)
			}
		}
		slices.Sort(want)
		if got := subscribers(r, topic); !slices.Equal(got, want) {
			t.Fatalf("topic %q: got %q, want %q", topic, got, want)
		}
	}
}

func TestOverlappingSubscriptionsAreOneTarget(t *testing.T) {
	r := newRouter(everything)
	r.Add(router.Subscription[string]{Subscriber: "s", Filter: "a/#", QoS: 0, ID: 7, NoLocal: true})
	r.Add(router.Subscription[string]{Subscriber: "s", Filter: "a/+", QoS: 2, ID: 9, RetainAsPublished: true})
	r.Add(router.Subscription[string]{Subscriber: "s", Filter: "a/b", QoS: 1})
	targets := r.Find([]byte("a/b")).Targets
	if len(targets) != 1 {
		t.Fatalf("got %d targets, want 1", len(targets))
	}
	x := targets[0]
	slices.Sort(x.IDs)
	if x.QoS != 2 || x.NoLocal || !x.RetainAsPublished || !slices.Equal(x.IDs, []uint32{7, 9}) {
		t.Errorf("got %+v", x)
	}
}

func TestSubscribingAgainReplaces(t *testing.T) {
	r := newRouter(everything)
	v1 := r.Add(router.Subscription[string]{Subscriber: "s", Filter: "a", QoS: 2})
	before := r.Find([]byte("a"))
	v2 := r.Add(router.Subscription[string]{Subscriber: "s", Filter: "a", QoS: 0})
	if v2 <= v1 || r.Find([]byte("a")).Version < v2 {
		t.Errorf("versions %d, %d, route %d", v1, v2, r.Find([]byte("a")).Version)
	}
	if got := r.Find([]byte("a")).Targets; len(got) != 1 || got[0].QoS != 0 {
		t.Errorf("got %+v", got)
	}
	if before.Targets[0].QoS != 2 {
		t.Error("a route that was given out has changed")
	}
}

func TestRightsNarrowARoute(t *testing.T) {
	allowed := map[string]bool{"s a": true}
	r := newRouter(func(s, topic string) bool { return allowed[s+" "+topic] })
	r.Add(router.Subscription[string]{Subscriber: "s", Filter: "#"})
	r.Add(router.Subscription[string]{Subscriber: "m", Group: "g", Filter: "#"})
	if len(subscribers(r, "a")) != 1 || len(subscribers(r, "b")) != 0 || len(r.Find([]byte("a")).Shared) != 0 {
		t.Error("rights are not heeded")
	}
	allowed["s b"], allowed["m b"] = true, true
	r.Forget()
	if len(subscribers(r, "b")) != 1 || len(r.Find([]byte("b")).Shared) != 1 {
		t.Error("a new right is not heeded")
	}
}

func TestSharedSubscription(t *testing.T) {
	r := newRouter(func(s, _ string) bool { return s != "no right" })
	for _, s := range []string{"a", "b", "no right", "away"} {
		r.Add(router.Subscription[string]{Subscriber: s, Group: "g", Filter: "t/#", QoS: 1})
	}
	r.Add(router.Subscription[string]{Subscriber: "a", Group: "other", Filter: "t/+"})
	got := map[string]int{}
	connected := func(s string) bool { return s != "away" }
	keeps := func(m *router.Target[string]) bool { return m.QoS > 0 }
	for range 60 {
		x := r.Find([]byte("t/1"))
		if len(x.Shared) != 2 || len(x.Targets) != 0 {
			t.Fatalf("got %d shared and %d targets", len(x.Shared), len(x.Targets))
		}
		for _, s := range x.Shared {
			m, ok := s.Pick(connected, keeps)
			if !ok {
				t.Fatal("nobody picked")
			}
			got[m.Subscriber]++
		}
	}
	if got["a"]+got["b"] != 120 || got["b"] < 15 || got["a"] < 75 {
		t.Errorf("turns: %v", got)
	}
	r.Remove("a", "g", "t/#")
	r.Remove("b", "g", "t/#")
	r.Remove("a", "other", "t/+")
	x := r.Find([]byte("t/1"))
	if len(x.Shared) != 1 {
		t.Fatalf("got %d shared", len(x.Shared))
	}
	if m, ok := x.Shared[0].Pick(connected, keeps); !ok || m.Subscriber != "away" {
		t.Errorf("the only member is not connected: got %v %v, want it all the same", m.Subscriber, ok)
	}
	r.Add(router.Subscription[string]{Subscriber: "zero", Group: "g", Filter: "t/#"})
	nobody := func(string) bool { return false }
	for range 4 {
		if m, ok := r.Find([]byte("t/1")).Shared[0].Pick(nobody, keeps); !ok || m.Subscriber != "away" {
			t.Errorf("got %v, want who keeps it", m.Subscriber)
		}
	}
}

// A topic and a filter of thousands of levels cost what their length costs.
func TestDeepTopics(t *testing.T) {
	r := newRouter(everything)
	deep := strings.Repeat("/", 30000)
	r.Add(router.Subscription[string]{Subscriber: "s", Filter: deep + "#"})
	if got := subscribers(r, deep+"x"); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	r.Remove("s", "", deep+"#")
	if got := subscribers(r, deep+"x"); len(got) != 0 {
		t.Errorf("got %q after removal", got)
	}
}

func TestMemoryOfKnownTopicsIsBounded(t *testing.T) {
	r := newRouter(everything)
	for i := range 200 {
		r.Add(router.Subscription[string]{Subscriber: fmt.Sprint(i), Filter: "#"})
	}
	for i := range 5000 {
		if n := len(r.Find(fmt.Appendf(nil, "t/%d/%s", i, strings.Repeat("x", 1000))).Targets); n != 200 {
			t.Fatalf("got %d targets", n)
		}
	}
	if n := r.Known(); n > 4<<20 {
		t.Errorf("known routes cost %d bytes", n)
	}
}

func TestFindDoesNotAllocateForAKnownTopic(t *testing.T) {
	r := newRouter(everything)
	r.Add(router.Subscription[string]{Subscriber: "s", Filter: "a/#"})
	topic := []byte("a/b/c")
	r.Find(topic)
	if n := testing.AllocsPerRun(100, func() { r.Find(topic) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := newRouter(everything)
	r.Add(router.Subscription[string]{Subscriber: "stays", Filter: "a/#"})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			me := fmt.Sprint(i)
			for range 500 {
				v := r.Add(router.Subscription[string]{Subscriber: me, Filter: "a/+", Group: []string{"", "g"}[i%2]})
				x := r.Find([]byte("a/b"))
				if x.Version < v {
					t.Errorf("a route of version %d was found after %d", x.Version, v)
				}
				found := slices.ContainsFunc(x.Targets, func(t router.Target[string]) bool { return t.Subscriber == "stays" })
				mine := i%2 == 1 || slices.ContainsFunc(x.Targets, func(t router.Target[string]) bool { return t.Subscriber == me })
				if !found || !mine {
					t.Error("a subscription that was made is not in the route")
				}
				r.Remove(me, []string{"", "g"}[i%2], "a/+")
			}
		})
	}
	wg.Wait()
}

func BenchmarkFind(b *testing.B) {
	r := newRouter(everything)
	for i := range 100 {
		r.Add(router.Subscription[string]{Subscriber: fmt.Sprint(i), Filter: "edged/gw/dev/+/data"})
	}
	topic := []byte("edged/gw/dev/air/data")
	for b.Loop() {
		r.Find(topic)
	}
}
