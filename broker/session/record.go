// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/binary"
	"maps"
	"slices"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// Flags of a session and of its subscriptions.
const (
	flagConnected = 1
	flagWill      = 2
	flagDropped   = 32

	flagNoLocal           = 4
	flagRetainAsPublished = 8
)

// Record appends the session's record to the journal, so many times: twice where one bad sector must not cost the
// session. The session's state is durable once the journal is past pos; 0 for one that is not persistent.
func (s *Session) Record(times int) (pos journal.Pos) {
	if s.num == 0 || s.ended {
		return 0
	}
	body := s.encode()
	for range times {
		pos = s.env.Log.Append(KindSession, body)
	}
	s.record, s.unrecorded, s.known = pos, false, s.firstParked()
	return pos
}

// RecordLater notes that the session's latest record is no longer true; see [Session.Unrecorded].
func (s *Session) RecordLater() { s.unrecorded = true }

// Unrecorded tells whether a record is due.
func (s *Session) Unrecorded() bool { return s.unrecorded && !s.ended }

// encode writes a session's record:
//
//	num v, flags u8, version u8, expiry v, left u64, tail v, head v, ever sent v, id, user,
//	subscriptions (count v) × (filter, flags u8, identifier v), settled numbers (count v) × (first v, how many v),
//	released numbers and inbound identifiers (each a count v and v…), with flag 2: the will: flags u8, life v, delay v, due v, topic, properties, payload,
//	with flag 32: dropped v, and of these told v
func (s *Session) encode() []byte {
	b := appendNum(nil, s.num)
	b = append(b, flag(s.sink != nil, flagConnected)|flag(s.Will != nil, flagWill)|flag(s.dropped > 0, flagDropped), s.Version)
	b = binary.AppendUvarint(b, uint64(s.Expiry))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Left))
	head := s.firstParked() // what lies beyond may have a record, or need none: it is for the next to say
	for _, n := range []uint64{s.tail, head, max(s.everSent, s.sent)} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendText(appendText(b, s.ID), s.User)
	b = binary.AppendUvarint(b, uint64(len(s.subs)))
	for _, sub := range s.subs {
		b = append(appendText(b, sub.Filter), sub.QoS|flag(sub.NoLocal, flagNoLocal)|flag(sub.RetainAsPublished, flagRetainAsPublished))
		b = binary.AppendUvarint(b, uint64(sub.ID))
	}
	b = appendRanges(b, s.acked.below(head))
	b = appendSet(b, s.released)
	b = appendSet(b, s.inbound)
	if w := s.Will; w != nil {
		b = append(b, w.Message.QoS|flag(w.Message.Retain, flagRetain))
		b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, uint64(w.Life)), uint64(w.Delay)), uint64(w.Due))
		b = appendText(appendText(appendText(b, w.Message.Topic), string(w.Message.Props)), string(w.Message.Payload))
	}
	if s.dropped > 0 {
		b = binary.AppendUvarint(binary.AppendUvarint(b, s.dropped), s.told)
	}
	return b
}

func appendRanges(b []byte, r ranges) []byte {
	b = binary.AppendUvarint(b, uint64(len(r)))
	for _, x := range r {
		b = binary.AppendUvarint(binary.AppendUvarint(b, x.from), x.to-x.from)
	}
	return b
}

func appendSet[N uint16 | uint64](b []byte, set map[N]struct{}) []byte {
	b = binary.AppendUvarint(b, uint64(len(set)))
	for n := range set {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// maxNumber is far above any number that is ever given.
const maxNumber = 1 << 60

// state is what encode wrote.
type state struct {
	num              uint32
	connected        bool
	version          byte
	expiry           uint32
	left             int64
	tail, head, sent uint64
	id, user         string
	subs             []Subscription
	acked            []stretch
	released         []uint64
	inbound          []uint64
	will             *Will
	dropped, told    uint64
}

func decodeState(body []byte) (x state, ok bool) {
	d := decoder{b: body}
	x.num = uint32(d.uvarint())
	flags := d.u8()
	x.connected, x.version = flags&flagConnected != 0, d.u8()
	x.expiry, x.left = uint32(d.uvarint()), int64(d.u64())
	x.tail, x.head, x.sent = d.uvarint(), d.uvarint(), d.uvarint()
	x.id, x.user = d.text(), d.text()
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		sub := Subscription{Subscription: wire.Subscription{Filter: d.text()}}
		f := d.u8()
		sub.QoS, sub.NoLocal, sub.RetainAsPublished = f&flagQoS, f&flagNoLocal != 0, f&flagRetainAsPublished != 0
		sub.ID = uint32(d.uvarint())
		x.subs = append(x.subs, sub)
	}
	x.acked, x.released, x.inbound = d.ranges(x.head), d.set(maxNumber), d.set(identifiers+1)
	if flags&flagWill != 0 {
		f := d.u8()
		w := &Will{Life: int64(d.uvarint()), Delay: uint32(d.uvarint()), Due: int64(d.uvarint())}
		w.Message = wire.Message{QoS: f & flagQoS, Retain: f&flagRetain != 0, Topic: d.text(), User: x.user}
		w.Message.Props = slices.Clone(d.take(d.uvarint()))
		w.Message.Payload = slices.Clone(d.take(d.uvarint()))
		x.will = w
	}
	if flags&flagDropped != 0 {
		x.dropped, x.told = d.uvarint(), d.uvarint()
	}
	return x, !d.bad && x.num != 0 && x.tail > 0 && x.head >= x.tail && x.head < maxNumber
}

func (d *decoder) ranges(limit uint64) (all []stretch) {
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		from, k := d.uvarint(), d.uvarint()
		d.bad = d.bad || from > limit || k > limit-from
		all = append(all, stretch{from, from + k})
	}
	return all
}

func (d *decoder) set(limit uint64) (all []uint64) {
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		k := d.uvarint()
		d.bad = d.bad || k == 0 || k >= limit
		all = append(all, k)
	}
	return all
}

// restore makes the session what its record says.
func (s *Session) restore(x *state, pos journal.Pos) {
	s.Version, s.Expiry, s.Left, s.Will, s.record = x.version, x.expiry, x.left, x.will, pos
	s.tail, s.head = x.tail, max(s.head, x.head) // a tail that was only presumed may have been too far
	s.everSent = max(s.everSent, x.sent)
	s.dropped, s.told = x.dropped, x.told
	s.acked = nil
	s.passLive(0, s.tail)
	s.dropMarks()
	s.written = max(s.written, x.head)
	for _, x := range x.acked {
		s.pass(x.from, x.to)
	}
	s.released, s.inbound = nil, nil
	for _, n := range x.released {
		if !s.isAcked(n) {
			s.release(n)
		}
	}
	for _, id := range x.inbound {
		s.AddInbound(uint16(id))
	}
	s.subs, s.subsBytes = map[string]Subscription{}, 0
	for _, sub := range x.subs {
		s.Subscribe(sub, len(x.subs))
	}
}

// settleBelow settles every number below n.
func (s *Session) settleBelow(n uint64) {
	if n <= s.tail {
		return
	}
	maps.DeleteFunc(s.released, func(k uint64, _ struct{}) bool { return k < n })
	s.pass(s.tail, n)
}
