// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"reflect"
	"testing"

	"edged/mqtt/wire"
)

// Covers 4:3.1.3-1 5:3.1.3-1.
func TestDecodeConnect(t *testing.T) {
	for _, c := range []struct {
		name string
		h    byte
		body string
		want wire.ConnectPacket
		code byte
	}{
		{name: "3.1.1", h: 0x10, body: "\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", want: wire.ConnectPacket{Level: 4, Clean: true, KeepAlive: 60, ClientID: "a"}},
		{name: "3.1", h: 0x10, body: "\x00\x06MQIsdp\x03\x00\x00\x00\x00\x01a", want: wire.ConnectPacket{Level: 3, ClientID: "a"}},
		{name: "5 without identifier", h: 0x10, body: "\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x00", want: wire.ConnectPacket{Level: 5}},
		{
			name: "user and password", h: 0x10, body: "\x00\x04MQTT\x04\xc0\x00\x00\x00\x01a\x00\x01u\x00\x02p\x00",
			want: wire.ConnectPacket{Level: 4, ClientID: "a", HasUser: true, User: "u", HasPassword: true, Password: []byte("p\x00")},
		},
		{
			name: "empty password", h: 0x10, body: "\x00\x04MQTT\x04\xc0\x00\x00\x00\x01a\x00\x01u\x00\x00",
			want: wire.ConnectPacket{Level: 4, ClientID: "a", HasUser: true, User: "u", HasPassword: true, Password: []byte{}},
		},
		{
			name: "password without user in 5", h: 0x10, body: "\x00\x04MQTT\x05\x40\x00\x00\x00\x00\x01a\x00\x01p",
			want: wire.ConnectPacket{Level: 5, ClientID: "a", HasPassword: true, Password: []byte("p")},
		},
		{
			name: "will", h: 0x10, body: "\x00\x04MQTT\x04\x2c\x00\x00\x00\x01a\x00\x01t\x00\x02hi",
			want: wire.ConnectPacket{Level: 4, ClientID: "a", Will: &wire.WillPacket{Message: wire.Message{Topic: "t", Payload: []byte("hi"), QoS: 1, Retain: true}}},
		},
		{
			name: "empty will payload", h: 0x10, body: "\x00\x04MQTT\x04\x04\x00\x00\x00\x01a\x00\x01t\x00\x00",
			want: wire.ConnectPacket{Level: 4, ClientID: "a", Will: &wire.WillPacket{Message: wire.Message{Topic: "t", Payload: []byte{}}}},
		},
		{
			name: "properties", h: 0x10, body: "\x00\x04MQTT\x05\x02\x00\x00\x1b\x11\x00\x00\x0e\x10\x21\x00\x14\x27\x00\x01\x00\x00\x22\x00\x0a\x17\x00\x19\x01\x15\x00\x04SCRA\x00\x01a",
			want: wire.ConnectPacket{Level: 5, Clean: true, ClientID: "a", SessionExpiry: 3600, ReceiveMaximum: 20, MaximumPacketSize: 65536, TopicAliasMaximum: 10, NoProblemInfo: true, WantsResponseInfo: true, AuthMethod: "SCRA"},
		},
		{
			name: "will properties", h: 0x10, body: "\x00\x04MQTT\x05\x04\x00\x00\x00\x00\x01a\x13\x18\x00\x00\x00\x05\x01\x01\x02\x00\x00\x00\x09\x26\x00\x01k\x00\x01v\x00\x01t\x00\x01p",
			want: wire.ConnectPacket{Level: 5, ClientID: "a", Will: &wire.WillPacket{
				Message: wire.Message{Topic: "t", Payload: []byte("p"), Props: []byte("\x01\x01\x26\x00\x01k\x00\x01v")}, Delay: 5, Life: 9,
			}},
		},
		{name: "level 6", h: 0x10, body: "\x00\x04MQTT\x06\xff"},
		{name: "a bridge's level", h: 0x10, body: "\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a"},
		{name: "MQTT at level 3", h: 0x10, body: "\x00\x04MQTT\x03\x02\x00\x3c\x00\x01a"},
		{name: "MQIsdp at level 4", h: 0x10, body: "\x00\x06MQIsdp\x04\x02\x00\x3c\x00\x01a"},

		{name: "not CONNECT", h: 0x30, body: "\x00\x01a", code: wire.ProtocolError},
		{name: "fixed header flags", h: 0x11, body: "\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", code: wire.Malformed},
		{name: "name in lower case", h: 0x10, body: "\x00\x04mqtt\x04\x02\x00\x3c\x00\x01a", code: wire.ProtocolError},
		{name: "name with U+0000", h: 0x10, body: "\x00\x05MQTT\x00\x04\x02\x00\x3c\x00\x01a", code: wire.ProtocolError},
		{name: "reserved flag", h: 0x10, body: "\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a", code: wire.Malformed},
		{name: "will QoS without will", h: 0x10, body: "\x00\x04MQTT\x04\x0a\x00\x3c\x00\x01a", code: wire.Malformed},
		{name: "will retain without will", h: 0x10, body: "\x00\x04MQTT\x04\x22\x00\x3c\x00\x01a", code: wire.Malformed},
		{name: "will QoS 3", h: 0x10, body: "\x00\x04MQTT\x04\x1c\x00\x3c\x00\x01a\x00\x01t\x00\x00", code: wire.Malformed},
		{name: "password without user", h: 0x10, body: "\x00\x04MQTT\x04\x42\x00\x3c\x00\x01a\x00\x01p", code: wire.Malformed},
		{name: "wildcard in the will topic", h: 0x10, body: "\x00\x04MQTT\x04\x04\x00\x00\x00\x01a\x00\x01#\x00\x00", code: wire.TopicInvalid},
		{name: "empty will topic", h: 0x10, body: "\x00\x04MQTT\x04\x04\x00\x00\x00\x01a\x00\x00\x00\x00", code: wire.TopicInvalid},
		{name: "surrogate in the client identifier", h: 0x10, body: "\x00\x04MQTT\x04\x02\x00\x00\x00\x03\xed\xa0\x80", code: wire.Malformed},
		{name: "U+0000 in the client identifier", h: 0x10, body: "\x00\x04MQTT\x04\x02\x00\x00\x00\x01\x00", code: wire.Malformed},
		{name: "user is not UTF-8", h: 0x10, body: "\x00\x04MQTT\x04\x82\x00\x00\x00\x01a\x00\x01\xff", code: wire.Malformed},
		{name: "user missing", h: 0x10, body: "\x00\x04MQTT\x04\x82\x00\x00\x00\x01a", code: wire.Malformed},
		{name: "password missing", h: 0x10, body: "\x00\x04MQTT\x04\xc2\x00\x00\x00\x01a\x00\x01u", code: wire.Malformed},
		{name: "bytes behind", h: 0x10, body: "\x00\x04MQTT\x04\x02\x00\x00\x00\x01a\x00", code: wire.Malformed},
		{name: "receive maximum 0", h: 0x10, body: "\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01a", code: wire.ProtocolError},
		{name: "authentication data without method", h: 0x10, body: "\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01x\x00\x01a", code: wire.ProtocolError},
		{name: "request problem information 2", h: 0x10, body: "\x00\x04MQTT\x05\x02\x00\x00\x02\x17\x02\x00\x01a", code: wire.ProtocolError},
		{name: "session expiry twice", h: 0x10, body: "\x00\x04MQTT\x05\x02\x00\x00\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01\x00\x01a", code: wire.ProtocolError},
		{name: "will delay among the properties", h: 0x10, body: "\x00\x04MQTT\x05\x02\x00\x00\x05\x18\x00\x00\x00\x01\x00\x01a", code: wire.ProtocolError},
		{name: "a will without properties in 5", h: 0x10, body: "\x00\x04MQTT\x05\x04\x00\x00\x00\x00\x01a", code: wire.Malformed},
		{name: "topic alias in a will", h: 0x10, body: "\x00\x04MQTT\x05\x04\x00\x00\x00\x00\x01a\x03\x23\x00\x01\x00\x01t\x00\x00", code: wire.ProtocolError},
		{name: "response topic of a will with a wildcard", h: 0x10, body: "\x00\x04MQTT\x05\x04\x00\x00\x00\x00\x01a\x04\x08\x00\x01+\x00\x01t\x00\x00", code: wire.ProtocolError},
	} {
		body := []byte(c.body)
		p, f := wire.DecodeConnect(c.h, body)
		if f != nil || c.code != 0 {
			if f == nil || f.Code != c.code {
				t.Errorf("%s: got %v, want code %#x", c.name, f, c.code)
			}
			continue
		}
		clear(body) // p owns its bytes
		if !reflect.DeepEqual(*p, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, *p, c.want)
		}
	}
}

func TestAppendConnectIsReadBack(t *testing.T) {
	full := func(level byte) *wire.ConnectPacket {
		return &wire.ConnectPacket{
			Level: level, Clean: true, KeepAlive: 30, ClientID: "edged-dev-air", HasUser: true, User: "ü", HasPassword: true,
			Password: []byte{0, 1}, Will: &wire.WillPacket{Message: wire.Message{Topic: "a/b", Payload: []byte("offline"), QoS: 2, Retain: true}},
		}
	}
	five := full(5)
	five.SessionExpiry, five.ReceiveMaximum, five.MaximumPacketSize, five.NoProblemInfo = 3600, 20, 1<<20, true
	five.WantsResponseInfo = true
	five.Will.Delay, five.Will.Life = 5, 60
	five.Will.Props = []byte("\x01\x01\x03\x00\x01c\x08\x00\x01r\x09\x00\x01x\x26\x00\x01k\x00\x01v")
	empty := &wire.ConnectPacket{Level: 5, Will: &wire.WillPacket{Message: wire.Message{Topic: "t", Payload: []byte{}}}, HasPassword: true, Password: []byte{}}
	for name, p := range map[string]*wire.ConnectPacket{"3.1": full(3), "3.1.1": full(4), "5": five, "empty payload and password": empty} {
		b := wire.AppendConnect([]byte("x"), p)[1:]
		h, body, size, _, f := wire.Frame(b)
		if f != nil || size != len(b) {
			t.Fatalf("%s: % x: %v", name, b, f)
		}
		got, f := wire.DecodeConnect(h, body)
		if f != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: read back %+v, %v", name, got, f)
		}
		for n := range len(body) {
			if _, f := wire.DecodeConnect(h, body[:n:n]); f == nil {
				t.Errorf("%s cut at %d: let through", name, n)
			}
		}
	}
}

func TestAppendConnectLeavesOutBadWillProperties(t *testing.T) {
	p := &wire.ConnectPacket{Level: 5, Will: &wire.WillPacket{Message: wire.Message{Topic: "t", Props: []byte("\x03\x00\x09")}}}
	b := wire.AppendConnect(nil, p)
	if got, f := wire.DecodeConnect(b[0], b[2:]); f != nil || got.Will.Props != nil {
		t.Errorf("% x: %+v, %v", b, got, f)
	}
}

func TestConnack(t *testing.T) {
	full := &wire.ConnackPacket{
		SessionPresent: true, SessionExpiry: new(uint32(9)), ReceiveMaximum: 20, MaximumQoS: new(byte(1)), NoRetain: true,
		MaximumPacketSize: 1000, AssignedClientID: "id", TopicAliasMaximum: 10, Reason: "because", ServerKeepAlive: new(uint16(0)),
		NoWildcards: true, NoSubIDs: true, NoShared: true, ResponseInfo: "response/id", Server: "other:1883",
	}
	for _, c := range []struct {
		name    string
		version byte
		p       *wire.ConnackPacket
		bytes   string // "": not looked at
		back    *wire.ConnackPacket
	}{
		{"3.1 has no session present", 3, full, "\x20\x02\x00\x00", &wire.ConnackPacket{}},
		{"3.1.1", 4, full, "\x20\x02\x01\x00", &wire.ConnackPacket{SessionPresent: true}},
		{"3.1.1 refused", 4, &wire.ConnackPacket{SessionPresent: true, Code: 5}, "\x20\x02\x00\x05", &wire.ConnackPacket{Code: 5}},
		{"5", 5, &wire.ConnackPacket{}, "\x20\x03\x00\x00\x00", &wire.ConnackPacket{}},
		{"5 with all", 5, full, "", full},
	} {
		b := wire.AppendConnack(nil, c.p, c.version)
		if c.bytes != "" && !bytes.Equal(b, []byte(c.bytes)) {
			t.Errorf("%s: got % x, want % x", c.name, b, c.bytes)
		}
		got, f := wire.DecodeConnack(b[2:], c.version)
		if f != nil || !reflect.DeepEqual(got, c.back) {
			t.Errorf("%s: read back %+v, %v", c.name, got, f)
		}
	}
	if p, f := wire.DecodeConnack([]byte{0, 1}, 5); f != nil || p.Code != wire.UnsupportedVersion {
		t.Errorf("a server of 3.1.1 answers MQTT 5: %+v, %v", p, f)
	}
	if _, f := wire.DecodeConnack([]byte{0, 0}, 5); f == nil {
		t.Error("CONNACK of MQTT 5 without properties: let through")
	}
}

func TestSubscribeIsReadBack(t *testing.T) {
	p := &wire.SubscribePacket{ID: 300, SubscriptionID: 268435455, Filters: []wire.Subscription{
		{Filter: "edged/+/set", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}, {Filter: "$share/g/#", QoS: 2}, {Filter: "höhe"},
	}}
	plain := &wire.SubscribePacket{ID: 300, Filters: []wire.Subscription{{Filter: "edged/+/set", QoS: 1}, {Filter: "$share/g/#", QoS: 2}, {Filter: "höhe"}}}
	for version, want := range map[byte]*wire.SubscribePacket{3: plain, 4: plain, 5: p} {
		b := wire.AppendSubscribe(nil, p, version)
		if f := wire.Check(b[0], b[2:], version); f != nil {
			t.Errorf("version %d: % x refused: %v", version, b, f)
		}
		body := bytes.Clone(b[2:])
		got, f := wire.DecodeSubscribe(body, version)
		clear(body)
		if f != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: read back %+v, %v", version, got, f)
		}
	}
	u := &wire.UnsubscribePacket{ID: 7, Filters: []string{"a", "b/#"}}
	for _, version := range []byte{3, 4, 5} {
		b := wire.AppendUnsubscribe(nil, u, version)
		if f := wire.Check(b[0], b[2:], version); f != nil {
			t.Errorf("version %d: % x refused: %v", version, b, f)
		}
		if got, f := wire.DecodeUnsubscribe(b[2:], version); f != nil || !reflect.DeepEqual(got, u) {
			t.Errorf("version %d: read back %+v, %v", version, got, f)
		}
	}
	if b := wire.AppendSubscribe([]byte("x"), &wire.SubscribePacket{Filters: plain.Filters}, 4); string(b) != "x" {
		t.Errorf("SUBSCRIBE with identifier 0 was written: % x", b)
	}
}

func TestAnswersAreReadBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		append  func([]byte, uint16, []byte, byte) []byte
		decode  func([]byte, byte) (uint16, []byte, *wire.Fault)
		version byte
		codes   string
		bytes   string
		back    string
	}{
		{"SUBACK", wire.AppendSuback, wire.DecodeSuback, 4, "\x00\x02\x80", "\x90\x05\x01\x2c\x00\x02\x80", "\x00\x02\x80"},
		{"SUBACK of 5", wire.AppendSuback, wire.DecodeSuback, 5, "\x01\x87", "\x90\x05\x01\x2c\x00\x01\x87", "\x01\x87"},
		{"UNSUBACK", wire.AppendUnsuback, wire.DecodeUnsuback, 4, "\x00\x11", "\xb0\x02\x01\x2c", ""},
		{"UNSUBACK of 5", wire.AppendUnsuback, wire.DecodeUnsuback, 5, "\x00\x11", "\xb0\x05\x01\x2c\x00\x00\x11", "\x00\x11"},
	} {
		b := c.append(nil, 300, []byte(c.codes), c.version)
		if string(b) != c.bytes {
			t.Errorf("%s: got % x, want % x", c.name, b, c.bytes)
		}
		id, codes, f := c.decode(b[2:], c.version)
		if f != nil || id != 300 || string(codes) != c.back {
			t.Errorf("%s: read back %d, % x, %v", c.name, id, codes, f)
		}
	}
}

func TestDisconnect(t *testing.T) {
	for _, c := range []struct {
		name    string
		body    string
		version byte
		want    *wire.DisconnectPacket
	}{
		{"3.1.1", "", 4, &wire.DisconnectPacket{}},
		{"3.1.1 with a body", "\x00", 4, nil},
		{"5, empty", "", 5, &wire.DisconnectPacket{}},
		{"5, one byte, which mochi skips", "\x04", 5, &wire.DisconnectPacket{Reason: 4}},
		{"5, empty properties", "\x8e\x00", 5, &wire.DisconnectPacket{Reason: 0x8e}},
		{"5, from a client", "\x00\x05\x11\x00\x00\x00\x00", 5, &wire.DisconnectPacket{SessionExpiry: new(uint32(0))}},
		{"5, from a server", "\x8b\x07\x1c\x00\x01s\x1f\x00\x00", 5, &wire.DisconnectPacket{Reason: 0x8b, Server: "s"}},
		{"5, what neither sends", "\x8b\x05\x11\x00\x00\x00\x00", 5, nil},
	} {
		got, f := wire.DecodeDisconnect([]byte(c.body), c.version)
		if (f == nil) != (c.want != nil) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, f, c.want)
		}
	}
	p := &wire.DisconnectPacket{Reason: wire.ServerShuttingDown, Text: "bye", Server: "other"}
	b := wire.AppendDisconnect(nil, p, 5)
	if got, f := wire.DecodeDisconnect(b[2:], 5); f != nil || !reflect.DeepEqual(got, p) || wire.CheckFromServer(b[0], b[2:], 5) != nil {
		t.Errorf("% x: read back %+v, %v", b, got, f)
	}
	if b := wire.AppendDisconnect(nil, p, 4); string(b) != "\xe0\x00" {
		t.Errorf("3.1.1: % x", b)
	}
}
