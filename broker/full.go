// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// A session that rejects takes no more once its queue is full. In MQTT 5 its publisher is told so, with 0x97, and nobody
// gets the message. Before MQTT 5 there is no such answer: the publisher's packets wait, unread, until there is room. What
// the broker itself publishes, as wills, is never refused.

// wall holds publishers back while the journal is at its bound for the sake of a session that gives nothing up.
type wall struct {
	up atomic.Bool

	mu   sync.Mutex
	by   *session.Session
	down chan struct{} // closed when it is down
}

// set puts the wall up because of a session; nil: it comes down.
func (w *wall) set(s *session.Session) {
	w.mu.Lock()
	before := w.by
	if w.by = s; before == nil && s != nil {
		w.down = make(chan struct{})
	}
	if w.up.Store(s != nil); before != nil && s == nil {
		close(w.down)
	}
	w.mu.Unlock()
	for _, x := range []*session.Session{before, s} {
		if x != nil && before != s {
			x.Lock()
			x.Wall(x == s)
			x.Unlock()
		}
	}
}

// wait blocks while the wall is up.
func (w *wall) wait(ctx context.Context) error {
	w.mu.Lock()
	up, down := w.by != nil, w.down
	w.mu.Unlock()
	if !up {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-down:
		return nil
	}
}

// jammed tells whether who needs the disk has to wait.
func (b *Broker) jammed() bool { return b.wall.up.Load() || b.journal.Crowded() }

// full tells whether a session, which is locked, takes no more of a topic.
func (b *Broker) full(s *session.Session, topic string) bool {
	return s.Full(topic) || s.Queue.WhenFull == session.Reject && b.journal.Crowded() && b.alarms.raised("E601")
}

// rejects tells whether a session that is owed a message is full. All that are owed it are locked.
func (b *Broker) rejects(m *wire.Message, targets []target, from *session.Session) bool {
	if !b.env.Rejecting.Load() {
		return false
	}
	no := false
	for i := range targets {
		t := &targets[i]
		if isOwed(t, m.QoS) && !(t.NoLocal && t.Subscriber == from) && b.full(t.Subscriber, m.Topic) {
			b.counters.Hit(statistics.SessionQueue)
			t.Subscriber.Refused(m.Topic, m.Payload, m.Size())
			no = true
		}
	}
	return no
}

// owedBy calls each, with the session locked, for every session that would be owed a PUBLISH, until it is true.
func (c *conn) owedBy(h byte, body []byte, each func(*session.Session, string) bool) bool {
	var m wire.Inbound
	if !c.b.env.Rejecting.Load() || wire.ReadPublish(h, body, c.version, false, 0, nil, &m) != nil ||
		len(m.Topic) == 0 && c.aliases.resolve(&m) != nil || len(m.Topic) == 0 || !c.who.MayPublish(string(m.Topic)) {
		return false
	}
	from := c.standing.Load()
	c.b.routing.RLock()
	defer c.b.routing.RUnlock()
	route := c.b.router.Find(m.Topic)
	for i := range route.Targets {
		t := &route.Targets[i]
		if !isOwed(t, m.QoS) || t.NoLocal && t.Subscriber == from {
			continue
		}
		t.Subscriber.Lock()
		found := each(t.Subscriber, route.Topic)
		t.Subscriber.Unlock()
		if found {
			return true
		}
	}
	return false
}

// queueFor is closed when a session may have room for a PUBLISH of a client before MQTT 5; nil: all have.
func (c *conn) queueFor(h byte, body []byte) (room <-chan struct{}) {
	if c.version == 5 {
		return nil
	}
	c.owedBy(h, body, func(s *session.Session, topic string) bool {
		if s.Full(topic) {
			room = s.AwaitRoom()
		}
		return room != nil
	})
	return room
}

// holdForQueues waits until all who are owed a PUBLISH take it. One more than fits may come in, of each who publishes at
// the same moment.
func (c *conn) holdForQueues(ctx context.Context, h byte, body []byte) *wire.Fault {
	for {
		room := c.queueFor(h, body)
		if room == nil {
			return nil
		}
		c.b.counters.Hit(statistics.SessionQueue)
		if f := c.heldBy(ctx, func(ctx context.Context) error { return c.awaitQueue(ctx, room) }); f != nil {
			return f
		}
	}
}

// lookAfter is how often one looks whether who waits for a queue is still there.
const lookAfter = time.Second

// awaitQueue waits for room in a queue. It ends with an error when the client is gone: who comes back again and again must
// not take ever more places.
func (c *conn) awaitQueue(ctx context.Context, room <-chan struct{}) error {
	tick := time.NewTicker(lookAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-room:
			return nil
		case <-tick.C:
			if c.socket != nil && c.socket.HungUp() {
				return io.EOF
			}
		}
	}
}

// willBeRefused tells whether a PUBLISH will get an answer although the disk is full or the journal is.
func (c *conn) willBeRefused(h byte, body []byte) bool {
	return c.version == 5 && c.b.jammed() && c.owedBy(h, body, c.b.full)
}
