// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
)

// Limits.Memory is what the machine may lose to our clients, as the system counts it. Buffers are longer than what is in
// them, a collected heap takes more than what lives, stacks are not counted, and what waits and what stands may both be at
// their bounds, besides the retained messages: so each of the two gets an eighth.
//
// What waits: output and queues of slow readers, packets that have begun to come, acknowledgements that wait for the
// disk, topic aliases. It is shed in this order:
//
//  1. beyond half: a reader for whom 64 KiB wait gets no more of QoS 0, and the rest of what it is owed comes later,
//  2. beyond three quarters: what a clean session would queue is dropped, persistent ones read on from the journal later,
//     and connections are closed, the one first that has been stuck for longest,
//  3. at the bound: who sends a large packet waits for that, for 5 s at most, then is closed.
//
// What stands: sessions, their subscriptions and wills. At the bound the persistent sessions go that nobody is connected
// to, those first that are owed nothing, the longest away first; then subscriptions are refused.
const shareOfMemory = 8

// preauthShare is how much of what may wait may be CONNECTs that have begun to come.
const preauthShare = 8

func (b *Broker) setMemory(limit int64) {
	b.env.Memory.SetLimit(limit / shareOfMemory)
	b.env.State.SetLimit(limit / shareOfMemory)
	b.preauth.SetLimit(limit / shareOfMemory / preauthShare)
}

// memoryInUse is how much of Limits.Memory is taken, without what the collector needs.
func (b *Broker) memoryInUse() int64 { return b.env.Memory.Used() + b.preauth.Used() + b.standing() }

// nodeBytes is what a level of a filter takes in the router, roughly.
const nodeBytes = 340

// standing is how many bytes sessions and subscriptions take.
func (b *Broker) standing() int64 { return b.env.State.Used() + nodeBytes*b.router.Nodes() }

// roomFor tells whether a subscription to a filter may be added.
func (b *Broker) roomFor(filter string) bool {
	return b.env.State.Fits(int(nodeBytes*b.router.Nodes()) + 2*len(filter) + nodeBytes*(2+strings.Count(filter, "/")))
}

// wantedRoom is how much is made free when sessions wait for memory.
const wantedRoom = 512 << 10

// shed closes connections while there is no room for n more bytes that wait, first those that have been stuck for longest.
func (b *Broker) shed(n int) {
	if b.env.Memory.Excess(n) == 0 || !b.shedding.TryLock() {
		return
	}
	defer b.shedding.Unlock()
	excess := b.env.Memory.Excess(n)
	if excess == 0 {
		return
	}
	excess += b.env.Memory.Used() / 8 // so that it is not called again at once
	for _, x := range b.stuck() {
		if excess <= 0 {
			return
		}
		excess -= int64(x.holds)
		b.counters.Hit(statistics.MemoryShed)
		if loud, n := b.refused.note(shedMemory, ""); loud {
			b.log.Warn("connection closed: limits.memory is reached, and it has been stuck for longest", "peer", x.c.peer(),
				"client_id", x.c.clientID(), "since", x.since.Format(time.RFC3339), "bytes", x.holds, "so_far", n)
		}
		x.c.close()
	}
}

type stuckConn struct {
	c     *conn
	since time.Time
	holds int
}

// worthShedding is what a connection must hold for its end to help, stuckFor how long it must not have moved.
const (
	worthShedding = 4 << 10
	stuckFor      = 200 * time.Millisecond
	finishWithin  = 800 * time.Millisecond // how much longer the rest of a packet may take
)

// stuck are the connections from outside of which something waits, those first that have not moved for longest.
func (b *Broker) stuck() []stuckConn {
	var all []stuckConn
	for _, c := range b.connections() {
		if c.inside {
			continue
		}
		if x := c.stuck(); x.holds > worthShedding && time.Since(x.since) > stuckFor {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(x, y stuckConn) int { return x.since.Compare(y.since) })
	return all
}

func (b *Broker) connections() []*conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		all = append(all, c)
	}
	return all
}

// stuck tells how much the connection holds, and since when nothing of it has moved.
func (c *conn) stuck() stuckConn {
	x := stuckConn{c: c, since: time.Now(), holds: int(c.buffered.Load())}
	if began := c.began.Load(); began != 0 && x.holds > 0 && !c.held.Load() { // else it is we who let it wait
		x.since = time.Unix(0, began).Add(finishWithin)
	}
	c.mu.Lock()
	if c.writing && c.stalled.Before(x.since) {
		x.since = c.stalled
	}
	x.holds += len(c.out) + c.draining + ackBytes*len(c.acks)
	c.mu.Unlock()
	if s := c.standing.Load(); s != nil {
		s.Lock()
		if s.Sink() == session.Sink(c) {
			x.holds += s.Holds()
		}
		s.Unlock()
	}
	return x
}

func (c *conn) clientID() string {
	if s := c.standing.Load(); s != nil {
		return s.ID
	}
	return ""
}

// budget is that of the connection's packets that have begun to come.
func (c *conn) budget() *session.Budget {
	if c.standing.Load() == nil {
		return &c.b.preauth
	}
	return &c.b.env.Memory
}

// takes asks for n more bytes for a packet that has begun to come. A client that is connected waits a while for them. It
// is false where the connection has to end.
func (c *conn) takes(ctx context.Context, n int) bool {
	switch {
	case c.inside || c.budget().Fits(n):
		return true
	case c.standing.Load() == nil:
		return c.takesBefore(n)
	}
	c.held.Store(true)
	defer c.letGo()
	for end := time.Now().Add(awaitRoom); time.Now().Before(end); {
		c.scratch.round.Flush()
		if c.b.shed(n); c.budget().Fits(n) {
			return true
		}
		t := time.NewTimer(awaitRoom / 100)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
	c.b.counters.Hit(statistics.MemoryShed)
	return false
}

// awaitRoom is how long a client may wait for memory for its packet.
const awaitRoom = 5 * time.Second

// takesBefore asks for n more bytes for a CONNECT. Where there is no room, the connection has to end that waits for the
// rest of its CONNECT for longest; false: that is this one.
func (c *conn) takesBefore(n int) bool {
	var all []*conn
	for _, o := range c.b.connections() {
		if o.standing.Load() == nil && o.buffered.Load() > 0 {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(x, y *conn) int { return cmp.Compare(x.began.Load(), y.began.Load()) })
	for _, o := range all {
		if c.b.preauth.Fits(n) {
			break
		}
		c.b.counters.Hit(statistics.MemoryShed)
		if o == c {
			return false
		}
		c.b.preauth.Take(-int(o.buffered.Swap(0))) // it gives back no more when it ends
		o.close()
	}
	return c.b.preauth.Fits(n)
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
