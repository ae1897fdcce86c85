// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
	"strings"

	"edged/broker/session"
	"edged/broker/statistics"
)

// What stands in memory: sessions, their subscriptions and wills. At the bound the persistent sessions go that nobody is
// connected to, those first that are owed nothing, the longest away first; then subscriptions are refused.

// nodeBytes is what a level of a filter takes in the router, roughly.
const nodeBytes = 340

// standing is how many bytes sessions and subscriptions take.
func (b *Broker) standing() int64 { return b.env.State.Used() + nodeBytes*b.router.Nodes() }

// roomFor tells whether a subscription to a filter may be added.
func (b *Broker) roomFor(filter string) bool {
	return b.env.State.Fits(int(nodeBytes*b.router.Nodes()) + 2*len(filter) + nodeBytes*(2+strings.Count(filter, "/")))
}

// crowded tells whether another session needs room to be made.
func (b *Broker) crowdedSessions() bool {
	b.mu.Lock()
	n := len(b.sessions)
	b.mu.Unlock()
	return n >= maxSessions || !b.env.State.Fits(int(nodeBytes*b.router.Nodes())+sessionRoom)
}

// sessionRoom is what is kept free for a session that comes.
const sessionRoom = 64 << 10

// makeRoom ends persistent sessions that nobody is connected to, if there are too many. No set-up lock may be held.
func (b *Broker) makeRoom(p *publication) {
	if !b.crowdedSessions() || !b.evicting.TryLock() {
		return
	}
	defer b.evicting.Unlock()
	if !b.crowdedSessions() {
		return
	}
	all := b.away()
	for _, x := range all[:min(len(all), max(len(all)/64, 16))] {
		b.evict(p, x.s)
	}
	p.round.Flush()
}

type awaySession struct {
	s    *session.Session
	owed bool
	left int64
}

// away are the sessions of clients from outside that are not connected, in the order in which they have to go.
func (b *Broker) away() []awaySession {
	var all []awaySession
	for _, s := range b.all() {
		s.Lock()
		if s.Sink() == nil && !s.Ended() && !s.Inside() {
			all = append(all, awaySession{s, s.Status().Messages > 0, s.Left})
		}
		s.Unlock()
	}
	slices.SortFunc(all, func(x, y awaySession) int {
		if x.owed != y.owed {
			if x.owed {
				return 1
			}
			return -1
		}
		return cmp.Compare(x.left, y.left)
	})
	return all
}

func (b *Broker) evict(p *publication, s *session.Session) {
	defer b.setup.lock(s.ID)()
	s.Lock()
	gone := s.Sink() == nil && !s.Ended()
	owed := s.Status().Messages
	s.Unlock()
	if !gone {
		return // it has come back, or is over
	}
	b.counters.Hit(statistics.Sessions)
	if owed > 0 {
		b.counters.Dropped(owed)
	}
	if loud, n := b.refused.note(shedSession, ""); loud || owed > 0 {
		b.log.Warn("session given up: there are too many, and its client has been away for longest", "client_id", s.ID,
			"messages", owed, "so_far", n)
	}
	b.end(p, s)
}
