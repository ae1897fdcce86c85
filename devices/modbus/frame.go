// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"encoding/binary"

	"edged/devices/checksum"
)

// framing puts functions and their data into frames (MODBUS over Serial Line V1.02, MODBUS Messaging on TCP/IP V1.0b).
//
//	rtu: address, function and data, CRC (low byte first)
//	tcp: transaction, 0, length of what follows, address, function and data
type framing struct {
	tcp         bool
	crc         *checksum.Kind
	transaction uint16
}

func newFraming(tcp bool) *framing {
	crc, _ := checksum.New("crc16-modbus")
	return &framing{tcp: tcp, crc: crc}
}

// wrap makes a frame; over TCP each has a transaction of its own.
func (f *framing) wrap(address byte, pdu []byte) []byte {
	if f.tcp {
		f.transaction++
		b := binary.BigEndian.AppendUint16(nil, f.transaction)
		b = binary.BigEndian.AppendUint32(b, uint32(len(pdu)+1))
		return append(append(b, address), pdu...)
	}
	b := append([]byte{address}, pdu...)
	return binary.LittleEndian.AppendUint16(b, uint16(f.crc.Sum(b)))
}

// around gives how many bytes stand before and behind a PDU.
func (f *framing) around() (before, behind int) {
	if f.tcp {
		return 7, 0
	}
	return 1, 2
}

// unwrap gives what a frame that was sent holds; ok is false when it is none.
func (f *framing) unwrap(b []byte) (address byte, pdu []byte, ok bool) {
	before, behind := f.around()
	if len(b) < before+behind+1 || !f.tcp && !f.holds(b) {
		return 0, nil, false
	}
	return b[before-1], b[before : len(b)-behind], true
}

// holds reports whether an RTU frame bears its CRC.
func (f *framing) holds(b []byte) bool {
	n := len(b) - 2
	return f.crc.Sum(b[:n]) == uint32(b[n])|uint32(b[n+1])<<8
}

// readPDU asks for registers or bits.
func readPDU(t table, at, count int) []byte {
	b := binary.BigEndian.AppendUint16([]byte{byte(t)}, uint16(at))
	return binary.BigEndian.AppendUint16(b, uint16(count))
}

// answerSize gives the bytes of the answer to a PDU, which are known before it comes: of a read by what was asked for,
// of a write and of a function of the maker's own because they are echoed.
func answerSize(pdu []byte) int {
	switch {
	case pdu[0] <= 2 && len(pdu) == 5:
		return 2 + (int(binary.BigEndian.Uint16(pdu[3:]))+7)/8
	case pdu[0] <= 4 && len(pdu) == 5:
		return 2 + 2*int(binary.BigEndian.Uint16(pdu[3:]))
	case pdu[0] == 15 || pdu[0] == 16:
		return 5
	}
	return len(pdu)
}

// exception is what a device says that does not do what it was asked (MODBUS Application Protocol V1.1b3, 7).
func exception(code byte) string {
	switch code {
	case 1:
		return "the device does not know this function (exception 1)"
	case 2:
		return "the device has no such register (exception 2)"
	case 3:
		return "the device does not take this value (exception 3)"
	case 4:
		return "the device failed (exception 4)"
	case 5, 6:
		return "the device is busy (exception 5 or 6)"
	case 10, 11:
		return "the gateway does not reach the device (exception 10 or 11)"
	}
	return "the device refused (an exception of its own)"
}
