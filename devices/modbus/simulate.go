// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"bytes"
	"encoding/binary"
	"time"

	"edged/devices"
)

// simulator is a device that holds what the readings describe, and 0 in all other registers.
type simulator struct {
	m       *model
	framing *framing
	address byte
	wander  devices.Wander
	set     map[table]map[int]uint16 // what was written
	got     []byte
}

func newSimulator(m *model, o options, seed uint64) *simulator {
	return &simulator{
		m: m, framing: newFraming(o.Framing == "tcp"), address: byte(o.Address), wander: devices.Wander{Seed: seed},
		set: map[table]map[int]uint16{coil: {}, holding: {}},
	}
}

// Tick says nothing: the device only answers.
func (*simulator) Tick(_ time.Time, out []byte) ([]byte, time.Time) { return out, time.Time{} }

// Receive answers requests, and skips what is none.
func (s *simulator) Receive(p []byte, _ time.Time, out []byte) []byte {
	for _, x := range p {
		s.got = append(s.got, x)
		for from := range s.got {
			if answer, whole := s.answer(s.got[from:]); whole {
				out = append(out, answer...)
				s.got = s.got[:0]
				break
			}
		}
		s.got = s.got[max(0, len(s.got)-limit):]
	}
	return out
}

// answer gives what the device says to a request, if b is one.
func (s *simulator) answer(b []byte) (answer []byte, whole bool) {
	before, behind := s.framing.around()
	if len(b) < before+behind+1 || b[before-1] != s.address || s.framing.tcp && int(binary.BigEndian.Uint16(b[4:])) != len(b)-6 {
		return nil, false
	}
	_, pdu, ok := s.framing.unwrap(b)
	if !ok || pdu[0] <= 6 && len(pdu) != 5 || pdu[0] == 16 && (len(pdu) < 6 || len(pdu) != 6+int(pdu[5])) {
		return nil, false // the CRC of a part of a request may hold by chance
	}
	pdu = s.reply(pdu)
	if s.framing.tcp {
		head := binary.BigEndian.AppendUint32(bytes.Clone(b[:2]), uint32(len(pdu)+1))
		return append(append(head, s.address), pdu...), true
	}
	return s.framing.wrap(s.address, pdu), true
}

// reply carries a function out.
func (s *simulator) reply(pdu []byte) []byte {
	if f := pdu[0]; f <= 6 && len(pdu) == 5 || f == 16 && len(pdu) > 6 {
		at, n := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
		switch {
		case f <= 2 && n <= 2000:
			return s.bits(table(f), at, n)
		case f <= 4 && n <= 125:
			return s.registers(table(f), at, n)
		case f == 5:
			s.set[coil][at] = uint16(n)
			return pdu
		case f == 6:
			s.set[holding][at] = uint16(n)
			return pdu
		case f == 16 && n <= 123 && len(pdu) == 6+2*n:
			for i := range n {
				s.set[holding][at+i] = binary.BigEndian.Uint16(pdu[6+2*i:])
			}
			return pdu[:5]
		}
		return []byte{f | 0x80, 3}
	}
	for _, c := range s.m.commands {
		if c.send != nil && bytes.Equal(c.send, pdu) {
			return pdu
		}
	}
	return []byte{pdu[0] | 0x80, 1}
}

func (s *simulator) bits(t table, at, n int) []byte {
	b := make([]byte, 2+(n+7)/8)
	b[0], b[1] = byte(t), byte(len(b)-2)
	for i := range n {
		if s.set[t][at+i] != 0 {
			b[2+i/8] |= 1 << (i % 8)
		}
	}
	return b
}

func (s *simulator) registers(t table, at, n int) []byte {
	b := make([]byte, 2+2*n)
	b[0], b[1] = byte(t), byte(2*n)
	for i, r := range s.m.readings {
		if r.table != t || r.at < at || r.at+r.count > at+n || r.wander == nil {
			continue
		}
		r.field.Put(r.place(b[2:], at), devices.Num(s.wander.Between(r.wander.Low, r.wander.High, i)))
	}
	for i := range n {
		if x, written := s.set[t][at+i]; written {
			binary.BigEndian.PutUint16(b[2+2*i:], x)
		}
	}
	s.wander.N++
	return b
}
