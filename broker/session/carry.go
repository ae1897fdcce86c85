// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"

	"edged/broker/journal"
)

// carried is a message that was copied to the journal's end, so that its segment could go. Those of a session are the
// oldest that it is owed, in the order of their numbers, and they are read before the rest.
type carried struct {
	n     uint64
	pos   journal.Pos
	size  int
	stays bool   // a full queue does not give it up with its neighbours
	topic string // of which it is the newest message; "": that is not why it stays
}

// maxCarried bounds how many messages of one session lie elsewhere than in their order.
const maxCarried = 1000

// Load is what a session needs from the oldest segment.
type Load struct {
	s     *Session
	gen   uint64
	items []item
	bytes int
}

// Bytes is how much would be copied.
func (l *Load) Bytes() int { return l.bytes }

// Carriable tells whether what the session needs from the segments up to gen can be copied to the end of the journal:
// it is little, and nobody is about to read it there.
func (s *Session) Carriable(gen uint64) bool {
	to := s.firstBeyond(gen)
	return s.openBelow(to) <= maxCarried && (!s.back.behind || s.back.next >= to && !s.live.reading)
}

// openBelow is how many numbers below to are not settled.
func (s *Session) openBelow(to uint64) uint64 {
	if to <= s.tail {
		return 0
	}
	return to - s.tail - s.acked.below(to).count()
}

// firstBeyond is a number below which all lie that the segments up to gen hold.
func (s *Session) firstBeyond(gen uint64) uint64 {
	for _, m := range s.marks {
		if m.pos.Gen() > gen {
			return m.n
		}
	}
	return s.head
}

// Load reads what the session needs from the segment of a generation, at most limit bytes of it. It reads from the disk:
// the session must not be locked.
func (s *Session) Load(gen uint64, limit int) (l *Load, fits bool) {
	l = &Load{s: s, gen: gen}
	end := journal.Pos((gen + 1) * journal.SegmentSize)
	r := s.env.Log.Read(end - journal.SegmentSize)
	defer r.Close()
	for {
		rec, ok := r.Next()
		if !ok || rec.Pos >= end {
			return l, r.Err() == nil
		}
		if rec.Kind != KindMessage {
			continue
		}
		m, o, ok := decodeOwed(rec.Body, s.num)
		if !ok || s.settledAlready(o.N) {
			continue
		}
		l.items = append(l.items, item{Owed: o, m: m.Keep()})
		if l.bytes += m.Size(); l.bytes > limit || len(l.items) > maxCarried {
			return l, false
		}
	}
}

func (s *Session) settledAlready(n uint64) bool {
	s.Lock()
	defer s.Unlock()
	return s.isAcked(n)
}

// Carry copies what was loaded to the journal's end, behind the session's record. It is false when the session is on its
// way through the segment, so that it has to stay.
func (l *Load) Carry() bool {
	s := l.s
	s.Lock()
	defer s.Unlock()
	if s.ended || !s.Carriable(l.gen) {
		return s.ended
	}
	l.carry()
	return true
}

// CarryStaying is Carry for what stays of a segment that was given up. Who is on the way through it begins again.
func (l *Load) CarryStaying() {
	s := l.s
	s.Lock()
	defer s.Unlock()
	if s.ended {
		return
	}
	if l.carry(); s.back.behind {
		if f := s.back.feeder; f != nil {
			s.back.feeder = nil
			close(f.stop)
		}
		if s.back.from = s.start(); s.sink != nil && s.qbytes < feedBelow {
			s.feed()
		}
	}
}

// carry does so. The session is locked.
func (l *Load) carry() {
	s := l.s
	slices.SortStableFunc(l.items, func(a, b item) int { return int(int64(a.N - b.N)) })
	s.Record(2)
	now := s.env.clock()
	for i := range l.items {
		it := &l.items[i]
		if s.isAcked(it.N) {
			continue
		}
		m := *it.m
		m.Retain = false // what is retained is written again by itself
		r := Record{Message: m, Time: now, Owed: []Share{{Num: s.num, Owed: it.Owed}}}
		s.carry(it.N, s.env.Log.Append(KindMessage, AppendRecord(nil, &r)), m.Size())
	}
	s.skipMarks(l.gen)
}

// carry notes that the record of n lies at pos, out of its order.
func (s *Session) carry(n uint64, pos journal.Pos, size int) {
	if s.isLive(n) {
		s.noteLive(n, pos)
	}
	i, there := s.findCarried(n)
	if there {
		s.carried[i].pos = pos
		return
	}
	s.carried = slices.Insert(s.carried, i, carried{n: n, pos: pos, size: size})
}

// skipMarks makes the marks begin behind a segment that goes, and behind what is carried.
func (s *Session) skipMarks(gen uint64) {
	next := s.front()
	if k := len(s.carried); k > 0 {
		next = max(next, s.carried[k-1].n+1)
	}
	for len(s.marks) > 1 && s.marks[1].pos.Gen() <= gen {
		s.marks = s.marks[1:]
	}
	if len(s.marks) == 0 {
		return
	}
	m := &s.marks[0]
	m.bytes, m.at = s.before(next)
	m.n = max(m.n, next)
	m.pos = max(m.pos, journal.Pos((gen+1)*journal.SegmentSize))
}

// dropCarried forgets what is settled.
func (s *Session) dropCarried() {
	i := 0
	for i < len(s.carried) && s.carried[i].n < s.tail {
		i++
	}
	if s.carried = s.carried[i:]; len(s.carried) == 0 {
		s.carried = nil
	}
}

// readCarried reads what was carried; the feeder does so before anything else.
func (f *feeder) readCarried() {
	for len(f.carried) > 0 && f.size < batchBytes {
		c := f.carried[0]
		f.carried = f.carried[1:]
		f.readAt(c.pos)
	}
}

// readAt reads the message whose record lies at pos.
func (f *feeder) readAt(pos journal.Pos) {
	r := f.s.env.Log.Read(pos)
	defer r.Close()
	rec, ok := r.Next()
	if !ok || rec.Pos != pos || rec.Kind != KindMessage {
		return
	}
	if m, o, ok := decodeOwed(rec.Body, f.s.num); ok {
		f.add(m, o, rec.Pos)
	}
}
