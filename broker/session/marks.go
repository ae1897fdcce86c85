// SPDX-License-Identifier: Apache-2.0

package session

import "edged/broker/journal"

// mark says where the record of number n lies, how many bytes were owed before it, and when it was written. The marks
// are a coarse index of what is owed, so that memory does not grow with it.
type mark struct {
	n     uint64
	pos   journal.Pos
	bytes uint64
	at    int64 // Unix milliseconds
}

const (
	markEvery = 64 << 10 // bytes of journal between two marks, at first
	markAges  = 32       // marks in the age that a queue may have, at least
	maxMarks  = 128      // past it every second mark goes, and they get twice as far apart
)

// note tells that the record of n, a message to a topic, lies at pos.
func (s *Session) note(n uint64, pos journal.Pos, topic string, size int, at int64) {
	s.consider(topic, carried{n: n, pos: pos, size: size})
	s.lastAt = at
	s.last = pos
	s.written = n + 1
	s.known = max(s.known, n+1)
	if k := len(s.marks); k == 0 || pos-s.marks[k-1].pos >= s.spacing || s.Queue.Age > 0 && at-s.marks[k-1].at >= s.Queue.Age.Milliseconds()/markAges {
		s.marks = append(s.marks, mark{n, pos, s.bytes, at})
		if k >= maxMarks {
			s.thin()
		}
	}
	s.bytes += uint64(size)
}

func (s *Session) thin() {
	kept := s.marks[:0]
	for i := 0; i < len(s.marks); i += 2 {
		kept = append(kept, s.marks[i])
	}
	s.marks = kept
	s.spacing *= 2
}

// dropMarks forgets the marks of what is settled.
func (s *Session) dropMarks() {
	defer s.roomAgain()
	s.dropCarried()
	if s.tail >= s.head {
		s.marks, s.spacing, s.live.retained = nil, markEvery, nil
		return
	}
	i := 0
	for i+1 < len(s.marks) && s.marks[i+1].n <= s.tail {
		i++
	}
	s.marks = s.marks[i:]
}

// start is where the journal is to be read to find all that is owed.
func (s *Session) start() journal.Pos {
	if len(s.marks) == 0 {
		return 0
	}
	return s.marks[0].pos
}

// before returns how many bytes were owed before number n, and when that was, between the first marks.
func (s *Session) before(n uint64) (bytes uint64, at int64) {
	first := s.marks[0]
	next := mark{n: s.head, bytes: s.bytes, at: first.at}
	if len(s.marks) > 1 {
		next = s.marks[1]
	}
	if n <= first.n || next.n <= first.n {
		return first.bytes, first.at
	}
	part := min(float64(n-first.n)/float64(next.n-first.n), 1)
	return first.bytes + uint64(part*float64(next.bytes-first.bytes)), first.at + int64(part*float64(next.at-first.at))
}

// estimate returns how many bytes are owed and since when.
func (s *Session) estimate() (bytes uint64, at int64) {
	before, at := s.before(s.tail)
	for _, c := range s.carried {
		bytes += uint64(c.size)
	}
	return bytes + s.bytes - min(before, s.bytes), at
}

// Oldest is the generation of the oldest segment that the session needs for what it is owed.
func (s *Session) Oldest() (gen uint64, needs bool) {
	if s.tail >= s.head || len(s.marks) == 0 {
		return 0, false
	}
	gen = s.marks[0].pos.Gen()
	for _, c := range s.carried {
		gen = min(gen, c.pos.Gen())
	}
	return gen, true
}

// Recorded is the generation of the segment with the session's latest record.
func (s *Session) Recorded() uint64 { return s.record.Gen() }

// GiveUpSegment gives up what is owed from the segments up to gen, and no less than that, but what stays of a full queue:
// of this no more than room bytes.
func (s *Session) GiveUpSegment(reason string, gen uint64, room int64) {
	s.giveUpFor(reason, s.firstBeyond(gen))
	s.trimKept(reason, min(room, s.keptRoom()))
}
