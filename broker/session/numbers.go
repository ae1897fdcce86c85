// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"

	"edged/broker/journal"
)

// identifiers is how many packet identifiers there are.
const identifiers = 65535

// reach is how far the numbers under way may be apart, so that no identifier stands for two of them. What is acknowledged
// out of order stays little all the same: there is no more of it than stretches between those under way.
const reach = 60000

func packetID(n uint64) uint16 { return uint16((n-1)%identifiers) + 1 }

// Next gives a number to a message that the session is owed.
func (s *Session) Next() uint64 {
	s.head++
	return s.head - 1
}

// near tells whether a number, 0: the next, is not further from the tail than numbers under way may be.
func (s *Session) near(n uint64) bool {
	return s.head <= s.tail+reach || n != 0 && n < s.tail+reach
}

// number finds the n of a packet identifier under way, 0 if there is none.
func (s *Session) number(id uint16) uint64 {
	if n := s.liveOut(id); n > 0 {
		return n
	}
	n := s.inOrder(id)
	if _, ok := s.released[n]; ok {
		return n
	}
	if n >= max(s.sent, s.everSent) || s.isAcked(n) || s.isLive(n) {
		return 0
	}
	return n // sent on this connection, or on one before: that the client has it may still be said
}

// inOrder is the number of an identifier that lies next above the tail.
func (s *Session) inOrder(id uint16) uint64 {
	return s.tail + (uint64(id)+identifiers-uint64(packetID(s.tail)))%identifiers
}

// counted tells whether n is among those that are under way on this connection.
func (s *Session) counted(n uint64) bool {
	if _, released := s.released[n]; released {
		return true
	}
	if i, live := s.findLive(n); live {
		return s.live.owed[i].out
	}
	return n < s.sent
}

func (s *Session) isAcked(n uint64) bool {
	return n < s.tail || s.acked.has(n)
}

// passed tells whether n needs no PUBLISH: it is settled, or the client has it and PUBREL is under way.
func (s *Session) passed(n uint64) bool {
	_, ok := s.released[n]
	return ok || s.isAcked(n)
}

// settle marks n as done.
func (s *Session) settle(n uint64) {
	if n < s.tail {
		return
	}
	delete(s.released, n)
	s.pass(n, n+1)
}

// pass marks the numbers from from up to to, exclusive, as done.
func (s *Session) pass(from, to uint64) {
	if from = max(from, s.tail); from >= to {
		return
	}
	s.head = max(s.head, to)
	s.passLive(from, to)
	if from > s.tail {
		s.acked.add(from, to)
		return
	}
	s.tail = to
	if s.acked.dropBelow(to); len(s.acked) > 0 && s.acked[0].from == to {
		s.tail = s.acked[0].to
		s.acked = s.acked[1:]
	}
	s.sent = max(s.sent, s.tail)
	s.dropMarks()
}

// settled settles n and tells the journal, if that has heard of n. The record needs no commit: losing it costs a repeat.
func (s *Session) settled(r *Round, n uint64) {
	s.settle(n)
	if !s.unpark(r, n) && s.num != 0 {
		s.said = s.env.Log.Note(KindSettled, appendNumber(nil, s.num, n))
	}
}

// Acknowledged takes the client's PUBACK or PUBCOMP, or the PUBREC by which it refused, and sends on. It is false when
// nothing of that identifier is under way. What follows is sent then too: the message may have been given up while its
// client was silent, and nobody else would go on.
func (s *Session) Acknowledged(r *Round, id uint16) (known bool) {
	if n := s.number(id); n > 0 {
		known = true
		if s.counted(n) {
			s.inflight--
		}
		s.settled(r, n)
	}
	if len(s.queue) > 0 || s.back.behind {
		s.Pump(r)
	}
	return known
}

// Received takes the client's PUBREC. PUBREL may go out once the journal is durable past pos.
func (s *Session) Received(id uint16) (pos journal.Pos, known bool) {
	n := s.number(id)
	if n == 0 {
		return 0, false
	}
	if !s.counted(n) {
		s.inflight++
	}
	s.release(n)
	if s.num != 0 {
		s.said = s.env.Log.Append(KindReleased, appendNumber(nil, s.num, n))
	}
	return s.said, true
}

func (s *Session) release(n uint64) {
	if s.released == nil {
		s.released = map[uint64]struct{}{}
	}
	s.released[n] = struct{}{}
}

// Released returns the packet identifiers whose PUBREL is due, in the order of their messages.
func (s *Session) Released() []uint16 {
	all := make([]uint64, 0, len(s.released))
	for n := range s.released {
		all = append(all, n)
	}
	slices.Sort(all)
	ids := make([]uint16, len(all))
	for i, n := range all {
		ids[i] = packetID(n)
	}
	return ids
}

// Inbound tells whether the client has sent a QoS 2 message with that identifier and not released it, and how many such
// there are.
func (s *Session) Inbound(id uint16) (held bool, n int) {
	_, held = s.inbound[id]
	return held, len(s.inbound)
}

// AddInbound notes that a QoS 2 message with that identifier came.
func (s *Session) AddInbound(id uint16) {
	if s.inbound == nil {
		s.inbound = map[uint16]struct{}{}
	}
	s.inbound[id] = struct{}{}
}

// ReleaseInbound takes the client's PUBREL. PUBCOMP may go out once the journal is durable past pos.
func (s *Session) ReleaseInbound(id uint16) (pos journal.Pos, known bool) {
	if _, known = s.inbound[id]; !known {
		return s.said, false
	}
	delete(s.inbound, id)
	if s.num != 0 {
		s.said = s.env.Log.Append(KindInbound, appendNumber(nil, s.num, uint64(id)))
	}
	return s.said, true
}

// giveUp settles what is owed with a number from tail up to to, exclusive, without telling the client.
func (s *Session) giveUp(to uint64) {
	before := s.dropped
	if len(s.parked) > 0 {
		to = min(to, s.parked[0].N)
	}
	for n := s.tail; n < to; n++ {
		if i := s.acked.at(n); i < len(s.acked) && s.acked[i].from <= n {
			n = s.acked[i].to - 1
		} else if n >= s.tail && !s.stays(n) {
			s.drop(n)
		}
	}
	s.back.next = max(s.back.next, s.tail)
	s.lost(before)
}

// drop gives up a number that is not settled.
func (s *Session) drop(n uint64) {
	if s.counted(n) {
		s.inflight--
	}
	s.dropped++
	s.settle(n)
}

// lose settles what the journal should have held, from the next number to be read up to to, exclusive.
func (s *Session) lose(to uint64) {
	before := s.dropped
	for n := s.back.next; n < to; n++ {
		if !s.passed(n) {
			s.dropped++
			s.settle(n)
		}
	}
	s.back.next = max(s.back.next, to)
	if s.dropped > before {
		s.tellDamage(s.dropped - before)
	}
	s.lost(before)
}

// lost tells of what was dropped. The journal learns it from the session's record.
func (s *Session) lost(before uint64) {
	if s.dropped > before {
		s.env.Dropped(s.dropped - before)
		s.Record(1)
	}
}
