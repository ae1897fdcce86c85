// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strings"
	"testing"

	"edged/mqtt/wire"
)

// A packet that breaks a rule ends its connection, with the reason in MQTT 5 and without a word before, as if the client
// had died: its will is published. Nobody else notices.
//
// Covers 4:4.8.0-1 5:4.13.1-1 5:4.13.2-1 5:3.14.2-1.
func TestMalformedPacketsEndTheConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	other := s.clean("other")
	other.subscribe(1, 0, "#")
	for _, x := range []struct {
		name, covers string
		four, five   string // "": not in that version
		reason       byte
	}{
		{"PUBLISH of QoS 3", "4:3.3.1-4 5:3.3.1-4", "\x36\x05\x00\x01a\x00\x01", "\x36\x06\x00\x01a\x00\x01\x00", wire.Malformed},
		{"PUBLISH of QoS 0 with DUP", "4:3.3.1-2 5:3.3.1-2", "\x38\x03\x00\x01a", "\x38\x04\x00\x01a\x00", wire.Malformed},
		{"PUBLISH with identifier 0", "4:2.3.1-1 5:2.2.1-3", "\x32\x05\x00\x01a\x00\x00", "\x32\x06\x00\x01a\x00\x00\x00", wire.ProtocolError},
		{"PUBLISH that is cut", "4:3.3.2-1 5:3.3.2-1", "\x30\x02\x00\x05", "\x30\x02\x00\x05", wire.Malformed},
		{"no topic", "4:4.7.3-1 5:4.7.3-1", "\x30\x02\x00\x00", "\x30\x03\x00\x00\x00", wire.ProtocolError},
		{"# in a topic", "4:3.3.2-2 4:4.7.1-1 5:3.3.2-2 5:4.7.0-1", "\x30\x05\x00\x03a/#", "\x30\x06\x00\x03a/#\x00", wire.TopicInvalid},
		{"+ in a topic", "4:3.3.2-2 4:4.7.1-1 5:3.3.2-2 5:4.7.0-1", "\x30\x05\x00\x03+/a", "\x30\x06\x00\x03+/a\x00", wire.TopicInvalid},
		{"U+0000 in a topic", "4:1.5.3-2 4:4.7.3-2 5:1.5.4-2 5:4.7.3-2", "\x30\x05\x00\x03a\x00b", "\x30\x06\x00\x03a\x00b\x00", wire.Malformed},
		{"a surrogate in a topic", "4:1.5.3-1 4:3.3.2-1 5:1.5.4-1 5:3.3.2-1", "\x30\x05\x00\x03\xed\xa0\x80", "\x30\x06\x00\x03\xed\xa0\x80\x00", wire.Malformed},
		{"a long form of a character in a topic", "4:1.5.3-1 5:1.5.4-1", "\x30\x04\x00\x02\xc1\x81", "\x30\x05\x00\x02\xc1\x81\x00", wire.Malformed},
		{"SUBSCRIBE with identifier 0", "4:2.3.1-1 5:2.2.1-3", "\x82\x06\x00\x00\x00\x01a\x00", "\x82\x07\x00\x00\x00\x00\x01a\x00", wire.ProtocolError},
		{"UNSUBSCRIBE with identifier 0", "4:2.3.1-1 5:2.2.1-3", "\xa2\x05\x00\x00\x00\x01a", "\xa2\x06\x00\x00\x00\x00\x01a", wire.ProtocolError},
		{"flags of SUBSCRIBE", "4:3.8.1-1 4:2.2.2-2 5:3.8.1-1 5:2.1.3-1", "\x80\x06\x00\x01\x00\x01a\x00", "\x80\x07\x00\x01\x00\x00\x01a\x00", wire.Malformed},
		{"flags of UNSUBSCRIBE", "4:3.10.1-1 4:2.2.2-2 5:3.10.1-1 5:2.1.3-1", "\xa0\x05\x00\x01\x00\x01a", "\xa0\x06\x00\x01\x00\x00\x01a", wire.Malformed},
		{"flags of PUBREL", "4:3.6.1-1 4:2.2.2-2 5:3.6.1-1 5:2.1.3-1", "\x60\x02\x00\x01", "\x60\x02\x00\x01", wire.Malformed},
		{"flags of PUBACK", "4:2.2.2-2 5:2.1.3-1", "\x42\x02\x00\x01", "\x42\x02\x00\x01", wire.Malformed},
		{"flags of PINGREQ", "4:2.2.2-2 5:2.1.3-1", "\xc8\x00", "\xc8\x00", wire.Malformed},
		{"flags of DISCONNECT", "4:3.14.1-1 5:3.14.1-1", "\xe1\x00", "\xe1\x00", wire.Malformed},
		{"flags of AUTH", "5:3.15.1-1", "", "\xf1\x06\x18\x04\x15\x00\x01m", wire.Malformed},
		{"AUTH without a method agreed on", "5:4.12.0-7 5:4.12.1-2", "\xf0\x00", "\xf0\x06\x19\x04\x15\x00\x01m", wire.ProtocolError},
		{"AUTH with a reason of another packet", "5:3.15.2-1", "", "\xf0\x06\x87\x04\x15\x00\x01m", wire.ProtocolError},
		{"SUBSCRIBE to nothing", "4:3.8.3-3 5:3.8.3-2", "\x82\x02\x00\x01", "\x82\x03\x00\x01\x00", wire.ProtocolError},
		{"UNSUBSCRIBE from nothing", "4:3.10.3-2 5:3.10.3-2", "\xa2\x02\x00\x01", "\xa2\x03\x00\x01\x00", wire.ProtocolError},
		{"SUBSCRIBE at QoS 3", "4:3.8.3-4", "\x82\x06\x00\x01\x00\x01a\x03", "\x82\x07\x00\x01\x00\x00\x01a\x03", wire.ProtocolError},
		{"reserved options", "4:3.8.3-4 5:3.8.3-5", "\x82\x06\x00\x01\x00\x01a\x04", "\x82\x07\x00\x01\x00\x00\x01a\x40", wire.Malformed},
		{"Retain Handling 3", "5:4.13.1-1", "", "\x82\x07\x00\x01\x00\x00\x01a\x30", wire.ProtocolError},
		{"No Local on a shared subscription", "5:3.8.3-4", "", "\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", wire.ProtocolError},
		{"a filter that is not UTF-8", "4:3.8.3-1 5:3.8.3-1", "\x82\x06\x00\x01\x00\x01\xff\x00", "\x82\x07\x00\x01\x00\x00\x01\xff\x00", wire.Malformed},
		{"an UNSUBSCRIBE that is not UTF-8", "4:3.10.3-1 5:3.10.3-1", "\xa2\x05\x00\x01\x00\x01\xff", "\xa2\x06\x00\x01\x00\x00\x01\xff", wire.Malformed},
		{"# that is no level", "4:4.7.1-2 5:4.7.1-1", "\x82\x07\x00\x01\x00\x02a#\x00", "\x82\x08\x00\x01\x00\x00\x02a#\x00", wire.FilterInvalid},
		{"# that is not the last", "4:4.7.1-2 5:4.7.1-1", "\x82\x08\x00\x01\x00\x03#/a\x00", "\x82\x09\x00\x01\x00\x00\x03#/a\x00", wire.FilterInvalid},
		{"+ that is no level", "4:4.7.1-3 5:4.7.1-2", "\x82\x07\x00\x01\x00\x02+a\x00", "\x82\x08\x00\x01\x00\x00\x02+a\x00", wire.FilterInvalid},
		{"+ at the end of a level", "4:4.7.1-3 5:4.7.1-2", "\x82\x09\x00\x01\x00\x04a+/b\x00", "\x82\x0a\x00\x01\x00\x00\x04a+/b\x00", wire.FilterInvalid},
		{"an empty filter", "4:4.7.3-1 5:4.7.3-1", "\x82\x05\x00\x01\x00\x00\x00", "\x82\x06\x00\x01\x00\x00\x00\x00", wire.FilterInvalid},
		{"a share without a name", "5:4.8.2-1", "", "\x82\x0f\x00\x01\x00\x00\x09$share//a\x00", wire.FilterInvalid},
		{"a share with a wildcard in its name", "5:4.8.2-2", "", "\x82\x10\x00\x01\x00\x00\x0a$share/+/a\x00", wire.FilterInvalid},
		{"a share without a filter", "5:4.8.2-2", "", "\x82\x0e\x00\x01\x00\x00\x08$share/g\x00", wire.FilterInvalid},
		{"a second CONNECT", "4:3.1.0-2 5:3.1.0-2", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01w", "\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01w", wire.ProtocolError},
		{"a CONNACK", "4:4.8.0-1 5:4.13.1-1", "\x20\x02\x00\x00", "\x20\x03\x00\x00\x00", wire.ProtocolError},
		{"packet type 0", "4:4.8.0-1 5:4.13.1-1", "\x00\x00", "\x00\x00", wire.ProtocolError},
		{"a remaining length of five bytes", "4:4.8.0-1 5:4.13.1-1", "\x30\x80\x80\x80\x80\x01", "\x30\x80\x80\x80\x80\x01", wire.Malformed},
		{"a response topic with a wildcard", "5:3.3.2-14", "", "\x30\x08\x00\x01a\x04\x08\x00\x01#", wire.ProtocolError},
		{"a response topic that is not UTF-8", "5:3.3.2-13", "", "\x30\x08\x00\x01a\x04\x08\x00\x01\xff", wire.Malformed},
		{"a content type that is not UTF-8", "5:3.3.2-19", "", "\x30\x08\x00\x01a\x04\x03\x00\x01\xff", wire.Malformed},
		{"the name of a user property is not UTF-8", "5:1.5.7-1", "", "\x30\x0b\x00\x01a\x07\x26\x00\x01\xff\x00\x01v", wire.Malformed},
		{"the value of a user property is not UTF-8", "5:1.5.7-1", "", "\x30\x0b\x00\x01a\x07\x26\x00\x01k\x00\x01\xff", wire.Malformed},
		{"PUBLISH with a subscription identifier", "5:3.3.4-6", "", "\x30\x06\x00\x01a\x02\x0b\x01", wire.ProtocolError},
		{"a property length that is longer than it must be", "5:1.5.5-1", "", "\x30\x05\x00\x01a\x80\x00", wire.Malformed},
		{"no property length", "5:2.2.2-1", "", "\x30\x03\x00\x01a", wire.Malformed},
		{"PUBACK with a reason of another packet", "5:3.4.2-1", "", "\x40\x03\x00\x01\x92", wire.ProtocolError},
		{"PUBREC with a reason of another packet", "5:3.5.2-1", "", "\x50\x03\x00\x01\x92", wire.ProtocolError},
		{"PUBREL with a reason of another packet", "5:3.6.2-1", "", "\x62\x03\x00\x01\x80", wire.ProtocolError},
		{"PUBCOMP with a reason of another packet", "5:3.7.2-1", "", "\x70\x03\x00\x01\x80", wire.ProtocolError},
		{"DISCONNECT with a reason of another packet", "5:3.14.2-1", "", "\xe0\x01\x8c", wire.ProtocolError},
		{"DISCONNECT that raises the session expiry from 0", "5:4.13.1-1", "", "\xe0\x07\x00\x05\x11\x00\x00\x00\x09", wire.ProtocolError},
		{"a payload that is not the text it claims to be", "5:3.3.2-4", "", "\x30\x07\x00\x01a\x02\x01\x01\xff", wire.PayloadInvalid},
	} {
		for version, send := range map[byte]string{4: x.four, 5: x.five} {
			if send == "" {
				continue
			}
			c := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "w", Will: will("will", "gone", 0, false)}, false)
			c.send([]byte(send))
			h, body, err := c.packet(patience)
			switch {
			case version == 4 && !isEnd(err):
				t.Errorf("%s, 3.1.1: got packet type %d, % x, %v", x.name, h>>4, body, err)
			case version == 5 && (err != nil || h != wire.Disconnect<<4 || body[0] != x.reason):
				t.Errorf("%s, 5: got packet type %d, % x, %v; want DISCONNECT 0x%02x", x.name, h>>4, body, err, x.reason)
			case version == 5:
				c.wantGone()
			}
			c.drop()
			other.wantPayload("gone")
		}
	}
	other.quiet()
}

// A CONNECT that is not well formed is closed without a word.
//
// Covers 4:3.1.4-1 5:3.1.4-1 4:3.2.2-6 5:3.14.0-1.
func TestMalformedConnects(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, x := range []struct {
		name, covers string
		send         []byte
	}{
		{"PINGREQ first", "4:3.1.0-1 5:3.1.0-1", []byte("\xc0\x00")},
		{"PUBLISH first", "4:3.1.0-1 5:3.1.0-1", []byte("\x30\x03\x00\x01a")},
		{"another protocol", "4:3.1.2-1 5:3.1.2-1", connectOf("MQTX", 4, 2, "\x00\x01a")},
		{"another protocol in 5", "5:3.1.2-1", connectOf("mqtt", 5, 2, "\x00\x00\x01a")},
		{"the reserved flag", "4:3.1.2-3", connectOf("MQTT", 4, 3, "\x00\x01a")},
		{"the reserved flag in 5", "5:3.1.2-3", connectOf("MQTT", 5, 3, "\x00\x00\x01a")},
		{"will QoS without a will", "4:3.1.2-11 4:3.1.2-13", connectOf("MQTT", 4, 0x0a, "\x00\x01a")},
		{"will QoS without a will in 5", "5:3.1.2-11", connectOf("MQTT", 5, 0x0a, "\x00\x00\x01a")},
		{"will retain without a will", "4:3.1.2-15", connectOf("MQTT", 4, 0x22, "\x00\x01a")},
		{"will retain without a will in 5", "5:3.1.2-13", connectOf("MQTT", 5, 0x22, "\x00\x00\x01a")},
		{"a will at QoS 3", "4:3.1.2-14", connectOf("MQTT", 4, 0x1e, "\x00\x01a\x00\x01t\x00\x01p")},
		{"a will at QoS 3 in 5", "5:3.1.2-12", connectOf("MQTT", 5, 0x1e, "\x00\x00\x01a\x00\x00\x01t\x00\x01p")},
		{"no will after its flag", "4:3.1.2-9", connectOf("MQTT", 4, 0x06, "\x00\x01a")},
		{"no will message after its flag", "4:3.1.2-9", connectOf("MQTT", 4, 0x06, "\x00\x01a\x00\x01t")},
		{"no will after its flag in 5", "5:3.1.2-9", connectOf("MQTT", 5, 0x06, "\x00\x00\x01a\x00")},
		{"a will without its flag", "4:3.1.2-11", connectOf("MQTT", 4, 0x02, "\x00\x01a\x00\x01t\x00\x01p")},
		{"no user after its flag", "4:3.1.2-19", connectOf("MQTT", 4, 0x82, "\x00\x01a")},
		{"no user after its flag in 5", "5:3.1.2-17", connectOf("MQTT", 5, 0x82, "\x00\x00\x01a")},
		{"a user without its flag", "4:3.1.2-18", connectOf("MQTT", 4, 0x02, "\x00\x01a\x00\x01u")},
		{"a user without its flag in 5", "5:3.1.2-16", connectOf("MQTT", 5, 0x02, "\x00\x00\x01a\x00\x01u")},
		{"no password after its flag", "4:3.1.2-21", connectOf("MQTT", 4, 0xc2, "\x00\x01a\x00\x01u")},
		{"no password after its flag in 5", "5:3.1.2-19", connectOf("MQTT", 5, 0xc2, "\x00\x00\x01a\x00\x01u")},
		{"a password without its flag", "4:3.1.2-20", connectOf("MQTT", 4, 0x82, "\x00\x01a\x00\x01u\x00\x01p")},
		{"a password without its flag in 5", "5:3.1.2-18", connectOf("MQTT", 5, 0x82, "\x00\x00\x01a\x00\x01u\x00\x01p")},
		{"a password without a user", "4:3.1.2-22", connectOf("MQTT", 4, 0x42, "\x00\x01a\x00\x01p")},
		{"no ClientId", "4:3.1.3-3", connectOf("MQTT", 4, 0x02, "")},
		{"no ClientId in 5", "5:3.1.3-3", connectOf("MQTT", 5, 0x02, "\x00")},
		{"a ClientId that is not UTF-8", "4:3.1.3-4", connectOf("MQTT", 4, 0x02, "\x00\x01\xff")},
		{"a ClientId that is not UTF-8 in 5", "5:3.1.3-4", connectOf("MQTT", 5, 0x02, "\x00\x00\x01\xff")},
		{"a will topic that is not UTF-8", "4:3.1.3-10", connectOf("MQTT", 4, 0x06, "\x00\x01a\x00\x01\xff\x00\x01p")},
		{"a will topic that is not UTF-8 in 5", "5:3.1.3-11", connectOf("MQTT", 5, 0x06, "\x00\x00\x01a\x00\x00\x01\xff\x00\x01p")},
		{"a will topic with a wildcard", "4:4.7.1-1 5:4.7.0-1", connectOf("MQTT", 4, 0x06, "\x00\x01a\x00\x01#\x00\x01p")},
		{"an empty will topic", "4:4.7.3-1 5:4.7.3-1", connectOf("MQTT", 5, 0x06, "\x00\x00\x01a\x00\x00\x00\x00\x01p")},
		{"a user name that is not UTF-8", "4:3.1.3-11", connectOf("MQTT", 4, 0x82, "\x00\x01a\x00\x01\xff")},
		{"a user name that is not UTF-8 in 5", "5:3.1.3-12", connectOf("MQTT", 5, 0x82, "\x00\x00\x01a\x00\x01\xff")},
		{"a property twice", "", connectOf("MQTT", 5, 2, "\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01\x00\x01a")},
		{"Receive Maximum 0", "", connectOf("MQTT", 5, 2, "\x03\x21\x00\x00\x00\x01a")},
		{"Maximum Packet Size 0", "", connectOf("MQTT", 5, 2, "\x05\x27\x00\x00\x00\x00\x00\x01a")},
	} {
		c := s.dial()
		c.send(x.send)
		if h, body, err := c.packet(patience); !isEnd(err) {
			t.Errorf("%s: got packet type %d, % x, %v", x.name, h>>4, body, err)
		}
		c.drop()
	}
	whole := connectOf("MQTT", 5, 0xf6, "\x05\x11\x00\x00\x00\x09\x00\x03abc\x05\x18\x00\x00\x00\x01\x00\x04will\x00\x01p\x00\x04user\x00\x04pass")
	for n := range len(whole) - 2 { // cut at every byte, with a length that says so
		c := s.dial()
		c.send(append([]byte{wire.Connect << 4, byte(n)}, whole[2:2+n]...))
		if h, body, err := c.packet(patience); !isEnd(err) {
			t.Errorf("cut at %d: got packet type %d, % x, %v", n, h>>4, body, err)
		}
		c.drop()
	}
}

// Names as long as they may be, and of any characters, are served and come out as they went in.
//
// Covers 4:1.5.3-3 5:1.5.4-3 4:4.7.3-3 5:4.7.3-3 4:4.7.3-4 5:4.7.3-4 4:3.3.2-3 5:3.3.2-3.
func TestNamesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, version := range []byte{4, 5} {
		c := s.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: strings.Repeat("i", 65535)}, false)
		names := []string{
			"a", "A", "\ufeffa", "é", "e\u0301", " a", "a ", "a/", "/a", "//", "a//b", "\u2028", "\U0001f321", "\u007f", "\ufffd",
			strings.Repeat("t", 65535),
		}
		for i, name := range names {
			c.subscribe(uint16(i+1), 0, name)
		}
		for _, name := range names {
			c.publish(name, name[:min(len(name), 100)], 0, 0)
			m := c.wantMessage()
			if m.topic != name || m.payload != name[:min(len(name), 100)] {
				t.Errorf("version %d: %.20q came as %.20q with %.20q", version, name, m.topic, m.payload)
			}
		}
		c.quiet() // each once, to its own filter alone
		c.drop()
	}
}
