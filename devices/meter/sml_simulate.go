// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"encoding/binary"
	"time"

	"edged/devices"
	"edged/devices/checksum"
)

func newSMLSimulator(seed uint64) *simulator {
	crc, _ := checksum.New("crc16-x25")
	return &simulator{
		wander: devices.Wander{Seed: seed}, beat: devices.Beat{Period: time.Second},
		write: func(s *simulator, out []byte) []byte {
			power := int32(10 * s.wander.Between(-1500, 2500, 0))
			list := []byte("\x76\x03\x00\x01\x62\x00\x62\x00\x72\x63\x07\x01\x77\x01\x0b\x0a\x01EDG\x00\x00\x00\x00\x01\x07\x01\x00\x62\x0a\xff\xff\x01\x73")
			list = entry(list, 1, 8, 0x1e, uint32(40000000+s.wander.N))
			list = entry(list, 2, 8, 0x1e, 9002500)
			list = entry(list, 16, 7, 0x1b, uint32(power))
			list = append(list, "\x01\x01\x63"...)
			list = binary.BigEndian.AppendUint16(list, uint16(crc.Sum(list[:len(list)-1]))) // of the message; nobody looks at it
			list = append(list, 0)
			s.wander.N++
			file := append([]byte(opens), list...)
			pad := byte(-len(file) & 3)
			file = append(append(file, make([]byte, pad)...), escape+"\x1a"...)
			file = append(file, pad)
			return append(out, binary.LittleEndian.AppendUint16(file, uint16(crc.Sum(file)))...)
		},
	}
}

// entry appends a value of 32 bits with one digit behind the point.
func entry(to []byte, c, d, unit byte, value uint32) []byte {
	to = append(to, 0x77, 0x07, 1, 0, c, d, 0, 0xff, 0x01, 0x01, 0x62, unit, 0x52, 0xff, 0x55)
	return append(binary.BigEndian.AppendUint32(to, value), 0x01)
}
