// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

const (
	outHigh   = 64 << 10  // a connection's output above which queued messages wait
	outMax    = 1 << 20   // and above which QoS 0 messages are dropped
	queueMax  = 1 << 20   // bytes of the queue of a session that has no journal
	queueOwed = 256 << 10 // and of one that has: what comes then is read from the journal later
	sharedMax = 2 << 20   // the same, where only places are taken: of retained messages
	itemBytes = 96        // of an item in a queue, without its message
	feedBelow = 64 << 10  // a queue shorter than this is filled up from the journal
	maxWindow = 1000      // messages under way to a client that names no Receive Maximum, or a greater one
)

// Window is how many messages may be under way to a client with that Receive Maximum, 0 for none.
func Window(receiveMaximum uint16) int {
	if receiveMaximum == 0 {
		return maxWindow
	}
	return min(int(receiveMaximum), maxWindow)
}

// Round collects the connections whose output was added to, for whoever did so to flush them at its end.
type Round struct{ waiting []Flusher }

// Flusher is a connection with output to be written.
type Flusher interface{ Flush() }

// Add puts a connection into the round.
func (r *Round) Add(f Flusher) { r.waiting = append(r.waiting, f) }

// Flush writes the output of the round's connections. No lock may be held.
func (r *Round) Flush() {
	for i := 0; i < len(r.waiting); i++ {
		r.waiting[i].Flush()
		r.waiting[i] = nil
	}
	r.waiting = r.waiting[:0]
}

// Copy is a message on its way to several sessions; those that queue it share one copy of its bytes.
type Copy struct {
	Message *wire.Message // may be a view
	Owned   *wire.Message // the same with bytes of its own; nil until somebody needs it
}

// Own returns the message with bytes of its own.
func (c *Copy) Own() *wire.Message {
	if c.Owned == nil {
		c.Owned = c.Message.Keep()
	}
	return c.Owned
}

// Owed is one session's share of a message.
type Owed struct {
	N      uint64      // its number, from Next, when the journal holds it; else 0
	Pos    journal.Pos // of its record; 0: none
	Gap    uint64      // how many numbers before N have no record because they were done without one
	QoS    byte
	Retain bool
	SubIDs []uint32
	Shared bool // its bytes are in memory anyway
	Live   bool // it goes before the backlog, see GoesLive
}

// item is a message that waits for room on the connection.
type item struct {
	Owed
	m    *wire.Message
	size int
}

// Deliver gives the session a message: it goes out at once, or waits in the queue, or only in the journal.
func (s *Session) Deliver(r *Round, c *Copy, o Owed) {
	owed := o.N > 0
	if o.Pos > 0 && owed {
		s.note(o.N, o.Pos, c.Message.Topic, c.Message.Size(), s.env.clock())
		s.bound()
	}
	if owed {
		s.classify(o.N, c.Message.Topic, c.Message.Size())
	}
	switch {
	case s.sink == nil, s.ended, owed && o.N < s.tail:
		return
	case o.Live:
		if !s.isAcked(o.N) { // the bounds may have given it up
			s.queueLive(r, c, o)
		}
		return
	case owed && s.back.behind:
		s.enqueueBehind(c, o)
		return
	case len(s.queue) == 0 && s.mayWrite(&o, c.Message.Size()):
		if o.QoS > 0 && !owed {
			o.N = s.Next()
		}
		s.write(r, c.Message, &o)
		return
	}
	it := item{Owed: o, size: itemBytes}
	if !o.Shared {
		it.size += c.Message.Size()
	}
	switch {
	case owed && s.full(it.size, s.most()):
		if o.Pos == 0 {
			s.WriteParked()
			o.Pos = s.last
		}
		s.back.behind, s.back.from, s.back.next, s.back.until = true, o.Pos, o.N, everything
		return
	case !owed && (o.QoS == 0 && len(s.queue) == 0 || !o.Shared && s.full(it.size, queueMax) || o.Shared && s.full(it.size, sharedMax)):
		s.dropped++ // a slow client: QoS 0 beyond its output, or anything beyond the queue
		s.env.Dropped(1)
		return
	}
	if o.QoS > 0 && !owed {
		it.N = s.Next()
	}
	it.m = c.Own()
	s.queue = append(s.queue, it)
	s.charge(it.size)
}

// most is how many bytes of what is owed wait in memory while there is no backlog.
func (s *Session) most() int {
	if s.Queue.LiveFirst {
		return liveBehind
	}
	return queueOwed
}

func (s *Session) full(more, limit int) bool {
	return s.qbytes+more > limit || !s.env.Memory.FitsPart(more, Full)
}

// charge counts what is queued.
func (s *Session) charge(n int) {
	s.qbytes += n
	s.env.Memory.Take(n)
}

func (s *Session) clearQueue() {
	s.charge(-s.qbytes)
	s.queue = nil
}

// more is how many bytes the output takes beyond those that are counted for the item, which go when it does. Otherwise
// sessions whose queues fill the memory together would all wait for it.
func (it *item) more() int {
	if it.Shared {
		return it.m.Size()
	}
	return 0
}

// mayWrite tells whether a message may go out now that takes size bytes more; whatever it waits for makes the connection
// call Pump.
func (s *Session) mayWrite(o *Owed, size int) bool {
	if o.QoS == 0 {
		return s.sink.Room(outMax, size)
	}
	if s.inflight >= s.window || !s.free(o.N) {
		return false
	}
	if o.QoS == 2 && o.Pos > 0 && s.env.Gate && o.Pos >= s.env.Log.Durable() {
		s.sink.AfterCommit()
		if o.Pos >= s.env.Log.Durable() { // else the commit was before we were listed
			return false
		}
	}
	return s.sink.Room(outHigh, size)
}

func (s *Session) write(r *Round, m *wire.Message, o *Owed) {
	d := Delivery{QoS: o.QoS, Retain: s.retains(o, m.Topic), SubIDs: o.SubIDs}
	if o.QoS > 0 {
		d.ID = packetID(o.N)
		d.Dup = s.began(o.N)
	}
	switch fits := s.sink.Publish(r, m, d); {
	case o.QoS == 0:
	case fits:
		s.inflight++
	default: // larger than the client takes: it must never see it (MQTT 5, 3.1.2.11.4)
		s.settled(r, o.N)
	}
}

// Pump sends what waits, as far as there is room.
func (s *Session) Pump(r *Round) {
	if s.sink == nil {
		return
	}
	now := s.env.Now().Unix()
	i, on := 0, true
	for on && i < len(s.queue) {
		if s.live.turns < liveTurns && s.sendLive(r, now) {
			s.live.turns++
			continue
		}
		if on = s.send(r, &s.queue[i], now); on {
			s.live.turns = 0
			i++
		}
	}
	s.popQueue(i)
	for s.sendLive(r, now) {
	}
	if on && s.back.behind {
		s.feed()
	}
}

// send sends what waits, or finds that it need not be sent. It is false when that has to wait.
func (s *Session) send(r *Round, it *item, now int64) bool {
	switch {
	case it.N > 0 && s.passed(it.N):
	case it.m.Expires > 0 && it.m.Expires <= now && !s.finish(it), !s.env.MayRead(s, it.m.Topic):
		if it.N > 0 {
			s.began(it.N)
			s.settled(r, it.N)
		}
	case !s.mayWrite(&it.Owed, it.more()):
		return false
	default:
		s.write(r, it.m, &it.Owed)
	}
	return true
}

// began notes that n goes out, and tells whether it may have gone out before.
func (s *Session) began(n uint64) (again bool) {
	if live, again := s.beganLive(n); live {
		return again
	}
	again = n < s.everSent
	s.sent = max(s.sent, n+1)
	return again
}

// finish tells whether the client has begun with a QoS 2 message: then it gets it again however old it is, for to it the
// packet identifier is that message until PUBREL [MQTT-4.3.3-7].
func (s *Session) finish(it *item) bool { return it.QoS == 2 && it.N < s.everSent }

// popQueue takes the first n items off the queue.
func (s *Session) popQueue(n int) {
	for i := range n {
		s.charge(-s.queue[i].size)
	}
	clear(s.queue[:n])
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	if s.back.behind && s.qbytes < feedBelow {
		s.feed()
	}
}

// enqueueBehind takes a message while older ones are still to be read from the journal.
func (s *Session) enqueueBehind(c *Copy, o Owed) {
	if o.N < s.back.until {
		return
	}
	it := item{Owed: o, size: itemBytes + c.Message.Size()}
	if s.full(it.size, queueOwed) {
		s.dropAfter()
		return
	}
	it.m = c.Own()
	s.back.after = append(s.back.after, it)
	s.charge(it.size)
}

// dropAfter forgets what came after the backlog: it is read from the journal as well.
func (s *Session) dropAfter() {
	for i := range s.back.after {
		s.charge(-s.back.after[i].size)
	}
	s.back.after, s.back.until = nil, everything
}

// joinAfter ends the backlog: what came after it follows in the queue.
func (s *Session) joinAfter() {
	s.queue = slices.Concat(s.queue, s.back.after)
	s.joinLive()
	s.back = backlog{}
}
