// SPDX-License-Identifier: Apache-2.0

// Package authority decides who gets in and who may do what. What no right names is denied.
//
// Somebody is an in-process client, a user of the configuration, the guest (whoever comes without a name where that is
// allowed), or the operator (root, over a Unix socket). A [Client] is somebody under a client identifier, and its methods
// are the only place that decides: about PUBLISH, wills, retained messages, response topics, SUBSCRIBE, shared
// subscriptions and delivery alike. They read the rights of the moment, so that a reload counts for live sessions and
// for what waits in a queue too.
package authority

import (
	"crypto/rand"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// insideMark begins the user names of in-process clients. No name that the configuration can give begins so, or with a
// dollar sign.
const insideMark = "~"

// operator is the user of root and of our own account, over a Unix socket.
const operator = "$operator"

// ownPrefix begins the client identifiers that only in-process clients may use.
const ownPrefix = "edged-"

// Identity is an in-process client: which client identifier it may use and what it may do. Filters may hold wildcards.
type Identity struct {
	ClientID           string // "": any
	Publish, Subscribe []string
	Queue              Queue // of its session
}

// Queue is how much an in-process client's session may be owed, and what becomes of what is beyond.
type Queue struct {
	Size     int64         // bytes; 0: as the broker's limits say
	Age      time.Duration // 0: without bound
	WhenFull string        // "drop-oldest" or "conflate", also for want of space on the disk, or "reject"; "": as the broker's limits say
	Reserved []string      // filters of topics for which a share of the queue is kept

	Conflate  []string // with conflate: filters of the topics of which the newest message stays; none: of all
	LiveFirst bool     // what comes while there is a backlog does not wait behind it
}

// somebody has rights, of which there are none while they are nil.
type somebody struct {
	name   string // "" for the guest
	rights atomic.Pointer[rights]
}

func newSomebody(name string, r *rights) *somebody {
	s := &somebody{name: name}
	s.rights.Store(r)
	return s
}

// Authority knows everybody. Its methods may be called from any goroutine.
type Authority struct {
	guest, operator *somebody
	awaited         *somebody // an in-process client of an earlier run that has not come back yet
	key             [32]byte  // of digests; nobody else has it

	brake   brake
	hashing chan struct{} // holds one: a hash is being computed

	mu    sync.Mutex // held by who changes the world
	world atomic.Pointer[world]
}

// world is who there is. It never changes.
type world struct {
	all     map[string]*somebody // by name
	users   int
	bearers []*somebody // users with a certificate's subject
	decoy   *hash       // what is computed for a user that there is not; nil: nothing
}

// New returns an authority that lets in nobody but in-process clients, and root.
func New() *Authority {
	a := &Authority{
		guest: newSomebody("", nil), awaited: newSomebody(insideMark, &rights{inside: true, anything: true, ids: []string{"*"}}),
		operator: newSomebody(operator, &rights{anything: true, ids: []string{"*"}}),
		hashing:  make(chan struct{}, 1),
	}
	rand.Read(a.key[:]) //nolint:errcheck // never fails
	a.world.Store(&world{all: map[string]*somebody{"": a.guest, operator: a.operator}})
	return a
}

// Admit lets an in-process client in. Of several under one client identifier the latest identity counts.
func (a *Authority) Admit(id Identity) Client {
	r := &rights{
		publish: plain(id.Publish), subscribe: plain(id.Subscribe), ids: []string{id.ClientID},
		inside: true, queue: id.Queue,
	}
	if id.ClientID == "" {
		r.ids[0] = "*"
	}
	name := insideMark + id.ClientID
	a.mu.Lock()
	defer a.mu.Unlock()
	w := *a.world.Load()
	s := w.all[name]
	if s != nil {
		s.rights.Store(r)
	} else {
		s = newSomebody(name, r)
		w.all = maps.Clone(w.all)
		w.all[name] = s
		a.world.Store(&w)
	}
	return Client{who: s, ID: id.ClientID}
}

// Client returns a user under a client identifier. One who is not known has no rights, but an in-process client of an
// earlier run that has not come back yet keeps those under which it subscribed and published.
func (a *Authority) Client(user, clientID string) Client {
	who := a.world.Load().all[user]
	if who == nil && strings.HasPrefix(user, insideMark) {
		who = a.awaited
	}
	return Client{who: who, ID: clientID}
}

// Knows tells whether there is a user of that name.
func (a *Authority) Knows(user string) bool { return isUser(user) && a.world.Load().all[user] != nil }
