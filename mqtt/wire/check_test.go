// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"testing"

	"edged/mqtt/wire"
)

type verdict struct {
	name    string
	h       byte
	body    string
	version byte
	code    byte // 0: let through
}

func judge(t *testing.T, check func(byte, []byte, byte) *wire.Fault, table []verdict) {
	t.Helper()
	for _, c := range table {
		f := check(c.h, []byte(c.body), c.version)
		if c.code == 0 && f != nil || c.code != 0 && (f == nil || f.Code != c.code) {
			t.Errorf("%s: %#x % x in version %d: got %v, want code %#x", c.name, c.h, c.body, c.version, f, c.code)
		}
	}
}

// What is the same whoever sends it.
var eitherSide = []verdict{
	{"PUBACK", 0x40, "\x00\x01", 4, 0},
	{"PUBACK with a reason", 0x40, "\x00\x01\x10", 5, 0},
	{"PUBACK with a reason string", 0x40, "\x00\x01\x00\x04\x1f\x00\x01x", 5, 0},
	{"PUBACK with empty properties", 0x40, "\x00\x01\x00\x00", 5, 0},
	{"PUBACK, one byte", 0x40, "\x00", 4, wire.Malformed},
	{"PUBACK, empty", 0x40, "", 5, wire.Malformed},
	{"PUBACK for identifier 0", 0x40, "\x00\x00", 4, wire.ProtocolError},
	{"PUBACK, three bytes", 0x40, "\x00\x01\x00", 4, wire.Malformed},
	{"PUBACK with flags", 0x42, "\x00\x01", 4, wire.Malformed},
	{"PUBACK with a reason of SUBACK", 0x40, "\x00\x01\x9e", 5, wire.ProtocolError},
	{"PUBACK with bytes behind", 0x40, "\x00\x01\x00\x00\x00", 5, wire.Malformed},
	{"PUBACK with a cut property", 0x40, "\x00\x01\x00\x03\x1f\x00\x01", 5, wire.Malformed},
	{"PUBACK with two reason strings", 0x40, "\x00\x01\x00\x08\x1f\x00\x01x\x1f\x00\x01y", 5, wire.ProtocolError},
	{"PUBACK with a session expiry", 0x40, "\x00\x01\x00\x05\x11\x00\x00\x00\x01", 5, wire.ProtocolError},
	{"PUBACK with an unknown property", 0x40, "\x00\x01\x00\x02\x04\x01", 5, wire.Malformed},
	{"PUBACK with a property past the table", 0x40, "\x00\x01\x00\x02\x7f\x01", 5, wire.Malformed},
	{"PUBACK with a property length too long for its value", 0x40, "\x00\x01\x00\x80\x00", 5, wire.Malformed},
	{"PUBREC refused", 0x50, "\x00\x01\x97", 5, 0},
	{"PUBREL", 0x62, "\x00\x01", 4, 0},
	{"PUBREL without its flags", 0x60, "\x00\x01", 4, wire.Malformed},
	{"PUBREL with DUP in 3.1", 0x6a, "\x00\x01", 3, 0},
	{"PUBREL with DUP in 3.1.1", 0x6a, "\x00\x01", 4, wire.Malformed},
	{"PUBREL with a reason", 0x62, "\x00\x01\x92", 5, 0},
	{"PUBREL with a reason of PUBACK", 0x62, "\x00\x01\x10", 5, wire.ProtocolError},
	{"PUBCOMP", 0x70, "\x00\x01", 5, 0},
	{"type 0", 0x00, "", 4, wire.ProtocolError},
	{"AUTH before 5", 0xf0, "", 4, wire.ProtocolError},
	{"AUTH without a method", 0xf0, "\x18\x00", 5, wire.ProtocolError},
	{"AUTH going on", 0xf0, "\x18\x04\x15\x00\x01m", 5, 0},
	{"AUTH with data but no method", 0xf0, "\x18\x04\x16\x00\x01m", 5, wire.ProtocolError},
	{"AUTH with another reason", 0xf0, "\x80\x04\x15\x00\x01m", 5, wire.ProtocolError},
	{"AUTH, one byte", 0xf0, "\x18", 5, wire.Malformed},
	{"DISCONNECT, one byte", 0xe0, "\x81", 5, 0},
	{"DISCONNECT, empty", 0xe0, "", 5, 0},
	{"DISCONNECT with a reason string", 0xe0, "\x81\x04\x1f\x00\x01x", 5, 0},
	{"DISCONNECT with a reason that is not", 0xe0, "\x10", 5, wire.ProtocolError},
	{"DISCONNECT with flags", 0xe1, "", 5, wire.Malformed},
	{"DISCONNECT with bytes behind", 0xe0, "\x00\x00\x00", 5, wire.Malformed},
}

func TestCheck(t *testing.T) {
	judge(t, wire.Check, eitherSide)
	judge(t, wire.Check, []verdict{
		{"PINGREQ", 0xc0, "", 4, 0},
		{"PINGREQ with a body", 0xc0, "x", 4, wire.Malformed},
		{"PINGREQ with flags", 0xc1, "", 4, wire.Malformed},
		{"PINGRESP", 0xd0, "", 4, wire.ProtocolError},
		{"a second CONNECT", 0x10, "\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", 4, wire.ProtocolError},
		{"CONNACK", 0x20, "\x00\x00", 4, wire.ProtocolError},
		{"SUBACK", 0x90, "\x00\x01\x00", 4, wire.ProtocolError},
		{"UNSUBACK", 0xb0, "\x00\x01", 4, wire.ProtocolError},
		{"AUTH again", 0xf0, "\x19\x04\x15\x00\x01m", 5, 0},
		{"AUTH success", 0xf0, "\x00\x04\x15\x00\x01m", 5, wire.ProtocolError},
		{"DISCONNECT of 3.1.1", 0xe0, "", 4, 0},
		{"DISCONNECT of 3.1.1 with a body", 0xe0, "\x00", 4, wire.Malformed},
		{"DISCONNECT with will", 0xe0, "\x04", 5, 0},
		{"DISCONNECT with session expiry", 0xe0, "\x00\x05\x11\x00\x00\x00\x09", 5, 0},
		{"DISCONNECT: session taken over", 0xe0, "\x8e", 5, wire.ProtocolError},
		{"DISCONNECT with a server reference", 0xe0, "\x00\x04\x1c\x00\x01x", 5, wire.ProtocolError},
	})
}

func TestCheckSubscribe(t *testing.T) {
	judge(t, wire.Check, []verdict{
		{"one filter", 0x82, "\x00\x01\x00\x01a\x01", 4, 0},
		{"two filters", 0x82, "\x00\x01\x00\x01a\x01\x00\x03b/#\x02", 4, 0},
		{"with DUP in 3.1", 0x8a, "\x00\x01\x00\x01a\x01", 3, 0},
		{"with DUP in 3.1.1", 0x8a, "\x00\x01\x00\x01a\x01", 4, wire.Malformed},
		{"without its flags", 0x80, "\x00\x01\x00\x01a\x01", 4, wire.Malformed},
		{"all options", 0x82, "\x00\x01\x02\x0b\x07\x00\x01a\x2e", 5, 0},
		{"shared", 0x82, "\x00\x01\x00\x00\x0a$share/g/a\x02", 5, 0},
		{"no identifier", 0x82, "\x00", 4, wire.Malformed},
		{"identifier 0", 0x82, "\x00\x00\x00\x01a\x00", 4, wire.ProtocolError},
		{"no filter", 0x82, "\x00\x01", 4, wire.ProtocolError},
		{"no filter in 5", 0x82, "\x00\x01\x00", 5, wire.ProtocolError},
		{"no properties in 5", 0x82, "\x00\x01", 5, wire.Malformed},
		{"options missing (mochi-mqtt/server#501)", 0x82, "\x00\x01\x00\x00\x03a/b", 5, wire.Malformed},
		{"options missing in 3.1.1", 0x82, "\x00\x01\x00\x03a/b", 4, wire.Malformed},
		{"filter past the end", 0x82, "\x00\x01\x00\x05a/b\x00", 4, wire.Malformed},
		{"empty filter", 0x82, "\x00\x01\x00\x00\x00", 4, wire.FilterInvalid},
		{"# not last", 0x82, "\x00\x01\x00\x05a/#/b\x00", 4, wire.FilterInvalid},
		{"+ not alone", 0x82, "\x00\x01\x00\x02a+\x00", 4, wire.FilterInvalid},
		{"U+0000", 0x82, "\x00\x01\x00\x01\x00\x00", 4, wire.Malformed},
		{"surrogate", 0x82, "\x00\x01\x00\x03\xed\xa0\x80\x00", 4, wire.Malformed},
		{"share without name", 0x82, "\x00\x01\x00\x00\x09$share//a\x00", 5, wire.FilterInvalid},
		{"share without filter", 0x82, "\x00\x01\x00\x00\x08$share/g\x00", 5, wire.FilterInvalid},
		{"share with a wildcard in its name", 0x82, "\x00\x01\x00\x00\x0a$share/+/a\x00", 5, wire.FilterInvalid},
		{"no local and shared", 0x82, "\x00\x01\x00\x00\x0a$share/g/a\x04", 5, wire.ProtocolError},
		{"QoS 3", 0x82, "\x00\x01\x00\x01a\x03", 4, wire.Malformed},
		{"QoS 3 in 5", 0x82, "\x00\x01\x00\x00\x01a\x03", 5, wire.ProtocolError},
		{"options of 5 in 3.1.1", 0x82, "\x00\x01\x00\x01a\x04", 4, wire.Malformed},
		{"retain handling 3", 0x82, "\x00\x01\x00\x00\x01a\x30", 5, wire.ProtocolError},
		{"reserved option", 0x82, "\x00\x01\x00\x00\x01a\x40", 5, wire.Malformed},
		{"subscription identifier 0", 0x82, "\x00\x01\x02\x0b\x00\x00\x01a\x00", 5, wire.ProtocolError},
		{"two subscription identifiers", 0x82, "\x00\x01\x04\x0b\x01\x0b\x02\x00\x01a\x00", 5, wire.ProtocolError},
		{"identifier written too long", 0x82, "\x00\x01\x03\x0b\x81\x00\x00\x01a\x00", 5, wire.Malformed},
		{"a property of PUBLISH", 0x82, "\x00\x01\x02\x01\x01\x00\x01a\x00", 5, wire.ProtocolError},
		{"UNSUBSCRIBE", 0xa2, "\x00\x01\x00\x01a\x00\x03b/#", 4, 0},
		{"UNSUBSCRIBE with user property", 0xa2, "\x00\x01\x07\x26\x00\x01k\x00\x01v\x00\x01a", 5, 0},
		{"UNSUBSCRIBE with subscription identifier", 0xa2, "\x00\x01\x02\x0b\x01\x00\x01a", 5, wire.ProtocolError},
		{"UNSUBSCRIBE, no filter", 0xa2, "\x00\x01", 4, wire.ProtocolError},
		{"UNSUBSCRIBE, bad filter", 0xa2, "\x00\x01\x00\x02a#", 4, wire.FilterInvalid},
		{"UNSUBSCRIBE, identifier 0", 0xa2, "\x00\x00\x00\x01a", 4, wire.ProtocolError},
		{"UNSUBSCRIBE, cut", 0xa2, "\x00\x01\x00\x01", 4, wire.Malformed},
	})
}

func TestCheckFromServer(t *testing.T) {
	judge(t, wire.CheckFromServer, eitherSide)
	judge(t, wire.CheckFromServer, []verdict{
		{"PINGRESP", 0xd0, "", 4, 0},
		{"PINGRESP with a body", 0xd0, "x", 4, wire.Malformed},
		{"PINGREQ", 0xc0, "", 4, wire.ProtocolError},
		{"CONNECT", 0x10, "\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", 4, wire.ProtocolError},
		{"SUBSCRIBE", 0x82, "\x00\x01\x00\x01a\x01", 4, wire.ProtocolError},
		{"UNSUBSCRIBE", 0xa2, "\x00\x01\x00\x01a", 4, wire.ProtocolError},
		{"AUTH success", 0xf0, "\x00\x04\x15\x00\x01m", 5, 0},
		{"AUTH again", 0xf0, "\x19\x04\x15\x00\x01m", 5, wire.ProtocolError},
		{"AUTH, empty", 0xf0, "", 5, wire.ProtocolError},
		{"DISCONNECT before 5", 0xe0, "", 4, wire.ProtocolError},
		{"DISCONNECT: session taken over", 0xe0, "\x8e", 5, 0},
		{"DISCONNECT with will", 0xe0, "\x04", 5, wire.ProtocolError},
		{"DISCONNECT with session expiry", 0xe0, "\x00\x05\x11\x00\x00\x00\x09", 5, wire.ProtocolError},
		{"DISCONNECT with a server reference", 0xe0, "\x9c\x04\x1c\x00\x01x", 5, 0},
		{"CONNACK", 0x20, "\x01\x00", 4, 0},
		{"CONNACK of 3.1 with its reserved byte", 0x20, "\x07\x00", 3, 0},
		{"CONNACK with reserved flags", 0x20, "\x02\x00", 4, wire.Malformed},
		{"CONNACK with a reserved code", 0x20, "\x00\x80", 4, 0},
		{"CONNACK, session present and refused", 0x20, "\x01\x05", 4, wire.ProtocolError},
		{"CONNACK, one byte", 0x20, "\x00", 4, wire.Malformed},
		{"CONNACK with bytes behind", 0x20, "\x00\x00\x00", 4, wire.Malformed},
		{"CONNACK of 5", 0x20, "\x00\x00\x00", 5, 0},
		{"CONNACK of 5 with limits", 0x20, "\x00\x00\x0a\x21\x00\x14\x24\x01\x25\x00\x22\x00\x00", 5, 0},
		{"CONNACK of 5 without properties", 0x20, "\x00\x00", 5, wire.Malformed},
		{"CONNACK of a server that knows 3.1.1 only", 0x20, "\x00\x01", 5, 0},
		{"CONNACK of 5 with a code that is not", 0x20, "\x00\x8e\x00", 5, wire.ProtocolError},
		{"CONNACK: maximum QoS 2", 0x20, "\x00\x00\x02\x24\x02", 5, wire.ProtocolError},
		{"CONNACK: receive maximum 0", 0x20, "\x00\x00\x03\x21\x00\x00", 5, wire.ProtocolError},
		{"CONNACK: maximum packet size 0", 0x20, "\x00\x00\x05\x27\x00\x00\x00\x00", 5, wire.ProtocolError},
		{"CONNACK with a will delay", 0x20, "\x00\x00\x05\x18\x00\x00\x00\x00", 5, wire.ProtocolError},
		{"SUBACK", 0x90, "\x00\x01\x00\x01\x02\x80", 4, 0},
		{"SUBACK with a code of 5", 0x90, "\x00\x01\x87", 4, wire.ProtocolError},
		{"SUBACK without codes", 0x90, "\x00\x01", 4, wire.ProtocolError},
		{"SUBACK of 5", 0x90, "\x00\x01\x00\x01\x87", 5, 0},
		{"SUBACK of 5 with a reason of PUBACK", 0x90, "\x00\x01\x00\x10", 5, wire.ProtocolError},
		{"SUBACK with flags", 0x92, "\x00\x01\x00", 4, wire.Malformed},
		{"SUBACK for identifier 0", 0x90, "\x00\x00\x00", 4, wire.ProtocolError},
		{"UNSUBACK", 0xb0, "\x00\x01", 4, 0},
		{"UNSUBACK with codes before 5", 0xb0, "\x00\x01\x00", 4, wire.Malformed},
		{"UNSUBACK of 5", 0xb0, "\x00\x01\x00\x00\x11", 5, 0},
		{"UNSUBACK of 5 without codes", 0xb0, "\x00\x01\x00", 5, wire.ProtocolError},
	})
}

// Every packet of these tables that is let through is refused when it is cut anywhere but where it is whole again.
func TestCutAtEveryByte(t *testing.T) {
	for _, c := range []struct {
		name    string
		h       byte
		body    string
		version byte
		whole   map[int]bool // lengths that are packets too
		check   func(byte, []byte, byte) *wire.Fault
	}{
		{"SUBSCRIBE", 0x82, "\x00\x01\x0b\x0b\xff\x7f\x26\x00\x02kk\x00\x01v\x00\x03a/#\x01\x00\x0a$share/g/b\x02", 5, map[int]bool{20: true}, wire.Check},
		{"UNSUBSCRIBE", 0xa2, "\x00\x01\x00\x03a/#\x00\x01b", 4, map[int]bool{7: true}, wire.Check},
		{"DISCONNECT", 0xe0, "\x00\x09\x11\x00\x00\x00\x09\x1f\x00\x01x", 5, map[int]bool{0: true, 1: true}, wire.Check},
		{"CONNACK", 0x20, "\x00\x00\x0b\x21\x00\x14\x12\x00\x02id\x13\x00\x3c", 5, nil, wire.CheckFromServer},
		{"SUBACK", 0x90, "\x00\x01\x04\x1f\x00\x01x\x00\x80", 5, map[int]bool{8: true}, wire.CheckFromServer},
	} {
		b := []byte(c.body)
		if f := c.check(c.h, b, c.version); f != nil {
			t.Errorf("%s: whole, but refused: %v", c.name, f)
		}
		for n := range len(b) {
			if f := c.check(c.h, b[:n:n], c.version); (f == nil) != c.whole[n] {
				t.Errorf("%s cut at %d: %v", c.name, n, f)
			}
		}
	}
}
