// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"edged/broker/listener"
	"edged/broker/session"
	"edged/broker/statistics"
)

// hardPreauth bounds the connections that have not said CONNECT, at any moment; Limits.Preauth bounds them at rest.
const hardPreauth = 2048

// Bounds of the pause after an accept that failed, as for lack of descriptors.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = 500 * time.Millisecond
)

// accept takes connections until the listener is closed.
func (b *Broker) accept(ctx context.Context, l *listener.Listener) {
	pause := acceptPause
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			c := newConn(b, nc, nil, l)
			b.workers.Go(func() { b.serve(ctx, c) })
			continue
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return
		case pause == acceptPause:
			b.log.Error("a connection could not be accepted; retrying", "listener", l, "err", err)
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(2*pause, acceptPauseMax)
	}
}

// serve carries a connection from its beginning until it ends, or until the poller has taken it over.
func (b *Broker) serve(ctx context.Context, c *conn) {
	b.attend(ctx, c, func(ctx context.Context) bool {
		if !b.enter(c) {
			return false
		}
		return c.getReady(c.since.Add(b.limits().ConnectTimeout)) && c.read(ctx, nil)
	})
}

// attend lets read, which has a connection for itself, do its work, and parts it from the broker unless that is true: the
// poller has taken it over.
func (b *Broker) attend(ctx context.Context, c *conn, read func(context.Context) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.cancel = cancel
	if c.closed {
		cancel()
	}
	c.mu.Unlock()
	polled := false
	b.contain("a connection", func() { polled = read(ctx) })
	if !polled {
		b.part(ctx, c)
	}
}

// part is the end of a connection that nobody reads from any more.
func (b *Broker) part(ctx context.Context, c *conn) {
	close(c.done)
	c.passTurn()
	if !c.inside {
		c.budget().Take(-int(c.buffered.Swap(0)))
		c.dropAliases()
	}
	b.ended(c)
	c.linger(ctx)
}

// getReady does the handshake of the listener, if it has one. Its deadline stays that of CONNECT.
func (c *conn) getReady(by time.Time) bool {
	if c.via == nil {
		return c.nc.SetDeadline(by) == nil
	}
	nc, err := c.via.Handshake(c.nc, by)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.b.counters.Hit(statistics.ConnectTimeout)
		}
		if loud, n := c.b.refused.note(refusedHandshake, c.address); loud {
			c.b.log.Info("a connection came to nothing", "listener", c.via, "peer", c.peer(), "err", err, "so_far", n)
		}
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carry(nc)
	return !c.closed
}

// contain runs f and keeps a panic in it from ending the process.
func (b *Broker) contain(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			b.log.Error("panic in "+what+": please report it", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// enter takes a new connection in, if there is a place for it. Where far too many have not said CONNECT, the one that has
// been silent for longest has to go: a good client speaks at once.
func (b *Broker) enter(c *conn) bool {
	b.mu.Lock()
	if full := b.tooMany(c); full || b.stopping {
		b.mu.Unlock()
		if full {
			b.counters.Hit(statistics.PreauthPerAddress)
		}
		return false
	}
	b.conns[c] = struct{}{}
	b.count(c, 1)
	var late []*conn
	if b.silent > hardPreauth {
		late = b.longestSilent(1)
	}
	b.mu.Unlock()
	b.counters.Socket()
	for _, o := range late {
		b.counters.Hit(statistics.Preauth)
		o.close()
	}
	return true
}

// count counts a connection that has not finished CONNECT. b.mu is held.
func (b *Broker) count(c *conn, n int) {
	if !c.inside {
		b.silent += n
	}
}

// tooMany tells whether one address holds all the connections that it may hold without CONNECT. b.mu is held.
func (b *Broker) tooMany(c *conn) bool {
	if b.silent < b.limits().PreauthPerAddress || c.address == "" || isLoopback(c.address) {
		return false
	}
	n := 0
	for o := range b.conns {
		if !o.admitted && o.address == c.address {
			n++
		}
	}
	return n >= b.limits().PreauthPerAddress
}

// longestSilent returns the n connections that have stood longest without CONNECT. b.mu is held.
func (b *Broker) longestSilent(n int) []*conn {
	var all []*conn
	for c := range b.conns {
		if !c.admitted && !c.inside {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(x, y *conn) int { return x.since.Compare(y.since) })
	return all[:min(n, len(all))]
}

// ended forgets a connection; its session lives on or ends, its will is published.
func (b *Broker) ended(c *conn) {
	b.contain("the end of a connection", func() {
		c.scratch.round.Flush() // what a panic left
		c.in.Lock()
		c.gone = true
		died := !c.orderly
		c.in.Unlock()
		b.settleEnd(c, died)
	})
	c.mu.Lock()
	if !c.lingers && !(c.closing && (c.writing || c.dirty)) { // else what is written last goes out first
		c.shut()
	}
	c.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, here := b.conns[c]; !here {
		return
	}
	delete(b.conns, c)
	switch {
	case !c.admitted:
		b.count(c, -1)
	case !c.inside:
		b.outside--
	}
}

// settleEnd parts a connection from its session, unless another has taken the session over.
func (b *Broker) settleEnd(c *conn, died bool) {
	s := c.standing.Load()
	if s == nil {
		return
	}
	unlock := b.setup.lock(s.ID)
	defer unlock()
	s.Lock()
	mine := s.Sink() == session.Sink(c)
	s.Unlock()
	if !mine {
		return
	}
	var p publication
	b.leave(&p, s, died)
	p.round.Flush()
}
