// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

const (
	sweepEvery = 250 * time.Millisecond
	slowSweeps = 4 // sweeps of connections per sweep of sessions
)

// leave is how long who may be waiting for a disk in trouble is waited for at a stop, leaveWell how long where the disk is
// well, but the machine may be busy.
const (
	leave     = 500 * time.Millisecond
	leaveWell = 2 * time.Second
)

// lastWords is how long slow peers may take what is on its way to them when the broker stops.
const lastWords = time.Second

// Run commits and sweeps until ctx ends. Then it closes the listeners, publishes the wills of the clients that are still
// connected, says goodbye to those of MQTT 5 (0x8B), commits, and returns once every connection has ended. In-process
// clients are expected to have gone before. The error says what the journal could not write. A disk that does not answer
// is left behind: Run returns within 5 s.
func (b *Broker) Run(ctx context.Context) error {
	commits, stopCommits := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCommits()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop() // a journal that ends by itself has a defect, and a broker without one keeps no promise
		ended <- b.journal.Run(commits, b.committed)
	}()
	if b.env.Lot != nil {
		b.workers.Go(func() { b.env.Lot.Run(commits) })
	}
	maintained := make(chan struct{})
	go func() {
		defer close(maintained)
		b.maintain(ctx)
	}()
	b.sweep(ctx)
	patience := leave
	if b.journal.Writable() {
		patience = leaveWell
	}
	slow := !within(patience, maintained)
	err := b.closeListeners()
	b.stop()
	stopCommits()
	err = errors.Join(err, <-ended, b.poller.close())
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		b.workers.Wait() // feeders and readers end with their connections, or with the journal
	}()
	if slow = !within(patience, worked) || slow; slow {
		err = errors.Join(err, errors.New("E602: the disk does not answer, and who reads it was left behind"))
	}
	if err != nil {
		return fmt.Errorf("stop the broker: %w", err)
	}
	return nil
}

// Close gives back what Open took, of a broker that Run was not called for.
func (b *Broker) Close() error { return b.journal.Close() }

// sweep looks after connections and sessions until ctx ends.
func (b *Broker) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	crowded := 0
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.contain("a sweep", func() {
			b.sweepPings()
			crowded = b.sweepConns(crowded)
			b.sweepMemory()
			var p publication
			b.sweepSys(&p, time.Now())
			if n%slowSweeps == 0 {
				b.sweepSessions(&p)
				p.round.Flush()
			}
		})
	}
}

// sweepConns closes connections whose keep-alive has run out, and, when crowded for some sweeps, those that have been
// silent for longest: a burst of clients that are just about to speak is not one.
func (b *Broker) sweepConns(crowded int) int {
	now := b.ticks()
	var late, silent []*conn
	b.mu.Lock()
	for c := range b.conns {
		if c.admitted && c.keepAlive > 0 && !c.held.Load() && now-c.lastRead.Load() > int64(c.keepAlive) {
			late = append(late, c)
		}
	}
	if n := b.silent - b.limits().Preauth; n <= 0 {
		crowded = 0
	} else if crowded++; crowded > 2 {
		silent = b.longestSilent(n)
	}
	b.mu.Unlock()
	for _, c := range silent {
		b.counters.Hit(statistics.Preauth)
		c.close()
	}
	var r session.Round
	for _, c := range late {
		c.closeAfter(&r, c.farewell(wire.KeepAliveTimeout, ""))
	}
	r.Flush()
	return crowded
}

// sweepSessions publishes the wills whose delay is over and ends the sessions whose time is over.
func (b *Broker) sweepSessions(p *publication) {
	now := time.Now().UnixMilli()
	for _, s := range b.all() {
		s.Lock()
		w, over := dueAt(s, now)
		s.Unlock()
		if w == nil && !over {
			continue
		}
		b.contain("the end of a session", func() {
			defer b.setup.lock(s.ID)()
			s.Lock()
			w, over := dueAt(s, now) // it may have come back meanwhile
			s.Unlock()
			if w != nil {
				b.publishWill(p, s, w)
			}
			if over {
				b.counters.Expired()
				b.end(p, s)
			} else if w != nil {
				s.Lock()
				b.recordSoon(s)
				s.Unlock()
			}
		})
	}
}

// dueAt returns the will that is due and tells whether the session's time is over. The session is locked.
func dueAt(s *session.Session, now int64) (w *session.Will, over bool) {
	if s.Sink() != nil || s.Ended() {
		return nil, false
	}
	if s.Will != nil && s.Will.Due > 0 && s.Will.Due <= now {
		w = s.Will
	}
	return w, s.Left > 0 && s.Left+int64(s.Expiry)*1000 <= now
}

// all returns every session.
func (b *Broker) all() []*session.Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*session.Session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	return all
}

// stop parts everybody from the broker.
func (b *Broker) stop() {
	b.mu.Lock()
	b.stopping = true
	b.mu.Unlock()
	all := b.connections()
	for _, c := range all { // nobody says anything from here on, but CONNECT, which is refused
		c.in.Lock()
		c.gone = c.standing.Load() != nil
		c.in.Unlock()
	}
	b.contain("the last wills", func() { b.lastWills(all) })
	var r session.Round
	for _, c := range all {
		if c.standing.Load() != nil {
			c.closeAfter(&r, c.farewell(wire.ServerShuttingDown, ""))
		}
	}
	r.Flush()
	b.awaitLastWords(all)
	for _, c := range all {
		c.close()
	}
	for _, s := range b.all() {
		s.Lock()
		s.Record(2)
		s.Unlock()
	}
	b.retained.Write(b.retainedWriter())
}

// lastWills publishes the wills of all connected clients while those that are subscribed to them can still get them, then
// parts the sessions from their connections.
func (b *Broker) lastWills(all []*conn) {
	var p publication
	for _, c := range all {
		s := c.standing.Load()
		if s == nil {
			continue
		}
		died := c.died()
		s.Lock()
		w := s.Will
		publish := s.Sink() == session.Sink(c) && w != nil && died && (w.Delay == 0 || s.Expiry == 0)
		s.Unlock()
		if publish {
			b.publishWill(&p, s, w)
		}
	}
	p.round.Flush()
	for _, c := range all {
		b.settleEnd(c, c.died())
	}
}

// died tells whether the client has not said goodbye.
func (c *conn) died() bool {
	c.in.Lock()
	defer c.in.Unlock()
	return !c.orderly
}

// awaitLastWords waits for what is on its way to slow peers, but not for long.
func (b *Broker) awaitLastWords(all []*conn) {
	end := time.NewTimer(lastWords)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, c := range all {
		for c.busy() {
			select {
			case <-end.C:
				return
			case <-tick.C:
			}
		}
	}
}

// starved tells whether the session waits for memory, and not for its client.
func (c *conn) starved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.more && !c.writing && len(c.out) == 0
}

func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing && !c.closed
}
