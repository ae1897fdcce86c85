// SPDX-License-Identifier: Apache-2.0

package mbus

import (
	"bytes"
	"encoding/binary"
	"time"

	"edged/devices"
)

// simulator is a heat meter.
type simulator struct {
	address byte
	wander  devices.Wander
	got     []byte
}

// Tick says nothing: a meter only answers.
func (*simulator) Tick(_ time.Time, out []byte) ([]byte, time.Time) { return out, time.Time{} }

// Receive answers SND_NKE and REQ_UD2.
func (s *simulator) Receive(p []byte, _ time.Time, out []byte) []byte {
	for _, x := range p {
		s.got = append(s.got, x)
		switch {
		case bytes.HasSuffix(s.got, short(0x40, s.address)):
			s.got, out = s.got[:0], append(out, 0xe5)
		case bytes.HasSuffix(s.got, short(0x5b, s.address)), bytes.HasSuffix(s.got, short(0x7b, s.address)):
			s.got, out = s.got[:0], s.data(out)
		}
		s.got = s.got[max(0, len(s.got)-5):]
	}
	return out
}

func (s *simulator) data(out []byte) []byte {
	b := append([]byte{0x08, s.address, 0x72}, 0x01, 0x00, 0x00, 0x20, 0x87, 0x14, 0x01, 0x04, byte(s.wander.N), 0, 0, 0) // EDG
	b = append(b, 0x04, 0x06)
	b = binary.LittleEndian.AppendUint32(b, uint32(5272+s.wander.N/100)) // kWh
	b = append(b, 0x02, 0x59)
	b = binary.LittleEndian.AppendUint16(b, uint16(100*s.wander.Between(48, 62, 0))) // °C
	b = append(b, 0x02, 0x5d)
	b = binary.LittleEndian.AppendUint16(b, uint16(100*s.wander.Between(32, 40, 1)))
	s.wander.N++
	var sum byte
	for _, x := range b {
		sum += x
	}
	n := byte(len(b))
	return append(append(append(out, 0x68, n, n, 0x68), b...), sum, 0x16)
}
