// SPDX-License-Identifier: Apache-2.0

package router

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Target is one subscriber that a topic goes to: all of its subscriptions that match, in one. A message goes to it once.
type Target[S comparable] struct {
	Subscriber        S
	QoS               byte // the highest of its subscriptions
	NoLocal           bool // all of them say so
	RetainAsPublished bool // one of them says so
	IDs               []uint32
}

// Route is where a topic goes. It belongs to all who have found it: nobody may change it.
type Route[S comparable] struct {
	Topic   string
	Version uint64      // the subscriptions that it heeds
	Targets []Target[S] // in the order of the router's compare
	Shared  []Shared[S]
}

// Shared is a shared subscription that a topic goes to, by one of its members. Only members that may read the topic are
// among them.
type Shared[S comparable] struct {
	members []Target[S]
	turn    *atomic.Uint32
}

// Pick takes the next member in turn: one that is connected, else one that keeps messages while it is away, else whoever
// comes next. ok is false when there is no member.
func (x Shared[S]) Pick(connected func(S) bool, keeps func(*Target[S]) bool) (t Target[S], ok bool) {
	if len(x.members) == 0 {
		return t, false
	}
	first := int((x.turn.Add(1) - 1) % uint32(len(x.members)))
	away := -1
	for i := range x.members {
		k := (first + i) % len(x.members)
		m := &x.members[k]
		if connected(m.Subscriber) {
			return *m, true
		}
		if away < 0 && keeps(m) {
			away = k
		}
	}
	if away < 0 {
		away = first
	}
	return x.members[away], true
}

func (x *Route[S]) cost() int {
	n := 128 + len(x.Topic) + 64*len(x.Targets)
	for _, s := range x.Shared {
		n += 64 * len(s.members)
	}
	return n
}

// compute matches a topic against the tree.
func (r *Router[S]) compute(topic string) *Route[S] {
	x := &Route[S]{Topic: topic}
	f := finder[S]{r: r, route: x, seen: map[S]int{}}
	r.tree.RLock()
	x.Version = r.version.Load()
	f.match(&r.root, topic, true, topic[0] == '$')
	r.tree.RUnlock()
	for i := range f.subs { // without the lock, for mayRead is not ours
		f.add(&f.subs[i])
	}
	for _, g := range f.groups {
		if s := f.share(g); len(s.members) > 0 {
			x.Shared = append(x.Shared, s)
		}
	}
	slices.SortFunc(x.Targets, func(a, b Target[S]) int { return r.compare(a.Subscriber, b.Subscriber) })
	return x
}

// finder is the state of one match.
type finder[S comparable] struct {
	r      *Router[S]
	route  *Route[S]
	subs   []Subscription[S]
	groups []*group[S]
	seen   map[S]int // index in route.Targets, -1: may not read
}

// match walks the tree; dollar is true on the first level of a topic that begins with $, which no wildcard matches
// [MQTT-4.7.2-1].
func (f *finder[S]) match(n *node[S], rest string, more, dollar bool) {
	if c := n.children["#"]; c != nil && !dollar {
		f.collect(c)
	}
	if !more {
		f.collect(n)
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if c := n.children["+"]; c != nil && !dollar {
		f.match(c, rest, more, false)
	}
	if c := n.children[level]; c != nil {
		f.match(c, rest, more, false)
	}
}

func (f *finder[S]) collect(n *node[S]) {
	f.subs = append(f.subs, n.subs...)
	for _, g := range n.groups {
		f.groups = append(f.groups, g)
	}
}

func (f *finder[S]) add(sub *Subscription[S]) {
	i, known := f.seen[sub.Subscriber]
	if !known {
		i = -1
		if f.r.mayRead(sub.Subscriber, f.route.Topic) {
			i = len(f.route.Targets)
			f.route.Targets = append(f.route.Targets, Target[S]{Subscriber: sub.Subscriber, NoLocal: true})
		}
		f.seen[sub.Subscriber] = i
	}
	if i >= 0 {
		f.route.Targets[i].join(sub)
	}
}

func (t *Target[S]) join(sub *Subscription[S]) {
	t.QoS = max(t.QoS, sub.QoS)
	t.NoLocal = t.NoLocal && sub.NoLocal
	t.RetainAsPublished = t.RetainAsPublished || sub.RetainAsPublished
	if sub.ID > 0 && !slices.Contains(t.IDs, sub.ID) {
		t.IDs = append(t.IDs, sub.ID)
	}
}

func (f *finder[S]) share(g *group[S]) Shared[S] {
	s := Shared[S]{turn: g.turn}
	for i := range g.members {
		if sub := &g.members[i]; f.r.mayRead(sub.Subscriber, f.route.Topic) {
			t := Target[S]{Subscriber: sub.Subscriber, NoLocal: true}
			t.join(sub)
			s.members = append(s.members, t)
		}
	}
	return s
}
