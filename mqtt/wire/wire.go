// SPDX-License-Identifier: Apache-2.0

// Package wire reads and writes the packets of MQTT 3.1, 3.1.1 and 5.0, and refuses every one that breaks a normative
// statement before any decoder sees it.
//
// The broker and the client share it: [Check], [DecodeConnect] and [ReadPublish] judge what a client sends,
// [CheckFromServer], [DecodeConnack] and [ReadPublish] what a server sends. CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT
// and their answers are decoded and encoded by mochi-mqtt's package packets, which only ever gets bytes that were
// validated here: on others it panics (mochi-mqtt/server#501).
//
// A version is the protocol level of CONNECT: 3 (MQTT 3.1), 4 (3.1.1) or 5.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Packet types (MQTT 5.0, 2.1.2).
const (
	Connect     = 1
	Connack     = 2
	Publish     = 3
	Puback      = 4
	Pubrec      = 5
	Pubrel      = 6
	Pubcomp     = 7
	Subscribe   = 8
	Suback      = 9
	Unsubscribe = 10
	Unsuback    = 11
	Pingreq     = 12
	Pingresp    = 13
	Disconnect  = 14
	Auth        = 15
)

// MaxLength is the greatest remaining length of a packet, and the greatest subscription identifier.
const MaxLength = 1<<28 - 1

// Fault is why a packet is refused. It is an error.
type Fault struct {
	Code byte   // reason code of MQTT 5
	Text string // for the log; holds nothing that the peer sent
}

// Error tells the fault and its code.
func (f *Fault) Error() string { return fmt.Sprintf("%s (0x%02x)", f.Text, f.Code) }

func fault(code byte, text string) *Fault { return &Fault{code, text} }

// Frame splits the first packet off b; body is a part of b. size is 0 while b does not hold all of it; need is then its
// size once that is known, else 0, so that a reader can refuse a packet that is too large before it comes.
//
// A remaining length that is longer than it must be is accepted: only MQTT 5 forbids it, and Frame comes before the
// version is known.
func Frame(b []byte) (h byte, body []byte, size, need int, f *Fault) {
	n, shift := 0, 0
	for i := 1; i < len(b); i++ {
		n |= int(b[i]&127) << shift
		if b[i] < 128 {
			need = 1 + i + n
			if len(b) < need {
				return b[0], nil, 0, need, nil
			}
			return b[0], b[1+i : need : need], need, need, nil
		}
		if shift += 7; shift > 21 {
			return 0, nil, 0, 0, fault(Malformed, "remaining length of more than four bytes")
		}
	}
	return 0, nil, 0, 0, nil
}

// AppendLength appends n, 0 to [MaxLength], as a variable byte integer.
func AppendLength(b []byte, n int) []byte {
	for n > 127 {
		b = append(b, byte(n)|128)
		n >>= 7
	}
	return append(b, byte(n))
}

func lengthSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// AppendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP. A reason of 0 is left out, as is any before MQTT 5.
func AppendAck(b []byte, kind byte, id uint16, reason, version byte) []byte {
	h := kind << 4
	if kind == Pubrel {
		h |= 2
	}
	if reason == 0 || version < 5 {
		return append(b, h, 2, byte(id>>8), byte(id))
	}
	return append(b, h, 3, byte(id>>8), byte(id), reason)
}

// ReadAck reads a PUBACK, PUBREC, PUBREL or PUBCOMP that [Check] or [CheckFromServer] let through.
func ReadAck(body []byte, version byte) (id uint16, reason byte) {
	if version == 5 && len(body) > 2 {
		reason = body[2]
	}
	return binary.BigEndian.Uint16(body), reason
}
