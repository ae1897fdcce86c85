// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"maps"
	"slices"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// Restorer rebuilds sessions from the journal.
//
// A session's latest record may lie behind messages that it is owed, since it is written again when its segment goes. So
// a session that is only heard of gathers what it is owed until its record comes; without one it is dropped in the end.
type Restorer struct {
	env   *Env
	byNum map[uint32]*heard
	last  uint32
}

type heard struct {
	s         *Session
	recorded  bool
	connected bool
	began     bool // a message of it was seen: what has a lower number is not in the journal
}

// NewRestorer returns an empty Restorer.
func NewRestorer(env *Env) *Restorer { return &Restorer{env: env, byNum: map[uint32]*heard{}} }

// Replay takes one record, in the journal's order. A message that is retained is returned; it is a view.
func (r *Restorer) Replay(rec journal.Record) (retained *wire.Message) {
	d := decoder{b: rec.Body}
	switch rec.Kind {
	case KindMessage:
		if m, ok := ReadRecord(rec.Body); ok {
			r.message(&m, rec.Pos)
			if m.Message.Retain {
				return &m.Message
			}
		}
	case KindSession:
		if x, ok := decodeState(rec.Body); ok {
			r.session(&x, rec.Pos)
		}
	case KindEnd:
		if num := uint32(d.uvarint()); !d.bad {
			r.last = max(r.last, num)
			delete(r.byNum, num)
		}
	case KindSettled, KindReleased, KindInbound:
		num, n := uint32(d.uvarint()), d.uvarint()
		if h := r.byNum[num]; h != nil && !d.bad {
			h.step(rec.Kind, n)
		}
	}
	return nil
}

func (r *Restorer) hear(num uint32) *heard {
	h := r.byNum[num]
	if h == nil {
		h = &heard{s: New(r.env, "", "", 0, num)}
		h.s.Queue = r.env.Presumed
		r.byNum[num] = h
		r.last = max(r.last, num)
	}
	return h
}

func (r *Restorer) message(m *Record, pos journal.Pos) {
	for i := range m.Owed {
		o := &m.Owed[i]
		if o.Num == 0 || o.N == 0 || o.N >= maxNumber {
			continue
		}
		h := r.hear(o.Num)
		s := h.s
		if !h.began && !h.recorded {
			s.settleBelow(o.N)
		}
		h.began = true
		inOrder := o.N >= s.head
		s.pass(o.N-min(o.Gap, o.N-1), o.N)
		s.head = max(s.head, o.N+1)
		if o.Live {
			s.retainLive(&o.Owed, m.Message.Topic)
		}
		switch {
		case s.isAcked(o.N):
		case inOrder:
			s.note(o.N, pos, m.Message.Topic, m.Message.Size(), m.Time)
		default:
			s.carry(o.N, pos, m.Message.Size())
			s.consider(m.Message.Topic, carried{n: o.N, pos: pos, size: m.Message.Size()})
		}
		if !s.isAcked(o.N) {
			if o.Live {
				s.restoreLive(o.N, pos)
			}
			s.classify(o.N, m.Message.Topic, m.Message.Size())
		}
	}
	if m.Origin != 0 && m.ID != 0 {
		r.hear(m.Origin).s.AddInbound(m.ID)
	}
}

func (h *heard) step(kind byte, n uint64) {
	switch s := h.s; {
	case kind == KindInbound:
		delete(s.inbound, uint16(n))
	case n >= s.head, s.isAcked(n):
	case kind == KindSettled:
		s.settle(n)
	default:
		s.release(n)
	}
}

func (r *Restorer) session(x *state, pos journal.Pos) {
	h := r.hear(x.num)
	h.s.ID, h.s.User = x.id, x.user
	h.recorded, h.connected = true, x.connected
	h.s.restore(x, pos)
	if x.id != r.env.Classed.ClientID {
		h.s.runs = nil
	}
}

// Restored is a session that outlived a stop.
type Restored struct {
	*Session
	Crashed bool // it was connected, and nobody has said that its connection ended
}

// Sessions returns what was restored, in the order of their numbers, and the highest number that was ever given. Of two
// of one client identifier, which only damage leaves, the later counts.
func (r *Restorer) Sessions() (all []Restored, last uint32) {
	byID := map[string]Restored{}
	for _, num := range slices.Sorted(maps.Keys(r.byNum)) {
		h := r.byNum[num]
		if !h.recorded {
			continue
		}
		s := h.s
		s.Order = uint64(num)
		if h.connected {
			s.everSent, s.Left = s.head, r.env.Now().UnixMilli()
			s.leaveOut(numbersLost)
		} else {
			s.leaveOut(0)
		}
		if gap, some := s.untold(); some {
			s.lostTrack = gap
		}
		s.known = s.head
		s.sent = s.tail
		if s.everSent > s.tail { // some of the rest may have been sent after the last record
			s.everSent = s.head
		}
		s.dropMarks()
		byID[s.ID] = Restored{s, h.connected}
	}
	all = slices.Collect(maps.Values(byID))
	slices.SortFunc(all, func(a, b Restored) int { return cmp.Compare(a.num, b.num) })
	return all, r.last
}

// leaveOut settles the next n numbers, and more where PUBREL is due for one from there on: that one stays until PUBCOMP.
func (s *Session) leaveOut(n uint64) {
	end := s.head + n
	for _, k := range slices.Sorted(maps.Keys(s.released)) {
		if k >= s.head {
			s.pass(s.head, k)
			s.head = max(s.head, k+1)
		}
	}
	s.pass(s.head, end)
}
