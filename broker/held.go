// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"time"

	"edged/broker/session"
	"edged/mqtt/wire"
)

// hold waits before a packet that appends to the journal is handled, while that takes no more. What was made so far goes
// out first. Who publishes what needs no disk is not held back, and who publishes waits once per read.
//
// The poller never waits here: it has asked mustWait, and what is crowded since then takes one packet more. Were it held,
// nobody's acknowledgements would be read, and on a full disk these are what gives room.
func (c *conn) hold(ctx context.Context, s *session.Session, h byte, body []byte) *wire.Fault {
	journal := c.b.journal
	if c.scratch == &c.b.poller.scratch {
		return nil
	}
	switch h >> 4 {
	case wire.Subscribe, wire.Unsubscribe:
		return c.holdBriefly(ctx)
	case wire.Publish:
		if h&6 == 0 || c.liveOnly(h) {
			return nil
		}
		if f := c.holdForQueues(ctx, h, body); f != nil {
			return f
		}
		if c.waited || c.b.jammed() && !c.needsDisk(s, h, body) || c.willBeRefused(h, body) {
			return nil
		}
	default:
		return nil
	}
	c.waited = true
	for waits := true; waits; waits = c.inside && journal.Crowded() && !c.liveOnly(h) {
		wait := journal.Wait
		if c.inside { // the disk may turn out to be in trouble
			wait = func(ctx context.Context) error { return waitFor(ctx, sweepEvery, journal.Wait) }
		}
		if f := c.heldBy(ctx, wait); f != nil {
			return f
		}
	}
	if f := c.heldBy(ctx, c.b.wall.wait); f != nil {
		return f
	}
	for c.crowded() {
		if f := c.heldBy(ctx, c.awaitAckRoom); f != nil {
			return f
		}
	}
	return nil
}

// mustWait is what the poller asks: whether hold, or handling the packet, could take a wait for the disk, for room, or for
// another client.
func (c *conn) mustWait(h byte, body []byte) bool {
	switch kind := h >> 4; {
	case kind == wire.Publish && h&6 != 0:
		return c.crowded() || c.b.jammed() && c.needsDisk(c.standing.Load(), h, body) || c.queueFor(h, body) != nil
	case kind == wire.Subscribe, kind == wire.Unsubscribe:
		return c.b.journal.Pending() > maxPending || c.b.crowdedSessions()
	}
	return false
}

// liveOnly tells whether a PUBLISH goes to live subscribers alone. While the disk is in trouble and takes no more, that is
// so for what devices and the gateway itself publish at QoS 1: their reader must not be held, or all that they say
// later, PINGREQ too, would wait for as long as the disk is full. Their PUBACK says that the message was not kept (0x97).
func (c *conn) liveOnly(h byte) bool {
	return c.inside && c.version == 5 && h&6 == 2 && !c.b.journal.Writable() && c.b.journal.Crowded()
}

// waitFor calls wait, which gives up when its context ends, and lets it wait no longer than d. The error is that of ctx.
func waitFor(ctx context.Context, d time.Duration, wait func(context.Context) error) error {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := wait(short); err != nil && short.Err() == nil {
		return err
	}
	return ctx.Err()
}

// letGo ends a wait of the reader's. That nothing was read meanwhile was our doing: the client's time begins anew.
func (c *conn) letGo() {
	c.lastRead.Store(c.b.ticks())
	c.unsent.Store(0)
	c.held.Store(false)
}

// heldBy runs what may wait.
func (c *conn) heldBy(ctx context.Context, wait func(context.Context) error) *wire.Fault {
	c.scratch.round.Flush()
	c.held.Store(true)
	defer c.letGo()
	if wait(ctx) != nil {
		return goodbye()
	}
	return nil
}

func (c *conn) awaitAckRoom(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ackRoom:
		return nil
	}
}

// needsDisk tells whether a message of QoS 1 or 2 has to be in the journal: for a persistent session, because it is to be
// retained, or because its identifier has to be remembered. What cannot be told in time counts as needing it.
func (c *conn) needsDisk(s *session.Session, h byte, body []byte) bool {
	var m wire.Inbound
	if c.crowded() || wire.ReadPublish(h, body, c.version, false, 0, nil, &m) != nil {
		return true
	}
	if len(m.Topic) == 0 || m.Retain || m.QoS == 2 && s != nil && s.Persistent() {
		return true
	}
	c.b.routing.RLock()
	defer c.b.routing.RUnlock()
	route := c.b.router.Find(m.Topic)
	if len(route.Shared) > 0 {
		return true
	}
	for i := range route.Targets {
		if isOwed(&route.Targets[i], m.QoS) {
			return true
		}
	}
	return false
}

// A PINGRESP follows the acknowledgements before it, and waits until the disk has what the client said before. A disk that
// fails must not end connections that are well, though: then it goes out at once.

// sweepPings answers the PINGREQs that wait for a disk that fails.
func (b *Broker) sweepPings() {
	if b.journal.Writable() {
		return
	}
	var r session.Round
	for _, c := range b.connections() {
		c.freePings(&r)
	}
	r.Flush()
}

// say adds an answer to the output. c.mu is held.
func (c *conn) say(r *session.Round, p []byte) {
	if c.closed || c.closing {
		return
	}
	c.out = append(c.out, p...)
	c.sent.Packets++
	c.answers += len(p)
	c.added(r, len(p))
}

func (c *conn) freePings(r *session.Round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing {
		return
	}
	kept := c.acks[:0]
	for i := range c.acks {
		a := &c.acks[i]
		if a.large != nil || a.small[0]>>4 != wire.Pingresp {
			kept = append(kept, *a)
			continue
		}
		c.say(r, a.small[:a.n])
	}
	c.b.env.Memory.Take((len(kept) - len(c.acks)) * ackBytes)
	clear(c.acks[len(kept):])
	c.acks = kept
}

// within waits for the end of something, but not longer than d.
func within(d time.Duration, ended <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
		return false
	}
}
