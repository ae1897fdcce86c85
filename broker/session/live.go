// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"maps"
	"slices"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// A session may put live messages first: what comes while there is a backlog then goes out beside it instead of behind it.
// Both have numbers of one count and records in one journal, and an identifier follows from a number as ever. Whether a
// message is live is settled once, when it comes, and stands in its record: it is if there is room in a small queue in
// memory. So each of the two keeps its order, also over connections and crashes, after which the live messages that are not
// settled are read again before anything else; and nothing live is old, for a session that takes nothing fills that queue
// once, and what comes then is of the backlog.

const (
	liveMost    = 32 << 10 // bytes of the queue of live messages
	liveTurns   = 3        // of four messages that could go are live; the fourth is of the backlog
	liveBehind  = 16 << 10 // bytes of a queue above which it is a backlog, where live messages go first
	liveTopics  = 1000     // of which a live message is retained; those of others are of the backlog
	mostScatter = 500      // stretches of what is acknowledged out of order: beyond, nothing is live for a while
)

// live is what goes first.
type live struct {
	owed    []liveMessage // all that is not settled, in the order of their numbers
	queue   []item        // of these, what waits for room on the connection
	turns   int           // so many went since one of the backlog
	reading bool          // of an earlier connection, some are to be read from the journal yet
	joined  uint64        // the last that waits with the backlog, which had ended

	retained map[string]uint64 // the newest that is retained, by topic
}

// liveMessage says where the record of a live message lies and how far it is.
type liveMessage struct {
	n      uint64
	pos    journal.Pos
	queued bool // it waits for room
	out    bool // it is under way on this connection
	ever   bool // it may have been sent
}

// GoesLive tells whether a message that the session is owed next goes before the backlog.
func (s *Session) GoesLive(o *Owed, m *wire.Message) bool {
	if !s.Queue.LiveFirst || s.sink == nil || s.ended || !s.back.behind || s.live.reading || o.QoS != 1 {
		return false // QoS 2: what its identifier stands for must last until PUBCOMP, however long that takes
	}
	if len(s.queue) > 0 && s.queue[0].N <= s.live.joined || len(s.acked) >= mostScatter {
		return false
	}
	if o.Retain && !s.mayRetain(m.Topic) {
		return false
	}
	more := itemBytes + m.Size()
	for i := range s.live.queue {
		more += s.live.queue[i].size
	}
	return more <= liveMost && s.env.Memory.FitsPart(itemBytes+m.Size(), Full)
}

// queueLive queues a message to go first.
func (s *Session) queueLive(r *Round, c *Copy, o Owed) {
	s.noteLive(o.N, o.Pos)
	s.retainLive(&o, c.Message.Topic)
	it := item{Owed: o, m: c.Own(), size: itemBytes + c.Message.Size()}
	s.pushLive(it)
	if s.inflight < s.window {
		s.Pump(r)
	}
}

// noteLive notes that the record of n, which is live, lies at pos.
func (s *Session) noteLive(n uint64, pos journal.Pos) {
	i, there := s.findLive(n)
	if there {
		s.live.owed[i].pos = pos
		return
	}
	s.live.owed = slices.Insert(s.live.owed, i, liveMessage{n: n, pos: pos})
}

func (s *Session) findLive(n uint64) (i int, there bool) {
	return slices.BinarySearchFunc(s.live.owed, n, func(m liveMessage, n uint64) int { return cmp.Compare(m.n, n) })
}

// isLive tells whether n is live and not settled.
func (s *Session) isLive(n uint64) bool {
	_, there := s.findLive(n)
	return there
}

// pushLive queues what is noted.
func (s *Session) pushLive(it item) {
	if i, there := s.findLive(it.N); there && !s.live.owed[i].queued && !s.live.owed[i].out {
		s.live.owed[i].queued = true
		s.live.queue = append(s.live.queue, it)
		s.charge(it.size)
	}
}

// sendLive sends the next live message, or finds that it need not be. It is false when there is none, or it has to wait.
func (s *Session) sendLive(r *Round, now int64) bool {
	if len(s.live.queue) == 0 || !s.send(r, &s.live.queue[0], now) {
		return false
	}
	s.charge(-s.live.queue[0].size)
	s.live.queue[0] = item{}
	if s.live.queue = s.live.queue[1:]; len(s.live.queue) == 0 {
		s.live.queue = nil
	}
	return true
}

// beganLive notes that n goes out, and tells whether it is live, and may have gone out before.
func (s *Session) beganLive(n uint64) (live, again bool) {
	i, there := s.findLive(n)
	if !there {
		return false, false
	}
	m := &s.live.owed[i]
	again = m.ever
	m.queued, m.out, m.ever = false, true, true
	return true, again
}

// liveOut finds the live message under way that has an identifier, 0 if there is none.
func (s *Session) liveOut(id uint16) uint64 {
	for i := range s.live.owed {
		if m := &s.live.owed[i]; m.out && packetID(m.n) == id {
			return m.n
		}
	}
	return 0
}

// free tells whether no other message under way has the identifier of n, 0: of the next number. Live numbers may be so far
// above those of the backlog that identifiers come round.
func (s *Session) free(n uint64) bool {
	if len(s.live.owed) == 0 {
		return s.near(n)
	}
	id := packetID(n)
	if k := s.liveOut(id); k != 0 && k != n {
		return false
	}
	if !s.isLive(n) {
		return s.near(n)
	}
	k := s.inOrder(id)
	_, released := s.released[k]
	return k == n || !released && (k >= s.sent || s.isAcked(k))
}

// passLive forgets the live messages with numbers from from up to to, exclusive.
func (s *Session) passLive(from, to uint64) {
	if len(s.live.owed) == 0 {
		return
	}
	i, _ := s.findLive(from)
	k, _ := s.findLive(to)
	if s.live.owed = slices.Delete(s.live.owed, i, k); len(s.live.owed) == 0 {
		s.live.owed = nil
	}
}

// rewindLive forgets what was sent on a connection. What is live and not settled is to be read from the journal.
func (s *Session) rewindLive() {
	s.live.queue, s.live.turns, s.live.joined = nil, 0, 0
	s.live.reading = len(s.live.owed) > 0
	for i := range s.live.owed {
		s.live.owed[i].queued, s.live.owed[i].out = false, false
	}
}

// unread is where the live messages of an earlier connection lie.
func (s *Session) unread() (all []journal.Pos) {
	if s.live.reading {
		for i := range s.live.owed {
			if m := &s.live.owed[i]; !m.queued && !m.out {
				all = append(all, m.pos)
			}
		}
		s.live.reading = len(all) > 0
	}
	return all
}

// readLive reads the next of them.
func (f *feeder) readLive() {
	for len(f.live) > 0 && f.size < batchBytes {
		pos := f.live[0]
		f.live = f.live[1:]
		f.readAt(pos)
	}
}

// restoreLive notes that the record of n, which is live, was found at pos.
func (s *Session) restoreLive(n uint64, pos journal.Pos) {
	s.noteLive(n, pos)
	i, _ := s.findLive(n)
	s.live.owed[i].ever, s.live.reading = true, true
}

// takeLive takes the next of the live messages of an earlier connection, which the feeder has read; last: there are no more.
func (s *Session) takeLive(batch []item, last bool) {
	for i := range batch {
		s.pushLive(batch[i])
	}
	if !last {
		return
	}
	s.live.reading = false
	s.live.owed = slices.DeleteFunc(s.live.owed, func(m liveMessage) bool { return !m.queued && !m.out }) // unreadable: it is found missing in its place
}

// mayRetain tells whether there is room to remember that a live message of a topic was retained.
func (s *Session) mayRetain(topic string) bool {
	if _, known := s.live.retained[topic]; known || len(s.live.retained) < liveTopics {
		return true
	}
	maps.DeleteFunc(s.live.retained, func(_ string, n uint64) bool { return n < s.tail })
	return len(s.live.retained) < liveTopics
}

// retainLive remembers that a live message is retained. What is older of its topic and comes after it must not take its place.
func (s *Session) retainLive(o *Owed, topic string) {
	if !o.Retain {
		return
	}
	if s.live.retained == nil {
		s.live.retained = map[string]uint64{}
	}
	s.live.retained[topic] = max(s.live.retained[topic], o.N)
}

// retains tells whether a message goes out with RETAIN.
func (s *Session) retains(o *Owed, topic string) bool {
	return o.Retain && (len(s.live.retained) == 0 || o.N == 0 || o.N >= s.live.retained[topic])
}

// joinLive ends the backlog: what waits to go first follows in its order, and so does what had come after it.
func (s *Session) joinLive() {
	if len(s.live.queue) == 0 {
		return
	}
	s.live.joined = s.live.queue[len(s.live.queue)-1].N
	s.queue = append(s.queue, s.live.queue...)
	slices.SortFunc(s.queue, func(a, b item) int { return cmp.Compare(a.N, b.N) })
	s.live.queue = nil
}
