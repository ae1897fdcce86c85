// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"slices"
)

// A queue that is full does not give up all of its oldest messages: those of reserved topics stay, and with Conflate the
// newest of each topic. What stays is carried: it keeps its number and goes out before the rest.

// keeper knows where the messages lie that stay if their stretch of the queue is given up.
type keeper struct {
	reserved []carried          // in the order of their numbers
	newest   map[string]carried // by topic, with Conflate
}

const (
	maxConflated = 1000    // topics of which the newest message is kept; others lose their oldest as without Conflate
	maxKeptTopic = 1 << 10 // bytes of such a topic
)

// consider takes a message that the session is owed into account.
func (s *Session) consider(topic string, c carried) {
	if c.topic = topic; s.reserved(topic) {
		c.topic = ""
		k := &s.keeper.reserved
		i, there := slices.BinarySearchFunc(*k, c.n, func(c carried, n uint64) int { return cmp.Compare(c.n, n) })
		if there {
			(*k)[i] = c
			return
		}
		if *k = slices.Insert(*k, i, c); len(*k) > maxCarried {
			*k = (*k)[1:]
		}
		return
	}
	if !s.conflates(topic) {
		return
	}
	if s.keeper.newest == nil {
		s.keeper.newest = map[string]carried{}
	}
	if old, known := s.keeper.newest[topic]; known && old.n <= c.n || !known && len(s.keeper.newest) < maxConflated {
		s.keeper.newest[topic] = c
	}
}

// keepBelow makes what stays of the numbers below to carried.
func (s *Session) keepBelow(to uint64) {
	k := &s.keeper
	i := 0
	for ; i < len(k.reserved) && k.reserved[i].n < to; i++ {
		s.stay(k.reserved[i])
	}
	if k.reserved = k.reserved[i:]; len(k.reserved) == 0 {
		k.reserved = nil
	}
	for _, c := range k.newest {
		if c.n < to {
			s.stay(c)
		}
	}
}

// stay makes a message carried that is not to be given up.
func (s *Session) stay(c carried) {
	if s.passed(c.n) {
		return
	}
	c.stays = true
	i, there := s.findCarried(c.n)
	if there {
		s.carried[i].stays, s.carried[i].topic = true, c.topic
		return
	}
	s.carried = slices.Insert(s.carried, i, c)
}

// findCarried finds a number among the messages that lie elsewhere than in their order.
func (s *Session) findCarried(n uint64) (i int, there bool) {
	return slices.BinarySearchFunc(s.carried, n, func(c carried, n uint64) int { return cmp.Compare(c.n, n) })
}

// stays tells whether a message is not to be given up with its neighbours.
func (s *Session) stays(n uint64) bool {
	i, there := s.findCarried(n)
	return there && s.carried[i].stays
}

// superseded tells whether a kept message is not the newest of its topic any more.
func (s *Session) superseded(c *carried) bool {
	return c.topic != "" && s.keeper.newest[c.topic].n > c.n
}

// trimKept gives up what stays of topics that have newer messages, then the oldest, until no more than room bytes stay.
func (s *Session) trimKept(reason string, room int64) {
	var kept int64
	count := 0
	for i := range s.carried {
		if s.carried[i].stays {
			kept += int64(s.carried[i].size)
			count++
		}
	}
	for _, all := range []bool{false, true} {
		for _, c := range slices.Clone(s.carried) {
			if c.stays && (all && (kept > room || count > maxCarried) || !all && s.superseded(&c)) {
				kept -= int64(c.size)
				count--
				s.giveUpOne(reason, c)
			}
		}
	}
}

// giveUpOne gives up a message that had stayed.
func (s *Session) giveUpOne(reason string, c carried) {
	i, there := s.findCarried(c.n)
	if !there || s.isAcked(c.n) {
		return
	}
	s.carried = slices.Delete(s.carried, i, i+1)
	s.given = append(s.given, given{from: c.n, to: c.n + 1, carried: []carried{c}, end: c.pos, reason: reason})
	before := s.dropped
	s.drop(c.n)
	s.lost(before)
}

// keptRoom is how many bytes may stay of a full queue.
func (s *Session) keptRoom() int64 {
	if s.Queue.WhenFull == Conflate {
		return s.Queue.Size / 2
	}
	return s.Queue.Size / shareReserved
}

// front is the first number below which nothing can be given up but what has stayed.
func (s *Session) front() uint64 { return max(s.tail, s.keptTo) }

// skipTo makes the marks begin at a number.
func (s *Session) skipTo(n uint64) {
	if s.keptTo = max(s.keptTo, n); len(s.marks) == 0 {
		return
	}
	for len(s.marks) > 1 && s.marks[1].n <= n {
		s.marks = s.marks[1:]
	}
	m := &s.marks[0]
	m.bytes, m.at = s.before(n)
	m.n = max(m.n, n)
}
