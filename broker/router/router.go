// SPDX-License-Identifier: Apache-2.0

// Package router knows who subscribed to what, and finds the subscribers of a topic.
//
// The filters stand in a tree with one level of the filter per node, so that a topic is matched in as many steps as it
// has levels. What was found for a topic is kept as a [Route], which never changes, until some subscription does.
package router

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Subscription is one subscriber's interest in one filter.
type Subscription[S comparable] struct {
	Subscriber        S
	Group             string // of a shared subscription, else ""
	Filter            string // valid, without $share/GROUP/
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	ID                uint32 // subscription identifier, 0: none
}

// Router holds subscriptions. Its methods may be called from any goroutine; none calls back while it holds a lock that
// Find of a known topic needs.
type Router[S comparable] struct {
	mayRead func(s S, topic string) bool
	compare func(a, b S) int

	version atomic.Uint64 // counts changes of the tree
	tree    sync.RWMutex  // guards root and the changes of version
	root    node[S]
	nodes   atomic.Int64 // levels below root

	known  sync.RWMutex // guards what follows
	routes map[string]*Route[S]
	cost   int
}

// maxCost bounds the bytes that known routes take, roughly; past it all are forgotten.
const maxCost = 4 << 20

// New returns an empty router. mayRead says whether a subscriber may get what is published to a topic; who may not is
// in no route. compare orders the targets of a route; it must tell any two subscribers apart, always in the same way.
func New[S comparable](mayRead func(s S, topic string) bool, compare func(a, b S) int) *Router[S] {
	r := &Router[S]{mayRead: mayRead, compare: compare, routes: map[string]*Route[S]{}}
	r.version.Store(1)
	return r
}

// node is one level of the tree of filters. Its slices are never changed in place, since routes share them.
type node[S comparable] struct {
	children map[string]*node[S]
	subs     []Subscription[S]
	groups   map[string]*group[S]
}

// group is the members of a shared subscription to one filter; turn counts its deliveries.
type group[S comparable] struct {
	members []Subscription[S]
	turn    *atomic.Uint32
}

// Add puts a subscription in, in place of the subscriber's former one to the same filter and group. Every route of the
// returned version and later heeds it.
func (r *Router[S]) Add(sub Subscription[S]) (version uint64) {
	r.tree.Lock()
	defer r.tree.Unlock()
	n := r.at(sub.Filter)
	if sub.Group == "" {
		n.subs = put(n.subs, sub)
		return r.version.Add(1)
	}
	if n.groups == nil {
		n.groups = map[string]*group[S]{}
	}
	g := n.groups[sub.Group]
	if g == nil {
		g = &group[S]{turn: new(atomic.Uint32)}
	}
	n.groups[sub.Group] = &group[S]{members: put(g.members, sub), turn: g.turn}
	return r.version.Add(1)
}

// at returns the node of a filter, which is made where it is missing.
func (r *Router[S]) at(filter string) *node[S] {
	n := &r.root
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		child := n.children[level]
		if child == nil {
			child = &node[S]{}
			r.nodes.Add(1)
			if n.children == nil {
				n.children = map[string]*node[S]{}
			}
			n.children[strings.Clone(level)] = child
		}
		n = child
	}
	return n
}

func put[S comparable](subs []Subscription[S], sub Subscription[S]) []Subscription[S] {
	fresh := make([]Subscription[S], 0, len(subs)+1)
	for _, x := range subs {
		if x.Subscriber != sub.Subscriber {
			fresh = append(fresh, x)
		}
	}
	return append(fresh, sub)
}

// Remove takes a subscriber's subscription out, if there is one.
func (r *Router[S]) Remove(s S, share, filter string) {
	r.tree.Lock()
	defer r.tree.Unlock()
	r.prune(&r.root, s, share, filter, true)
	r.version.Add(1)
}

// prune removes a subscription below n and tells whether n is of no more use. It goes as deep as the filter has levels.
func (r *Router[S]) prune(n *node[S], s S, share, filter string, more bool) (empty bool) {
	if more {
		level, rest, more := strings.Cut(filter, "/")
		if c := n.children[level]; c != nil && r.prune(c, s, share, rest, more) {
			r.nodes.Add(-1)
			delete(n.children, level)
		}
	} else if share == "" {
		n.subs = without(n.subs, s)
	} else if g := n.groups[share]; g != nil {
		n.groups[share] = &group[S]{members: without(g.members, s), turn: g.turn}
		maps.DeleteFunc(n.groups, func(_ string, g *group[S]) bool { return len(g.members) == 0 })
	}
	return len(n.children) == 0 && len(n.subs) == 0 && len(n.groups) == 0
}

func without[S comparable](subs []Subscription[S], s S) []Subscription[S] {
	return slices.DeleteFunc(slices.Clone(subs), func(x Subscription[S]) bool { return x.Subscriber == s })
}

// Nodes is how many levels all filters have, those that begin alike counted once.
func (r *Router[S]) Nodes() int64 { return r.nodes.Load() }

// Begins tells whether somebody is subscribed to a filter that begins with that level. Shared subscriptions count by what
// follows their group.
func (r *Router[S]) Begins(level string) bool {
	r.tree.RLock()
	defer r.tree.RUnlock()
	return r.root.children[level] != nil
}

// Forget drops all known routes, since somebody's rights have changed.
func (r *Router[S]) Forget() {
	r.tree.Lock()
	r.version.Add(1)
	r.tree.Unlock()
}

// Find returns the route of a topic, which is valid. It allocates only for a topic that is not known.
func (r *Router[S]) Find(topic []byte) *Route[S] {
	r.known.RLock()
	x := r.routes[string(topic)]
	r.known.RUnlock()
	if x != nil && x.Version == r.version.Load() {
		return x
	}
	x = r.compute(string(topic))
	r.remember(x)
	return x
}

func (r *Router[S]) remember(x *Route[S]) {
	r.known.Lock()
	defer r.known.Unlock()
	if old := r.routes[x.Topic]; old != nil {
		r.cost -= old.cost()
	}
	if r.cost += x.cost(); r.cost > maxCost {
		clear(r.routes)
		r.cost = x.cost()
	}
	r.routes[x.Topic] = x
}

// Known is how many bytes the known routes take, roughly.
func (r *Router[S]) Known() int {
	r.known.RLock()
	defer r.known.RUnlock()
	return r.cost
}
