// SPDX-License-Identifier: Apache-2.0

// Package session is one client's standing with the broker: what it is owed, in which order, and what of that is under
// way.
//
// Every QoS 1 or 2 message that a session is owed has a number n, counted from 1, and its packet identifier follows from
// n: (n-1) mod 65535 + 1. A persistent session is a cursor in the journal: n stands in the message's record, what is
// below the session's tail is settled, and a backlog is kept nowhere else. So a repeat after a crash bears the same
// identifier, although no record is written per send. A session of the connection only has a queue in memory.
//
// A session is locked by its caller, see [Session.Lock]. Whoever locks several takes them in the order of
// [Session.Order]. While a session is locked its records are appended to the journal, but nothing is read from the disk:
// a backlog is read by a goroutine of its own, which exists only while a connected session has one.
package session

import (
	"sync"
	"sync/atomic"
	"time"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// Sink is the connection of a session. Its methods are called with the session locked and do not block.
type Sink interface {
	// Publish adds a message to the output, and the connection to the round. It is false where the client does not take
	// packets that large.
	Publish(r *Round, m *wire.Message, d Delivery) bool
	// Room tells whether less than limit bytes of output wait and size more bytes of memory may be taken for a message, 0
	// for one that the session has in its queue. If not, the connection calls Pump once there is room.
	Room(limit, size int) bool
	// AfterCommit makes the connection call Pump after the journal's next commit.
	AfterCommit()
}

// Delivery is how one client gets a message.
type Delivery struct {
	QoS         byte
	ID          uint16 // packet identifier, 0 at QoS 0
	Dup, Retain bool
	SubIDs      []uint32
}

// Env is what all sessions of a broker share.
type Env struct {
	Log *journal.Journal
	// Gate holds QoS 2 messages back until they are durable: their receiver may finish with one only if the journal
	// cannot forget it.
	Gate bool
	Now  func() time.Time
	// Clock counts milliseconds, also while the machine's clock is set and while the program is started again. It is what
	// messages are stamped with. nil: Now.
	Clock func() int64
	// MayRead says whether the session's user may get what is published to a topic.
	MayRead func(s *Session, topic string) bool
	// Commit returns a channel that is closed after the next commit.
	Commit func() <-chan struct{}
	// Go runs f in a goroutine that is waited for when the broker stops.
	Go func(f func())
	// Feeding holds a place for each session that is read for at a time. May be nil: any number.
	Feeding chan struct{}
	// Dropped is told of each message that a session gives up or loses.
	Dropped func(messages uint64)
	// QueueFull is told each time that a session gives up its oldest because it is owed too much.
	QueueFull func()
	// Presumed is what a session's queue is taken for while it is restored, so that what it may have to keep is known.
	Presumed Queue
	// Rejecting is set once some session's queue rejects.
	Rejecting atomic.Bool
	Classed   Classed
	Memory    Budget // of what waits: queues, and what the connections hold
	State     Budget // of the sessions themselves
	Lot       *Lot   // where messages wait for acknowledgements before they are written; nil: each is written at once
}

func (e *Env) clock() int64 {
	if e.Clock == nil {
		return e.Now().UnixMilli()
	}
	return e.Clock()
}

// Subscription is what a client subscribed to; Filter is as the client wrote it, with $share/GROUP/.
type Subscription struct {
	wire.Subscription
	ID uint32 // subscription identifier, 0: none
}

// Will is what is published when the client dies.
type Will struct {
	Message wire.Message
	Life    int64  // message expiry in seconds from publication, 0: none
	Delay   uint32 // seconds
	Due     int64  // Unix milliseconds; 0: its time does not run
}

// Session is one client's standing. What is not said to be fixed is guarded by its lock.
type Session struct {
	ID    string // client identifier; fixed
	User  string // whose session it is; fixed
	Order uint64 // in which sessions are locked; fixed, and another for each session
	num   uint32 // names it in the journal, 0: not persistent; fixed
	env   *Env

	mu sync.Mutex

	Version byte   // of the protocol that its client speaks
	Expiry  uint32 // seconds that it outlives its connection
	Left    int64  // Unix milliseconds of the end of its last connection
	Will    *Will
	Queue   Queue // set by SetQueue

	subs       map[string]Subscription
	subsBytes  int
	sink       Sink
	ended      bool
	unrecorded bool        // its newest record does not say all
	record     journal.Pos // its latest full record
	said       journal.Pos // the latest that its client acknowledged

	tail, sent, head uint64 // settled below tail, sent on this connection below sent, next number
	everSent         uint64 // sent on some connection below this
	inflight, window int
	known            uint64              // the journal knows of all numbers below, or soon does
	written          uint64              // number after the latest that has a record
	acked            ranges              // settled out of order, ≥ tail
	given            []given             // given up, to be told of
	parked           []parkedShare       // not written, in the order of their numbers
	released         map[uint64]struct{} // QoS 2: PUBREC came, PUBREL is due or under way
	inbound          map[uint16]struct{} // QoS 2 identifiers that the client has not released

	queue  []item // not sent yet, in front of what is only in the journal
	qbytes int
	back   backlog
	live   live

	marks   []mark
	carried []carried
	spacing journal.Pos
	bytes   uint64      // owed so far, cumulative
	last    journal.Pos // of the record of the latest number
	dropped uint64
	weight  int   // as the budget knows
	runs    []run // of numbers whose class is not the first

	refused   uint64
	refusal   Gap    // what of it was not told
	lostTrack Gap    // given up before a crash, and to be told of once
	told      uint64 // of dropped, what somebody has been told of for good
	lastAt    int64  // when the latest message was published, as marks tell it
	keeper    keeper
	keptTo    uint64        // below it nothing is owed but what is carried
	walled    bool          // the log takes no more because of it
	room      chan struct{} // closed when there is some; nil: nobody waits
}

// New returns a session without a connection. num names a persistent session in the journal and is never used again;
// 0 is a session of its connection only.
func New(env *Env, id, user string, order uint64, num uint32) *Session {
	s := &Session{
		ID: id, User: user, Order: order, num: num, env: env, tail: 1, sent: 1, head: 1, everSent: 1, known: 1, written: 1,
		subs: map[string]Subscription{}, spacing: markEvery,
	}
	return s
}

// Lock locks the session. All other methods, unless they say so, need it locked.
func (s *Session) Lock() { s.mu.Lock() }

// Unlock unlocks the session.
func (s *Session) Unlock() { s.mu.Unlock() }

// Persistent tells whether the session outlives its connection. It needs no lock.
func (s *Session) Persistent() bool { return s.num != 0 }

// Num names a persistent session in the journal. It needs no lock.
func (s *Session) Num() uint32 { return s.num }

// Sink is the session's connection, nil without one.
func (s *Session) Sink() Sink { return s.sink }

// Ended tells whether the session is over: nothing is owed to it any more.
func (s *Session) Ended() bool { return s.ended }

// Said is the place of the latest record of what the client acknowledged.
func (s *Session) Said() journal.Pos { return s.said }

// Attach makes sink the session's connection. Everything that is not settled is sent again: the caller sends CONNACK,
// then PUBREL for what [Session.Released] returns, then calls [Session.Pump]. window is how many messages of QoS 1 and 2
// may be under way.
func (s *Session) Attach(sink Sink, window int) {
	s.sink, s.window = sink, window
	s.rewind()
	s.inflight = len(s.released)
	if s.back.behind = s.Persistent() && s.tail < s.head; s.back.behind {
		s.back.next, s.back.until, s.back.from = s.tail, everything, s.start()
	}
}

// Detach parts the session from its connection.
func (s *Session) Detach() {
	s.sink = nil
	s.Left = s.env.Now().UnixMilli()
	s.WriteParked()
	s.rewind()
}

// rewind forgets what was sent on a connection.
func (s *Session) rewind() {
	s.stopFeeding()
	s.clearQueue()
	s.rewindLive()
	s.back = backlog{}
	s.everSent = max(s.everSent, s.sent)
	s.sent, s.inflight = s.tail, 0
}

// End ends the session for good: nothing is owed to it any more.
func (s *Session) End() {
	s.sink, s.ended = nil, true
	s.rewind()
	if s.num != 0 {
		s.env.Log.Append(KindEnd, appendNum(nil, s.num))
	}
	s.forgetParked()
	s.tail, s.marks, s.carried, s.live.owed = s.head, nil, nil, nil
	s.roomAgain()
	s.Weigh()
}

// Subscriptions returns the session's subscriptions by their filters. The map is the session's own.
func (s *Session) Subscriptions() map[string]Subscription { return s.subs }

// maxFilters bounds the bytes of a session's filters, so that its record, which is written anew at every change, stays small.
const maxFilters = 128 << 10

// Subscribe adds a subscription or replaces one. It is false where there is no room for it.
func (s *Session) Subscribe(sub Subscription, limit int) bool {
	_, had := s.subs[sub.Filter]
	if !had {
		if len(s.subs) >= limit || s.subsBytes+len(sub.Filter) > maxFilters {
			return false
		}
		s.subsBytes += len(sub.Filter)
	}
	s.subs[sub.Filter] = sub
	return true
}

// Unsubscribe removes a subscription, if there is one.
func (s *Session) Unsubscribe(filter string) (had bool) {
	if _, had = s.subs[filter]; had {
		s.subsBytes -= len(filter)
		delete(s.subs, filter)
	}
	return had
}

// Status is what a session is owed.
type Status struct {
	Connected bool
	Messages  uint64           // owed and not settled
	Bytes     int64            // of these, roughly
	Oldest    time.Time        // when the oldest of these was published, roughly; zero without any
	Dropped   uint64           // given up or lost so far
	Classes   [Classes]Backlog // the same by class, where the session is classed
	Refused   uint64           // not taken because the queue was full, so that their publishers know
}

// Status tells what the session is owed.
func (s *Session) Status() Status {
	st := Status{Connected: s.sink != nil, Messages: s.head - s.tail - s.acked.count(), Dropped: s.dropped, Refused: s.refused}
	if st.Messages > 0 && len(s.marks) > 0 {
		bytes, at := s.estimate()
		st.Bytes, st.Oldest = int64(bytes), s.env.Now().Add(-time.Duration(s.env.clock()-at)*time.Millisecond)
	}
	st.Classes = s.byClass(Backlog{st.Messages, st.Bytes})
	return st
}
