// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"edged/mqtt/wire"
)

func TestReadPublish(t *testing.T) {
	const now = 1000
	for _, c := range []struct {
		name    string
		h       byte
		body    string
		version byte
		server  bool
		want    wire.Inbound
		props   string
		code    byte
	}{
		{name: "QoS 0", h: 0x30, body: "\x00\x01ax", version: 4, want: wire.Inbound{Topic: []byte("a"), Message: wire.Message{Payload: []byte("x")}}},
		{name: "no payload, retained", h: 0x31, body: "\x00\x01a", version: 4, want: wire.Inbound{Topic: []byte("a"), Message: wire.Message{Payload: []byte{}, Retain: true}}},
		{name: "QoS 1 again", h: 0x3a, body: "\x00\x01a\x01\x02x", version: 3, want: wire.Inbound{Topic: []byte("a"), ID: 258, Dup: true, Message: wire.Message{Payload: []byte("x"), QoS: 1}}},
		{name: "QoS 2 of MQTT 5", h: 0x34, body: "\x00\x01a\x00\x01\x00x", version: 5, want: wire.Inbound{Topic: []byte("a"), ID: 1, Message: wire.Message{Payload: []byte("x"), QoS: 2}}},
		{name: "alias without topic", h: 0x30, body: "\x00\x00\x03\x23\x00\x07x", version: 5, want: wire.Inbound{Topic: []byte{}, Alias: 7, Message: wire.Message{Payload: []byte("x")}}},
		{
			name: "expiry is taken out", h: 0x30, body: "\x00\x01a\x0a\x02\x00\x00\x00\x09\x03\x00\x02ctx", version: 5, props: "\x03\x00\x02ct",
			want: wire.Inbound{Topic: []byte("a"), Message: wire.Message{Payload: []byte("x"), Expires: 1009}},
		},
		{
			name: "format and user properties travel on", h: 0x30, body: "\x00\x01a\x10\x01\x01\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01wx", version: 5,
			props: "\x01\x01\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w", want: wire.Inbound{Topic: []byte("a"), Message: wire.Message{Payload: []byte("x")}},
		},
		{
			name: "subscription identifiers from a server", h: 0x30, body: "\x00\x01a\x05\x0b\x01\x0b\x80\x01x", version: 5, server: true,
			want: wire.Inbound{Topic: []byte("a"), SubIDs: []uint32{1, 128}, Message: wire.Message{Payload: []byte("x")}},
		},
		{
			name: "a lie about UTF-8 from a server", h: 0x30, body: "\x00\x01a\x02\x01\x01\xff", version: 5, server: true, props: "\x01\x01",
			want: wire.Inbound{Topic: []byte("a"), Message: wire.Message{Payload: []byte("\xff")}},
		},
		{
			name: "U+0000 in a payload of text", h: 0x30, body: "\x00\x01a\x02\x01\x01\x00", version: 5, props: "\x01\x01",
			want: wire.Inbound{Topic: []byte("a"), Message: wire.Message{Payload: []byte{0}}},
		},

		{name: "QoS 3", h: 0x36, body: "\x00\x01a\x00\x01x", version: 4, code: wire.Malformed},
		{name: "DUP at QoS 0", h: 0x38, body: "\x00\x01ax", version: 4, code: wire.Malformed},
		{name: "another packet", h: 0x40, body: "\x00\x01ax", version: 4, code: wire.Malformed},
		{name: "packet identifier 0", h: 0x32, body: "\x00\x01a\x00\x00x", version: 4, code: wire.ProtocolError},
		{name: "no packet identifier", h: 0x32, body: "\x00\x01a\x00", version: 4, code: wire.Malformed},
		{name: "topic past the end", h: 0x30, body: "\x00\x02a", version: 4, code: wire.Malformed},
		{name: "empty topic", h: 0x30, body: "\x00\x00x", version: 4, code: wire.ProtocolError},
		{name: "empty topic without alias", h: 0x30, body: "\x00\x00\x00x", version: 5, code: wire.ProtocolError},
		{name: "wildcard", h: 0x30, body: "\x00\x03a/+x", version: 4, code: wire.TopicInvalid},
		{name: "U+0000 in the topic", h: 0x30, body: "\x00\x02a\x00x", version: 4, code: wire.Malformed},
		{name: "surrogate in the topic", h: 0x30, body: "\x00\x03\xed\xa0\x80x", version: 4, code: wire.Malformed},
		{name: "no properties", h: 0x30, body: "\x00\x01a", version: 5, code: wire.Malformed},
		{name: "properties past the end", h: 0x30, body: "\x00\x01a\x05\x01\x01", version: 5, code: wire.Malformed},
		{name: "alias 0", h: 0x30, body: "\x00\x01a\x03\x23\x00\x00", version: 5, code: wire.AliasInvalid},
		{name: "alias twice", h: 0x30, body: "\x00\x01a\x06\x23\x00\x01\x23\x00\x01", version: 5, code: wire.ProtocolError},
		{name: "subscription identifier from a client", h: 0x30, body: "\x00\x01a\x02\x0b\x01", version: 5, code: wire.ProtocolError},
		{name: "subscription identifier 0", h: 0x30, body: "\x00\x01a\x02\x0b\x00", version: 5, server: true, code: wire.ProtocolError},
		{name: "wildcard in the response topic", h: 0x30, body: "\x00\x01a\x04\x08\x00\x01#", version: 5, code: wire.ProtocolError},
		{name: "payload format 2", h: 0x30, body: "\x00\x01a\x02\x01\x02", version: 5, code: wire.ProtocolError},
		{name: "a lie about UTF-8", h: 0x30, body: "\x00\x01a\x02\x01\x01\xff", version: 5, code: wire.PayloadInvalid},
		{name: "will delay", h: 0x30, body: "\x00\x01a\x05\x18\x00\x00\x00\x01", version: 5, code: wire.ProtocolError},
	} {
		p := wire.Inbound{SubIDs: []uint32{9}, Alias: 9, ID: 9}
		f := wire.ReadPublish(c.h, []byte(c.body), c.version, c.server, now, nil, &p)
		if f != nil || c.code != 0 {
			if f == nil || f.Code != c.code {
				t.Errorf("%s: got %v, want code %#x", c.name, f, c.code)
			}
			continue
		}
		if string(p.Props) != c.props {
			t.Errorf("%s: properties % x, want % x", c.name, p.Props, c.props)
		}
		if p.Props = nil; len(p.SubIDs) == 0 {
			p.SubIDs = nil
		}
		if !reflect.DeepEqual(p, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, p, c.want)
		}
	}
}

func TestPublishCutAtEveryByte(t *testing.T) {
	whole := []byte("\x00\x03a/b\x00\x07\x11\x01\x01\x02\x00\x00\x00\x09\x03\x00\x01c\x09\x00\x03xyzpayload")
	var p wire.Inbound
	if f := wire.ReadPublish(0x32, whole, 5, false, 0, nil, &p); f != nil {
		t.Fatal(f)
	}
	for n := range len(whole) - len("payload") {
		if f := wire.ReadPublish(0x32, whole[:n:n], 5, false, 0, nil, &p); f == nil {
			t.Errorf("cut at %d: let through", n)
		}
	}
}

func TestAppendPublishIsReadBack(t *testing.T) {
	m := &wire.Message{Topic: "edged/gw/dev/air/data", Payload: []byte(`{"pm25":8}`), Props: []byte("\x03\x00\x02ct"), Expires: 1060}
	for _, version := range []byte{3, 4, 5} {
		for qos := range byte(3) {
			id := uint16(qos) * 300
			b := wire.AppendPublish([]byte("before"), m, version, qos, id, qos > 0, true, []uint32{1, 268435455}, 1000)[6:]
			if n := wire.PublishSize(m, version, qos, []uint32{1, 268435455}); n != len(b) {
				t.Errorf("version %d, QoS %d: PublishSize says %d, it is %d", version, qos, n, len(b))
			}
			h, body, size, _, f := wire.Frame(b)
			if f != nil || size != len(b) {
				t.Fatalf("version %d, QoS %d: framed as %d of %d bytes, %v", version, qos, size, len(b), f)
			}
			var p wire.Inbound
			if f := wire.ReadPublish(h, body, version, true, 2000, nil, &p); f != nil {
				t.Fatalf("version %d, QoS %d: %v", version, qos, f)
			}
			if string(p.Topic) != m.Topic || !bytes.Equal(p.Payload, m.Payload) || p.ID != id || p.QoS != qos || p.Dup != (qos > 0) || !p.Retain {
				t.Errorf("version %d, QoS %d: read back %+v", version, qos, p)
			}
			if version == 5 && (p.Expires != 2060 || !bytes.Equal(p.Props, m.Props) || !reflect.DeepEqual(p.SubIDs, []uint32{1, 268435455})) {
				t.Errorf("QoS %d: properties read back as %+v", qos, p)
			}
		}
	}
}

func TestAppendAliasedIsReadBack(t *testing.T) {
	m := &wire.Message{Topic: "edged/gw/dev/air/data", Payload: make([]byte, 80), Props: []byte("\x03\x00\x02ct"), Expires: 1060}
	for _, known := range []bool{false, true} {
		b := wire.AppendAliased(nil, m, 300, known, 1, 7, true, true, []uint32{1}, 1000)
		if n := wire.PublishSize(m, 5, 1, []uint32{1}); len(b) > n+wire.AliasSize {
			t.Errorf("%d bytes, %d without an alias", len(b), n)
		}
		h, body, size, _, f := wire.Frame(b)
		if f != nil || size != len(b) {
			t.Fatalf("framed as %d of %d bytes, %v", size, len(b), f)
		}
		var p wire.Inbound
		if f := wire.ReadPublish(h, body, 5, true, 2000, nil, &p); f != nil {
			t.Fatal(f)
		}
		want := m.Topic
		if known {
			want = ""
		}
		if string(p.Topic) != want || p.Alias != 300 || len(p.Payload) != 80 || p.ID != 7 || p.QoS != 1 || !p.Dup || !p.Retain || p.Expires != 2060 || !bytes.Equal(p.Props, m.Props) {
			t.Errorf("known %t: read back %+v", known, p)
		}
	}
}

func TestAppendPublishOfWhatHasExpired(t *testing.T) {
	b := wire.AppendPublish(nil, &wire.Message{Topic: "a", Expires: 10}, 5, 0, 0, false, false, nil, 99)
	if want := []byte("\x30\x09\x00\x01a\x05\x02\x00\x00\x00\x01"); !bytes.Equal(b, want) {
		t.Errorf("got % x, want % x", b, want)
	}
}

func TestKeepOwnsItsBytes(t *testing.T) {
	buf := []byte("payloadprops")
	m := wire.Message{Topic: "a", Payload: buf[:7], Props: buf[7:]}
	k := m.Keep()
	copy(buf, "XXXXXXXXXXXX")
	if string(k.Payload) != "payload" || string(k.Props) != "props" || k.Topic != "a" {
		t.Errorf("got %q %q", k.Payload, k.Props)
	}
	if k.Payload = append(k.Payload, '!'); string(k.Props) != "props" {
		t.Error("the payload grew into the properties")
	}
	if m.Size() < len(buf) {
		t.Errorf("size %d", m.Size())
	}
}

var (
	frame4  = append([]byte("\x00\x11bench7/dev3/data!\x00\x07"), make([]byte, 64)...)
	frame5  = []byte("\x00\x16edged/gw/dev/höhe/dat\x00\x07\x12\x01\x01\x02\x00\x00\x00\x09\x0b\x07\x26\x00\x01k\x00\x03valpayload")
	message = &wire.Message{Topic: "bench7/dev3/data!", Payload: make([]byte, 64), Props: []byte("\x01\x00"), Expires: 9}
)

func TestPublishDoesNotAllocate(t *testing.T) {
	var p wire.Inbound
	p.SubIDs = make([]uint32, 0, 4)
	scratch := make([]byte, 0, 64)
	if f := wire.ReadPublish(0x32, frame5, 5, true, 0, scratch, &p); f != nil {
		t.Fatal(f)
	}
	out := make([]byte, 0, 256)
	ids := []uint32{7}
	for name, f := range map[string]func(){
		"read 3.1.1":   func() { wire.ReadPublish(0x32, frame4, 4, false, 0, scratch, &p) },
		"read 5":       func() { wire.ReadPublish(0x32, frame5, 5, true, 0, scratch, &p) },
		"append 3.1.1": func() { out = wire.AppendPublish(out[:0], message, 4, 1, 7, false, false, nil, 0) },
		"append 5":     func() { out = wire.AppendPublish(out[:0], message, 5, 1, 7, false, false, ids, 0) },
		"frame":        func() { wire.Frame(out) },
		"ack":          func() { out = wire.AppendAck(out[:0], wire.Puback, 7, 0x10, 5) },
		"check ack":    func() { wire.Check(0x40, frame4[19:21], 4) },
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestLongTopicAndManyProperties(t *testing.T) {
	user := "\x26\x00\x01k\x00\x01v"
	for _, c := range []struct {
		n      int
		server bool
		ok     bool
	}{{64, false, true}, {65, false, false}, {65, true, true}} {
		block := strings.Repeat(user, c.n)
		body := append([]byte("\x00\x01a"), wire.AppendLength(nil, len(block))...)
		var p wire.Inbound
		f := wire.ReadPublish(0x30, append(body, block...), 5, c.server, 0, nil, &p)
		if (f == nil) != c.ok {
			t.Errorf("%d user properties, from a server %t: %v", c.n, c.server, f)
		}
	}
}

func BenchmarkReadPublish(b *testing.B) {
	b.ReportAllocs()
	var p wire.Inbound
	for b.Loop() {
		wire.ReadPublish(0x32, frame4, 4, false, 0, nil, &p)
	}
}

func BenchmarkReadPublish5(b *testing.B) {
	b.ReportAllocs()
	var p wire.Inbound
	scratch := make([]byte, 0, 64)
	for b.Loop() {
		wire.ReadPublish(0x32, frame5, 5, true, 0, scratch, &p)
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = wire.AppendPublish(out[:0], message, 5, 1, 7, false, false, nil, 0)
	}
}
