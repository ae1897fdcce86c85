// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/binary"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// Kinds of records in the journal.
const (
	KindMessage  = journal.KindFirst + iota // a message, with whom it is owed to
	KindSession                             // all of a session but its backlog; the latest counts
	KindEnd                                 // a session's end
	KindSettled                             // a session is done with a number
	KindReleased                            // PUBREC came for a number
	KindInbound                             // the client released a QoS 2 identifier
	KindClock                               // how late it is, see the broker
)

// Flags of a message and of what is owed of it.
const (
	flagQoS    = 3
	flagRetain = 4
	flagSubIDs = 8
	flagGap    = 16
	flagLive   = 32
)

// Record is a message's record:
//
//	flags u8, expires u64, time u64, origin v, its QoS 2 identifier v, owed count v,
//	owed × (session v, number v, flags u8 (32: it is live), with flag 8: count v, subscription identifiers v…, with flag 16: gap v),
//	topic, user, properties (each with a length v), payload
//
// v is a varint, time is in milliseconds, integers are little-endian.
type Record struct {
	Message wire.Message // a view, when it was read
	Time    int64        // milliseconds, see Env.Clock
	Origin  uint32       // the session that released a QoS 2 message into the broker, 0: none
	ID      uint16       // its packet identifier there
	Owed    []Share
}

// Share is one session's entry in a message's record.
type Share struct {
	Num uint32
	Owed
}

// Fit is how many of the record's shares go into one body, at least one: as many as fit, and no two of one session.
func (r *Record) Fit() int {
	room := journal.MaxBody - r.Message.Size() - len(r.Message.User) - 128
	for i := range r.Owed {
		if room -= 24 + 5*len(r.Owed[i].SubIDs); i > 0 && (room < 0 || r.Owed[i].Num == r.Owed[i-1].Num) {
			return i
		}
	}
	return len(r.Owed)
}

// AppendRecord appends the body of a message's record.
func AppendRecord(b []byte, r *Record) []byte {
	m := &r.Message
	b = append(b, m.QoS|flag(m.Retain, flagRetain))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Expires))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time))
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.Origin)), uint64(r.ID))
	b = binary.AppendUvarint(b, uint64(len(r.Owed)))
	for i := range r.Owed {
		b = appendShare(b, &r.Owed[i])
	}
	b = appendText(appendText(b, m.Topic), m.User)
	b = append(binary.AppendUvarint(b, uint64(len(m.Props))), m.Props...)
	return append(b, m.Payload...)
}

func appendShare(b []byte, s *Share) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.Num)), s.N)
	b = append(b, s.QoS|flag(s.Retain, flagRetain)|flag(len(s.SubIDs) > 0, flagSubIDs)|flag(s.Gap > 0, flagGap)|flag(s.Live, flagLive))
	if len(s.SubIDs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(s.SubIDs)))
		for _, id := range s.SubIDs {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	if s.Gap > 0 {
		b = binary.AppendUvarint(b, s.Gap)
	}
	return b
}

// Stamp returns the time of a message's record.
func Stamp(body []byte) (at int64, ok bool) {
	if len(body) < 17 {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(body[9:])), true
}

// ReadRecord reads the body of a message's record; its slices are views of body. ok is false when it is none.
func ReadRecord(body []byte) (r Record, ok bool) {
	d := decoder{b: body}
	flags := d.head(&r, func(s Share) { r.Owed = append(r.Owed, s) })
	d.message(flags, &r.Message)
	return r, !d.bad
}

// decodeOwed reads a message's record for one session. The message's slices are views of body.
func decodeOwed(body []byte, num uint32) (m wire.Message, mine Owed, ok bool) {
	d := decoder{b: body}
	var r Record
	flags := d.head(&r, func(s Share) {
		if s.Num == num {
			mine, ok = s.Owed, true
		}
	})
	if !ok || d.bad {
		return m, mine, false
	}
	d.message(flags, &r.Message)
	return r.Message, mine, !d.bad
}

func (d *decoder) head(r *Record, each func(Share)) (flags byte) {
	flags = d.u8()
	r.Message.Expires, r.Time = int64(d.u64()), int64(d.u64())
	r.Origin, r.ID = uint32(d.uvarint()), uint16(d.uvarint())
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		s := Share{Num: uint32(d.uvarint())}
		s.N = d.uvarint()
		f := d.u8()
		s.QoS, s.Retain, s.Live = f&flagQoS, f&flagRetain != 0, f&flagLive != 0
		if f&flagSubIDs != 0 {
			for k := d.uvarint(); k > 0 && !d.bad; k-- {
				s.SubIDs = append(s.SubIDs, uint32(d.uvarint()))
			}
		}
		if f&flagGap != 0 {
			s.Gap = d.uvarint()
		}
		if !d.bad {
			each(s)
		}
	}
	return flags
}

func (d *decoder) message(flags byte, m *wire.Message) {
	m.QoS, m.Retain = flags&flagQoS, flags&flagRetain != 0
	m.Topic, m.User = d.text(), d.text()
	m.Props = d.take(d.uvarint())
	m.Payload = d.b
	d.bad = d.bad || m.QoS > 2 || m.Topic == ""
}

func flag(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendNum(b []byte, num uint32) []byte { return binary.AppendUvarint(b, uint64(num)) }

func appendNumber(b []byte, num uint32, n uint64) []byte {
	return binary.AppendUvarint(appendNum(b, num), n)
}

// decoder reads a record; past its end everything is zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	x := d.b[:n:n]
	d.b = d.b[n:]
	return x
}

func (d *decoder) u8() byte {
	if x := d.take(1); x != nil {
		return x[0]
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if x := d.take(8); x != nil {
		return binary.LittleEndian.Uint64(x)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string { return string(d.take(d.uvarint())) }
