// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"edged/broker/journal"
	"edged/broker/session"
)

// dueAck is a packet that waits until the journal is durable past pos.
type dueAck struct {
	pos   journal.Pos
	until *session.Parked // and, unless nil, that is over
	large []byte
	small [8]byte
	n     byte
}

// due tells whether the packet need not wait any longer.
func (c *conn) due(a *dueAck) bool {
	if a.until != nil {
		over, pos := a.until.Over()
		if !over || !c.b.durable(pos) {
			return false
		}
	}
	return c.b.durable(a.pos)
}

// Over is [session.Waiter]: what some acknowledgement waited for is.
func (c *conn) Over(r *session.Round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed || c.closing || len(c.acks) == 0:
	case r == nil:
		c.list()
	default:
		c.release(r)
	}
}

// acknowledge sends p once the journal is durable past pos and all earlier acknowledgements are out.
func (c *conn) acknowledge(r *session.Round, pos journal.Pos, p []byte) {
	c.acknowledgeAfter(r, pos, nil, p)
}

// acknowledgeAfter is acknowledge for what also waits until a parked message is over; nil: there is none.
func (c *conn) acknowledgeAfter(r *session.Round, pos journal.Pos, until *session.Parked, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing {
		return
	}
	a := dueAck{pos: pos, until: until}
	if len(c.acks) == 0 && c.due(&a) {
		c.say(r, p)
		return
	}
	if a.n = byte(copy(a.small[:], p)); len(p) > len(a.small) {
		a.large = p
	}
	c.acks = append(c.acks, a)
	c.b.env.Memory.Take(ackBytes)
	if until != nil {
		until.Await(c)
	}
	c.release(r)
}

// release sends what need not wait any longer, and sees to it that somebody calls again for the rest. c.mu is held.
func (c *conn) release(r *session.Round) {
	sent, before := 0, len(c.out)
	for len(c.acks) > 0 {
		a := &c.acks[0]
		if !c.due(a) {
			if a.until != nil {
				if over, _ := a.until.Over(); !over {
					break // it calls Over
				}
			}
			c.list()
			if !c.due(a) { // else the commit was before we were listed
				break
			}
		}
		if a.large != nil {
			c.out = append(c.out, a.large...)
		} else {
			c.out = append(c.out, a.small[:a.n]...)
		}
		c.acks = c.acks[1:]
		sent++
	}
	c.b.env.Memory.Take(-sent * ackBytes)
	if len(c.acks) == 0 {
		c.acks = nil
	}
	if sent > 0 {
		c.sent.Packets += uint64(sent)
		c.answers += len(c.out) - before
		c.added(r, len(c.out)-before)
		select {
		case c.ackRoom <- struct{}{}:
		default:
		}
	}
}
