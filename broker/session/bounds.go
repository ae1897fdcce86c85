// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"
	"time"

	"edged/mqtt/wire"
)

// What becomes of a message that comes while its session's queue is full.
const (
	DropOldest = "drop-oldest" // the oldest are given up
	Reject     = "reject"      // its publisher is refused, or waits
	Conflate   = "conflate"    // the oldest are given up, but the newest of each topic
)

// Queue is how much a session may be owed, and what becomes of what is beyond.
type Queue struct {
	Size     int64         // bytes; 0: without bound
	Age      time.Duration // 0: without bound
	WhenFull string        // one of these; "": DropOldest, but not for want of space on the disk
	Reserved []string      // filters of topics for which a share of the queue is kept

	Conflate  []string // with conflate: filters of the topics of which the newest message stays; none: of all
	LiveFirst bool     // what comes while there is a backlog does not wait behind it
}

// shareReserved is how much of a queue is kept for reserved topics, as a divisor: beyond Size where others are refused.
const shareReserved = 8

// reserved tells whether a share of the queue is kept for a topic.
func (s *Session) reserved(topic string) bool {
	for _, f := range s.Queue.Reserved {
		if wire.Matches(f, topic) {
			return true
		}
	}
	return false
}

// conflates tells whether the newest message of a topic stays.
func (s *Session) conflates(topic string) bool {
	if s.Queue.WhenFull != Conflate || len(topic) > maxKeptTopic {
		return false
	}
	return len(s.Queue.Conflate) == 0 || slices.ContainsFunc(s.Queue.Conflate, func(f string) bool { return wire.Matches(f, topic) })
}

// SetQueue changes the session's bounds.
func (s *Session) SetQueue(q Queue) {
	if s.Queue = q; q.WhenFull != Conflate && q.WhenFull != Reject { // who is restored rejects until its bounds are known
		s.keeper.newest = nil
	}
	if q.WhenFull == Reject {
		s.env.Rejecting.Store(true)
	}
	s.roomAgain()
}

// Full tells whether the session takes no more of a topic, so that its publisher has to be refused.
func (s *Session) Full(topic string) bool {
	if s.Queue.WhenFull != Reject || s.ended || len(s.marks) == 0 {
		return false
	}
	owed, at := s.estimate()
	size := uint64(s.Queue.Size)
	switch {
	case s.Queue.Age > 0 && s.env.clock()-at > s.Queue.Age.Milliseconds():
		return !s.reserved(topic)
	case !s.walled && (size == 0 || owed < size):
		return false
	case !s.walled && owed < size+size/shareReserved:
		return !s.reserved(topic)
	}
	return true
}

// Wall tells that the log can take no more because of what the session is owed, which is not given up; or that it can again.
func (s *Session) Wall(walled bool) {
	s.walled = walled
	s.roomAgain()
}

// AwaitRoom returns a channel that is closed once the session may have room.
func (s *Session) AwaitRoom() <-chan struct{} {
	if s.room == nil {
		s.room = make(chan struct{})
	}
	return s.room
}

// roomAgain lets the publishers look again that wait for room, if there is some.
func (s *Session) roomAgain() {
	if s.room != nil && !s.Full("") {
		close(s.room)
		s.room = nil
	}
}

// Refused notes that a message was refused because the session is full.
func (s *Session) Refused(topic string, payload []byte, size int) {
	s.refused++
	s.refusal.add(topic, payload, size)
}

// Reasons of gaps, besides the name of what was full.
const (
	reasonQueue  = "queue"
	reasonAge    = "age"
	reasonUntold = "untold"
)

// bound gives up the oldest while more is owed than may be.
func (s *Session) bound() {
	for s.Queue.Size > 0 && s.Queue.WhenFull != Reject && len(s.marks) > 0 {
		if owed, _ := s.estimate(); owed <= uint64(s.Queue.Size) {
			return
		}
		from := s.front()
		to := from + max((s.head-from)/16, 1)
		if len(s.marks) > 1 {
			to = s.marks[1].n
		}
		s.giveUpFor(reasonQueue, max(to, from+1))
		if s.trimKept(reasonQueue, s.keptRoom()); s.front() == from {
			return // nothing of it is written
		}
		s.env.QueueFull()
	}
}

// ExpireOld gives up what is older than it may be, or lets publishers feel it.
func (s *Session) ExpireOld() {
	if s.Queue.Age == 0 || len(s.marks) == 0 {
		return
	}
	if s.Queue.WhenFull == Reject {
		s.roomAgain()
		return
	}
	oldest := s.env.clock() - s.Queue.Age.Milliseconds()
	to := uint64(0)
	for _, m := range s.marks[1:] {
		if m.at < oldest { // all before it were published before
			to = m.n
		}
	}
	if s.lastAt < oldest {
		to = s.head
	}
	if to <= s.tail {
		return
	}
	for _, c := range slices.Clone(s.carried) { // what had stayed is older still
		if c.stays && c.n < to {
			s.giveUpOne(reasonAge, c)
		}
	}
	s.giveUpFor(reasonAge, to)
}
