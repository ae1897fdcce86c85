// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"testing"

	"edged/mqtt/wire"
)

func TestFrame(t *testing.T) {
	big := append([]byte{0x30, 0x80, 0x80, 0x01}, make([]byte, 1<<14)...)
	for _, c := range []struct {
		name       string
		in         []byte
		h          byte
		body       []byte
		size, need int
		fault      bool
	}{
		{name: "nothing"},
		{name: "type only", in: []byte{0xc0}},
		{name: "no body", in: []byte{0xc0, 0}, h: 0xc0, size: 2, need: 2},
		{name: "more behind", in: []byte{0x40, 2, 0, 1, 0xc0}, h: 0x40, body: []byte{0, 1}, size: 4, need: 4},
		{name: "cut body", in: []byte{0x40, 2, 0}, h: 0x40, need: 4},
		{name: "cut length", in: []byte{0x30, 0x80, 0x80}},
		{name: "three bytes of length", in: big, h: 0x30, body: big[4:], size: len(big), need: len(big)},
		{name: "greatest length", in: []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, h: 0x30, need: 5 + wire.MaxLength},
		{name: "length longer than needed", in: []byte{0xc0, 0x80, 0x00}, h: 0xc0, size: 3, need: 3},
		{name: "five bytes of length", in: []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, fault: true},
		{name: "four bytes that promise a fifth", in: []byte{0x30, 0x80, 0x80, 0x80, 0x80}, fault: true},
	} {
		h, body, size, need, f := wire.Frame(c.in)
		if (f != nil) != c.fault || !c.fault && (h != c.h || !bytes.Equal(body, c.body) || size != c.size || need != c.need) {
			if len(c.in) > 1 || h != 0 {
				t.Errorf("%s: got %#x, %d bytes, size %d, need %d, %v", c.name, h, len(body), size, need, f)
			}
		}
	}
}

func TestFrameKeepsTheNextPacketOutOfReach(t *testing.T) {
	b := []byte{0x40, 2, 0, 1, 0xc0, 0}
	_, body, _, _, _ := wire.Frame(b)
	if body = append(body, 9); b[4] != 0xc0 || len(body) != 3 {
		t.Errorf("appending to the body wrote over the next packet: % x", b)
	}
}

func TestAppendLengthIsReadBack(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, wire.MaxLength} {
		b := wire.AppendLength([]byte{0x30}, n)
		if _, _, size, need, f := wire.Frame(b); f != nil || need != len(b)+n || n > 0 && size != 0 {
			t.Errorf("%d: % x needs %d, %v", n, b, need, f)
		}
	}
}

// Covers 4:2.2.2-1 5:2.1.3-1.
func TestAcks(t *testing.T) {
	for _, c := range []struct {
		name                  string
		kind, reason, version byte
		want                  []byte
	}{
		{"PUBACK", wire.Puback, 0, 4, []byte{0x40, 2, 0x12, 0x34}},
		{"PUBACK without its reason before 5", wire.Puback, 0x87, 4, []byte{0x40, 2, 0x12, 0x34}},
		{"PUBACK with a reason", wire.Puback, 0x87, 5, []byte{0x40, 3, 0x12, 0x34, 0x87}},
		{"PUBREC", wire.Pubrec, 0, 5, []byte{0x50, 2, 0x12, 0x34}},
		{"PUBREL", wire.Pubrel, 0, 4, []byte{0x62, 2, 0x12, 0x34}},
		{"PUBREL with a reason", wire.Pubrel, 0x92, 5, []byte{0x62, 3, 0x12, 0x34, 0x92}},
		{"PUBCOMP", wire.Pubcomp, 0, 3, []byte{0x70, 2, 0x12, 0x34}},
	} {
		b := wire.AppendAck(nil, c.kind, 0x1234, c.reason, c.version)
		if !bytes.Equal(b, c.want) {
			t.Errorf("%s: got % x, want % x", c.name, b, c.want)
		}
		for _, check := range []func(byte, []byte, byte) *wire.Fault{wire.Check, wire.CheckFromServer} {
			if f := check(b[0], b[2:], c.version); f != nil {
				t.Errorf("%s: refused: %v", c.name, f)
			}
		}
		id, reason := wire.ReadAck(b[2:], c.version)
		if id != 0x1234 || c.version == 5 && reason != c.reason || c.version < 5 && reason != 0 {
			t.Errorf("%s: read back %#x, reason %#x", c.name, id, reason)
		}
	}
}

func TestTextsOfCodes(t *testing.T) {
	for _, c := range []struct {
		name, got, want string
	}{
		{"malformed", wire.ReasonText(wire.Malformed), "malformed packet"},
		{"taken over", wire.ReasonText(wire.SessionTakenOver), "session taken over"},
		{"the last", wire.ReasonText(wire.WildcardsForbidden), "wildcard subscriptions not supported"},
		{"one that is not", wire.ReasonText(0xf0), "code 0xf0"},
		{"3.1.1", wire.RefusalText(4, 4), "bad user name or password"},
		{"3.1.1, reserved", wire.RefusalText(9, 4), "code 9"},
		{"5", wire.RefusalText(wire.BadCredentials, 5), "bad user name or password"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}
