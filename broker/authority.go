// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync"

	"edged/mqtt/wire"
)

// insideMark begins the user names of in-process clients; no name that a client can give begins so.
const insideMark = "~"

// ownPrefix begins the client identifiers that only in-process clients may use.
const ownPrefix = "edged-"

// Identity is an in-process client: which client identifier it may use and what it may do. Filters may hold wildcards.
type Identity struct {
	ClientID           string // "": any
	Publish, Subscribe []string
	SessionQueue       int64 // bytes that may be owed to its session; 0: as Limits say
}

// principal is somebody with rights.
type principal struct {
	name               string // "" for whoever came from outside without a name
	inside             bool
	anything           bool   // may publish and read all but what begins with $
	clientID           string // the only one it may use, "" for any
	publish, subscribe []string
	queue              int64
}

// authority decides who may do what, for PUBLISH, SUBSCRIBE, wills, retained messages and delivery alike. What no right
// names is denied.
type authority struct {
	guest *principal // whoever comes from outside without a name; nil: nobody

	mu     sync.RWMutex
	inside map[string]*principal // by name; the latest that was dialled counts
}

// admit returns the principal of an in-process client.
func (a *authority) admit(id Identity) *principal {
	p := &principal{
		name: insideMark + id.ClientID, inside: true, clientID: id.ClientID, publish: id.Publish, subscribe: id.Subscribe,
		queue: id.SessionQueue,
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inside == nil {
		a.inside = map[string]*principal{}
	}
	a.inside[p.name] = p
	return p
}

// login returns who a client from outside is, nil for nobody.
func (a *authority) login() *principal { return a.guest }

// mayUse tells whether a principal may use a client identifier.
func (p *principal) mayUse(clientID string) bool {
	if p.inside {
		return p.clientID == "" || p.clientID == clientID
	}
	return !strings.HasPrefix(clientID, ownPrefix)
}

// mayPublish tells whether a principal may publish to a topic.
func (p *principal) mayPublish(topic string) bool {
	if p.anything {
		return topic[0] != '$'
	}
	return matchesAny(p.publish, topic)
}

// maySubscribe tells whether some topic could match both the filter and a right; delivery is narrowed to the right.
func (p *principal) maySubscribe(filter string) bool {
	if p.anything {
		return true
	}
	for _, f := range p.subscribe {
		if wire.Overlap(f, filter) {
			return true
		}
	}
	return false
}

// mayRead tells whether a user may get what is published to a topic. An in-process client of an earlier run that has not
// come back yet keeps the rights under which it subscribed.
func (a *authority) mayRead(user, topic string) bool {
	p, known := a.named(user)
	return known && (p == nil || p.anything || matchesAny(p.subscribe, topic))
}

// mayStillPublish tells whether a user whose message is retained may publish it today.
func (a *authority) mayStillPublish(user, topic string) bool {
	p, known := a.named(user)
	return known && (p == nil || p.mayPublish(topic))
}

// named returns the principal of a user name, nil for one that is known but not here.
func (a *authority) named(user string) (p *principal, known bool) {
	if user == "" {
		return a.guest, a.guest != nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.inside[user], strings.HasPrefix(user, insideMark)
}

func matchesAny(filters []string, topic string) bool {
	for _, f := range filters {
		if wire.Matches(f, topic) {
			return true
		}
	}
	return false
}
