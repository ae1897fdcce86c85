// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"edged/mqtt/wire"
)

var versions = []byte{3, 4, 5}

// What a client sends and is let through, mochi's decoder takes too and reads the same; nothing panics.
func FuzzFromClient(f *testing.F) {
	f.Add(byte(0x82), []byte{0, 1, 0, 0, 3, 'a', '/', 'b'}, byte(2)) // mochi-mqtt/server#501: options byte missing
	f.Add(byte(0x82), []byte{0, 1, 2, 0x0b, 3, 0, 1, 'a', 1}, byte(2))
	f.Add(byte(0x82), []byte("\x00\x01\x00\x0a$share/g/a\x02"), byte(1))
	f.Add(byte(0xa2), []byte{0, 1, 0, 1, 'a'}, byte(0))
	f.Add(byte(0xe0), []byte{4, 5, 0x11, 0, 0, 0, 9}, byte(2))
	f.Add(byte(0x40), []byte("\x00\x01\x00\x04\x1f\x00\x01x"), byte(2))
	f.Add(byte(0xf0), []byte("\x18\x04\x15\x00\x01m"), byte(2))
	f.Add(byte(0x10), []byte("\x00\x04MQTT\x05\x04\x00\x00\x00\x00\x01a\x05\x18\x00\x00\x00\x05\x00\x01t\x00\x01p"), byte(0))
	f.Add(byte(0x10), []byte("\x00\x06MQIsdp\x03\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x01p"), byte(0))
	f.Add(byte(0x32), []byte("\x00\x01a\x00\x01\x05\x02\x00\x00\x00\x09x"), byte(2))
	f.Fuzz(func(t *testing.T, h byte, body []byte, v byte) {
		version := versions[v%3]
		switch h >> 4 {
		case wire.Connect:
			compareConnect(t, h, body)
		case wire.Publish:
			comparePublish(t, h, body, version, false)
		default:
			if wire.Check(h, body, version) == nil {
				compareControl(t, h, body, version)
			}
		}
	})
}

// The same for what a server sends.
func FuzzFromServer(f *testing.F) {
	f.Add(byte(0x20), []byte{1, 0}, byte(1))
	f.Add(byte(0x20), []byte("\x00\x00\x0b\x21\x00\x14\x12\x00\x02id\x13\x00\x3c"), byte(2))
	f.Add(byte(0x90), []byte("\x00\x01\x04\x1f\x00\x01x\x00\x80"), byte(2))
	f.Add(byte(0xb0), []byte("\x00\x01\x00\x11"), byte(2))
	f.Add(byte(0xe0), []byte("\x9c\x04\x1c\x00\x01x"), byte(2))
	f.Add(byte(0x34), []byte("\x00\x01a\x00\x01\x05\x0b\x01\x0b\x80\x01x"), byte(2))
	f.Fuzz(func(t *testing.T, h byte, body []byte, v byte) {
		version := versions[v%3]
		if h>>4 == wire.Publish {
			comparePublish(t, h, body, version, true)
		} else if wire.CheckFromServer(h, body, version) == nil {
			compareControl(t, h, body, version)
		}
	})
}

func compareConnect(t *testing.T, h byte, body []byte) {
	p, f := wire.DecodeConnect(h, body)
	if f != nil || p.Level == 0 {
		return
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect, Remaining: len(body)}}
	if err := pk.ConnectDecode(body); err != nil {
		t.Fatalf("% x: let through, but the decoder says %v", body, err)
	}
	legal := pk.Connect.PasswordFlag && len(pk.Connect.Password) == 0 || pk.Connect.WillFlag && len(pk.Connect.WillPayload) == 0
	if code := pk.ConnectValidate(); code != packets.CodeSuccess && !legal {
		t.Errorf("% x: let through, but the validator says %v", body, code)
	}
	if p.ClientID != pk.Connect.ClientIdentifier || p.User != string(pk.Connect.Username) || p.KeepAlive != pk.Connect.Keepalive ||
		p.Level != pk.ProtocolVersion || p.Clean != pk.Connect.Clean || !bytes.Equal(p.Password, pk.Connect.Password) {
		t.Errorf("% x: got %+v, the decoder %+v", body, p, pk.Connect)
	}
	b := wire.AppendConnect(nil, p)
	h, body, _, _, _ = wire.Frame(b)
	if again, f := wire.DecodeConnect(h, body); f != nil || again.ClientID != p.ClientID || (again.Will == nil) != (p.Will == nil) {
		t.Errorf("%+v: written as % x, read back as %+v, %v", p, b, again, f)
	}
}

func comparePublish(t *testing.T, h byte, body []byte, version byte, server bool) {
	var p wire.Inbound
	if wire.ReadPublish(h, body, version, server, 0, nil, &p) != nil {
		return
	}
	pk := packets.Packet{ProtocolVersion: version, FixedHeader: packets.FixedHeader{Type: packets.Publish, Remaining: len(body), Qos: p.QoS}}
	if err := pk.PublishDecode(body); err != nil {
		t.Fatalf("%#x % x: let through, but the decoder says %v", h, body, err)
	}
	if code := pk.PublishValidate(65535); code != packets.CodeSuccess && !server {
		t.Errorf("%#x % x: let through, but the validator says %v", h, body, code)
	}
	if pk.TopicName != string(p.Topic) || !bytes.Equal(pk.Payload, p.Payload) || pk.PacketID != p.ID || pk.Properties.TopicAlias != p.Alias ||
		int64(pk.Properties.MessageExpiryInterval) != p.Expires || len(pk.Properties.SubscriptionIdentifier) != len(p.SubIDs) {
		t.Errorf("%#x % x: got %+v, the decoder %+v", h, body, p, pk)
	}
	m := p.Message
	m.Topic = string(p.Topic)
	if m.Topic == "" {
		return
	}
	b := wire.AppendPublish(nil, &m, version, m.QoS, p.ID, p.Dup, m.Retain, p.SubIDs, 0)
	h2, body, size, _, f := wire.Frame(b)
	var q wire.Inbound
	if f == nil {
		f = wire.ReadPublish(h2, body, version, server, 0, nil, &q)
	}
	if f != nil || h2 != h || size != len(b) || !bytes.Equal(p.Topic, q.Topic) || !bytes.Equal(p.Payload, q.Payload) || !bytes.Equal(p.Props, q.Props) || p.ID != q.ID {
		t.Errorf("%+v: written as % x, read back as %+v, %v", p, b, q, f)
	}
}

func compareControl(t *testing.T, h byte, body []byte, version byte) {
	pk := packets.Packet{ProtocolVersion: version, FixedHeader: packets.FixedHeader{Type: h >> 4, Remaining: len(body)}}
	var err error
	var f *wire.Fault
	switch h >> 4 {
	case wire.Connack:
		if bytes.Equal(body, []byte{0, 1}) && version == 5 {
			return
		}
		if err = pk.ConnackDecode(body); err == nil {
			_, f = wire.DecodeConnack(body, version)
		}
	case wire.Puback, wire.Pubrec, wire.Pubrel, wire.Pubcomp:
		err = pk.PubackDecode(body)
		if id, reason := wire.ReadAck(body, version); id != pk.PacketID || reason != pk.ReasonCode {
			t.Errorf("%#x % x: got %d, %#x, the decoder %d, %#x", h, body, id, reason, pk.PacketID, pk.ReasonCode)
		}
	case wire.Subscribe:
		if err = pk.SubscribeDecode(body); err == nil {
			f = compareSubscribe(t, body, version, &pk)
		}
	case wire.Suback:
		if err = pk.SubackDecode(body); err == nil {
			_, _, f = wire.DecodeSuback(body, version)
		}
	case wire.Unsubscribe:
		if err = pk.UnsubscribeDecode(body); err == nil {
			_, f = wire.DecodeUnsubscribe(body, version)
		}
	case wire.Unsuback:
		if err = pk.UnsubackDecode(body); err == nil {
			_, _, f = wire.DecodeUnsuback(body, version)
		}
	case wire.Disconnect:
		if err = pk.DisconnectDecode(body); err == nil {
			_, f = wire.DecodeDisconnect(body, version)
		}
	case wire.Auth:
		err = pk.AuthDecode(body)
	}
	if err != nil {
		t.Errorf("%#x % x: let through, but the decoder says %v", h, body, err)
	}
	if f != nil {
		t.Errorf("%#x % x: let through by the check, but not by the decoder: %v", h, body, f)
	}
}

func compareSubscribe(t *testing.T, body []byte, version byte, pk *packets.Packet) *wire.Fault {
	p, f := wire.DecodeSubscribe(body, version)
	if f != nil {
		return f
	}
	for i, s := range p.Filters {
		if s.Filter != pk.Filters[i].Filter || s.QoS != pk.Filters[i].Qos || s.NoLocal != pk.Filters[i].NoLocal {
			t.Errorf("% x: got %+v, the decoder %+v", body, s, pk.Filters[i])
		}
	}
	h, rest, _, _, _ := wire.Frame(wire.AppendSubscribe(nil, p, version))
	if f := wire.Check(h, rest, version); f != nil {
		t.Errorf("%+v: written as % x, refused: %v", p, rest, f)
	}
	return nil
}

// Cutting a stream into packets does not depend on how it came, and nothing is beyond its end.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x40, 2, 0, 1, 0xc0, 0}, 3)
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		h, body, size, need, fault := wire.Frame(b)
		if fault == nil && (size > len(b) || size > 0 && (need != size || len(body) > size || h != b[0]) || size == 0 && need > 0 && need <= len(b)) {
			t.Errorf("% x: %#x, %d bytes, size %d, need %d", b, h, len(body), size, need)
		}
		if size == 0 || cut < 0 || cut >= size {
			return
		}
		if _, _, s, n, f := wire.Frame(b[:cut]); f != nil || s != 0 || n != 0 && n != need {
			t.Errorf("% x cut at %d: size %d, need %d, %v", b, cut, s, n, f)
		}
	})
}

// Matching never panics, and what two filters both match shows that they overlap.
func FuzzFilters(f *testing.F) {
	f.Add("a/+/#", "+/b", "a/b")
	f.Add("$share/g/#", "/#", "")
	f.Fuzz(func(t *testing.T, a, b, topic string) {
		_, a, okA := wire.ValidFilter(a)
		_, b, okB := wire.ValidFilter(b)
		if wire.ValidTopicName(topic) != wire.ValidTopic([]byte(topic)) {
			t.Errorf("%q: the two forms of ValidTopic differ", topic)
		}
		if !okA || !okB {
			return
		}
		overlap := wire.Overlap(a, b)
		if overlap != wire.Overlap(b, a) || !wire.Overlap(a, a) && !strings.HasPrefix(a, "$") {
			t.Errorf("%q, %q: overlap is not symmetric", a, b)
		}
		if wire.ValidTopicName(topic) && wire.Matches(a, topic) && wire.Matches(b, topic) && !overlap {
			t.Errorf("%q and %q both match %q, but are said not to overlap", a, b, topic)
		}
	})
}
