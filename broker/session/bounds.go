// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"edged/mqtt/wire"
)

// What becomes of a message that comes while its session's queue is full.
const (
	DropOldest = "drop-oldest" // the oldest are given up
	Reject     = "reject"      // its publisher is refused, or waits
)

// Queue is how much a session may be owed, and what becomes of what is beyond.
type Queue struct {
	Size     int64         // bytes; 0: without bound
	Age      time.Duration // 0: without bound
	WhenFull string        // DropOldest or Reject; "": DropOldest, but not for want of space on the disk
	Reserved []string      // filters of topics for which a share of the queue is kept
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

// SetQueue changes the session's bounds.
func (s *Session) SetQueue(q Queue) {
	s.Queue = q
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
	owed, _ := s.estimate()
	size := uint64(s.Queue.Size)
	switch {
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

// bound gives up the oldest while more is owed than may be.
func (s *Session) bound() {
	for s.Queue.Size > 0 && s.Queue.WhenFull != Reject && len(s.marks) > 0 {
		if owed, _ := s.estimate(); owed <= uint64(s.Queue.Size) {
			return
		}
		to := s.tail + max((s.head-s.tail)/16, 1)
		if len(s.marks) > 1 {
			to = s.marks[1].n
		}
		before := s.tail
		if s.giveUpFor("queue", max(to, s.tail+1)); s.tail == before {
			return // nothing of it is written
		}
		s.env.QueueFull()
	}
}
