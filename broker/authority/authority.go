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
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// insideMark begins the user names of in-process clients. No name that the configuration can give begins so, or with the
// dollar sign of the two below.
const insideMark = "~"

// Broker is the user of what the broker publishes itself.
const Broker = "$broker"

// operator is the user of root and of our own account, over a Unix socket.
const operator = "$operator"

// ownPrefix begins the client identifiers that only in-process clients may use.
const ownPrefix = "edged-"

// Identity is an in-process client: which client identifier it may use and what it may do. Filters may hold wildcards.
type Identity struct {
	ClientID           string // "": any
	Publish, Subscribe []string
	SessionQueue       int64 // bytes that may be owed to its session; 0: as the broker's limits say
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
	guest, broker, operator *somebody
	awaited                 *somebody // an in-process client of an earlier run that has not come back yet

	mu    sync.Mutex // held by who changes the table, which is never changed in place
	table atomic.Pointer[map[string]*somebody]
}

// New returns an authority that lets in nobody but in-process clients.
func New() *Authority {
	all := &rights{anything: true, dollar: true}
	a := &Authority{
		guest: newSomebody("", nil), broker: newSomebody(Broker, all), awaited: newSomebody(insideMark, all),
		operator: newSomebody(operator, &rights{anything: true, ids: []string{"*"}}),
	}
	a.table.Store(&map[string]*somebody{"": a.guest, Broker: a.broker, operator: a.operator})
	return a
}

// Admit lets an in-process client in. Of several under one client identifier the latest identity counts.
func (a *Authority) Admit(id Identity) Client {
	r := &rights{publish: plain(id.Publish), subscribe: plain(id.Subscribe), inside: true, queue: id.SessionQueue}
	if r.ids = []string{id.ClientID}; id.ClientID == "" {
		r.ids = []string{"*"}
	}
	return Client{who: a.change(insideMark+id.ClientID, r), ID: id.ClientID}
}

// change gives somebody other rights.
func (a *Authority) change(name string, r *rights) *somebody {
	a.mu.Lock()
	defer a.mu.Unlock()
	table := *a.table.Load()
	if s := table[name]; s != nil {
		s.rights.Store(r)
		return s
	}
	s := newSomebody(name, r)
	table = maps.Clone(table)
	table[name] = s
	a.table.Store(&table)
	return s
}

// Client returns a user under a client identifier. One who is not known has no rights, but an in-process client of an
// earlier run that has not come back yet keeps those under which it subscribed and published.
func (a *Authority) Client(user, clientID string) Client {
	who := (*a.table.Load())[user]
	if who == nil && strings.HasPrefix(user, insideMark) {
		who = a.awaited
	}
	return Client{who: who, ID: clientID}
}

// Guest returns whoever came without a name, under a client identifier.
func (a *Authority) Guest(clientID string) Client { return Client{who: a.guest, ID: clientID} }
