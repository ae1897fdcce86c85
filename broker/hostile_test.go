// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// hostile is bytes after which a connection must be closed: at its start, or after CONNECT of a version.
func hostile() []struct {
	name    string
	version byte // 0: no CONNECT
	send    string
} {
	long := strings.Repeat("a", 100)
	return []struct {
		name    string
		version byte
		send    string
	}{
		{"HTTP", 0, "GET / HTTP/1.1\r\n\r\n"},
		{"TLS", 0, "\x16\x03\x01\x02\x00\x01\x00"},
		{"zeros", 0, strings.Repeat("\x00", 64)},
		{"PUBACK first", 0, "\x40\x02\x00\x01"},
		{"PUBLISH first", 0, "\x30\x03\x00\x01a"},
		{"PINGREQ first", 0, "\xc0\x00"},
		{"CONNACK first", 0, "\x20\x02\x00\x00"},
		{"length of five bytes", 0, "\x10\xff\xff\xff\xff\x01"},
		{"256 MiB CONNECT", 0, "\x10\xff\xff\xff\x7f"},
		{"empty CONNECT", 0, "\x10\x00"},
		{"flags in CONNECT's header", 0, "\x11\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"},
		{"name past the end", 0, "\x10\x04\x00\xffMQ"},
		{"will without a topic", 0, "\x10\x0d\x00\x04MQTT\x04\x06\x00\x00\x00\x01a"},
		{"will QoS 3", 0, "\x10\x13\x00\x04MQTT\x04\x1e\x00\x00\x00\x01a\x00\x01t\x00\x01x"},
		{"will QoS without will", 0, "\x10\x0d\x00\x04MQTT\x04\x0a\x00\x00\x00\x01a"},
		{"wildcard in the will", 0, "\x10\x13\x00\x04MQTT\x04\x06\x00\x00\x00\x01a\x00\x01#\x00\x01x"},
		{"password without user", 0, "\x10\x10\x00\x04MQTT\x04\x42\x00\x00\x00\x01a\x00\x01p"},
		{"NUL in the ClientId", 0, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01\x00"},
		{"ClientId not UTF-8", 0, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01\xff"},
		{"bytes after CONNECT's end", 0, "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x01ab"},
		{"MQTT 5 without properties", 0, "\x10\x0a\x00\x04MQTT\x05\x02\x00\x00"},
		{"property twice", 0, "\x10\x18\x00\x04MQTT\x05\x02\x00\x00\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01\x00\x01a"},
		{"Receive Maximum 0", 0, "\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01a"},
		{"unknown property", 0, "\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x02\x7f\x00\x00\x01a"},

		{"type 0", 4, "\x00\x00"},
		{"type 15 in 3.1.1", 4, "\xf0\x00"},
		{"AUTH without a method", 5, "\xf0\x00"},
		{"CONNECT again", 4, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"},
		{"CONNACK", 4, "\x20\x02\x00\x00"},
		{"SUBACK", 4, "\x90\x03\x00\x01\x00"},
		{"PINGRESP", 4, "\xd0\x00"},
		{"PINGREQ with a body", 4, "\xc0\x01\x00"},
		{"QoS 3", 4, "\x36\x06\x00\x01a\x00\x01x"},
		{"DUP at QoS 0", 4, "\x38\x03\x00\x01a"},
		{"identifier 0", 4, "\x32\x05\x00\x01a\x00\x00"},
		{"topic with a wildcard", 4, "\x30\x05\x00\x03a/#"},
		{"empty topic", 4, "\x30\x02\x00\x00"},
		{"topic past the end", 4, "\x30\x03\x00\x09a"},
		{"NUL in a topic", 4, "\x30\x04\x00\x02a\x00"},
		{"surrogate", 4, "\x30\x05\x00\x03\xed\xa0\x80"},
		{"overlong UTF-8", 4, "\x30\x04\x00\x02\xc0\x80"},
		{"PUBLISH without identifier", 4, "\x32\x03\x00\x01a"},
		{"17 levels", 4, "\x30\x13\x00\x11" + strings.Repeat("/", 16) + "a"},
		{"SUBSCRIBE with wrong flags", 4, "\x80\x06\x00\x01\x00\x01a\x00"},
		{"SUBSCRIBE without filters", 4, "\x82\x02\x00\x01"},
		{"SUBSCRIBE without options", 5, "\x82\x07\x00\x01\x00\x00\x02ab"},
		{"SUBSCRIBE QoS 3", 4, "\x82\x06\x00\x01\x00\x01a\x03"},
		{"filter a#", 4, "\x82\x07\x00\x01\x00\x02a#\x00"},
		{"filter #/a", 4, "\x82\x08\x00\x01\x00\x03#/a\x00"},
		{"filter a+", 4, "\x82\x07\x00\x01\x00\x02a+\x00"},
		{"empty filter", 4, "\x82\x05\x00\x01\x00\x00\x00"},
		{"$share without a filter", 5, "\x82\x0e\x00\x01\x00\x00\x08$share/g\x00"},
		{"No Local on a shared one", 5, "\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04"},
		{"Retain Handling 3", 5, "\x82\x07\x00\x01\x00\x00\x01a\x30"},
		{"subscription identifier 0", 5, "\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00"},
		{"UNSUBSCRIBE without filters", 4, "\xa2\x02\x00\x01"},
		{"PUBACK cut", 4, "\x40\x01\x00"},
		{"PUBREL with wrong flags", 4, "\x60\x02\x00\x01"},
		{"PUBACK with a wrong reason", 5, "\x40\x03\x00\x01\x42"},
		{"DISCONNECT with a body", 4, "\xe0\x01\x00"},
		{"DISCONNECT raises the expiry", 5, "\xe0\x07\x00\x05\x11\x00\x00\x00\x09"},
		{"a server's DISCONNECT", 5, "\xe0\x01\x8e"},
		{"alias 0", 5, "\x30\x07\x00\x01a\x03\x23\x00\x00"},
		{"alias too high", 5, "\x30\x07\x00\x01a\x03\x23\x01\x00"},
		{"unknown alias", 5, "\x30\x06\x00\x00\x03\x23\x00\x07"},
		{"subscription identifier in PUBLISH", 5, "\x30\x06\x00\x01a\x02\x0b\x01"},
		{"will delay in PUBLISH", 5, "\x30\x09\x00\x01a\x05\x18\x00\x00\x00\x01"},
		{"wildcard in the response topic", 5, "\x30\x08\x00\x01a\x04\x08\x00\x01#"},
		{"properties past the end", 5, "\x30\x05\x00\x01a\x7f\x01"},
		{"claims to be text", 5, "\x30\x07\x00\x01a\x02\x01\x01\xff"},
		{"packet of 256 MiB", 4, "\x30\xff\xff\xff\x7f" + long},
		{"length of five bytes later", 4, "\x30\xff\xff\xff\xff\x01"},
	}
}

func TestHostileBytes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	good := s.clean("good")
	for _, x := range hostile() {
		c := s.dial()
		if x.version > 0 {
			c.connect(wire.ConnectPacket{Level: x.version, Clean: true, ClientID: "h"})
		}
		c.send([]byte(x.send))
		for {
			h, body, err := c.packet(patience)
			if isEnd(err) {
				break
			}
			if err != nil {
				t.Errorf("%s: the connection is still open", x.name)
				break
			}
			if h>>4 == wire.Disconnect && x.version < 5 {
				t.Errorf("%s: got a DISCONNECT % x in 3.1.1", x.name, body)
			}
		}
		good.quiet()
	}
}

// Any packet cut at any byte, and any byte of it changed, leaves the broker alive.
func TestMutatedPackets(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	good := s.clean("good")
	sub := wire.SubscribePacket{ID: 1, SubscriptionID: 3, Filters: []wire.Subscription{{Filter: "a/+/b", QoS: 1}, {Filter: "$share/g/#"}}}
	m := wire.Message{Topic: "a/x/b", Payload: []byte("x"), Props: []byte("\x26\x00\x01k\x00\x01v"), Expires: time.Now().Unix() + 9}
	session := wire.AppendConnect(nil, &wire.ConnectPacket{Level: 5, Clean: true, ClientID: "m", KeepAlive: 9, Will: will("w", "x", 1, true)})
	session = wire.AppendSubscribe(session, &sub, 5)
	session = wire.AppendPublish(session, &m, 5, 1, 5, false, true, nil, time.Now().Unix())
	session = wire.AppendPublish(session, &m, 5, 2, 6, false, false, nil, time.Now().Unix())
	session = wire.AppendAck(session, wire.Pubrel, 6, 0, 5)
	session = append(session, "\xa2\x0a\x00\x02\x00\x00\x05a/+/b\xe0\x00"...)
	for i := range session {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			c := s.dial()
			bad := slices.Clone(session)
			bad[i] ^= flip
			if flip == 0xff {
				bad = bad[:i]
			}
			if _, err := c.nc.Write(bad); err != nil {
				continue // closed already
			}
			c.drop()
		}
	}
	good.quiet()
}

func TestDeepTopicIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	good, c := s.clean("good"), s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "c"}, false)
	if got := c.subscribe(1, 0, strings.Repeat("/", 65000), strings.Repeat("+/", 16)+"#"); !slices.Equal(got, []byte{wire.FilterInvalid, wire.FilterInvalid}) {
		t.Errorf("SUBSCRIBE: % x", got)
	}
	c.send(c.frame(strings.Repeat("/", 65000)+"a", "x", 1, 2, true))
	if reason := c.wantEnd(); reason != wire.TopicInvalid {
		t.Errorf("reason 0x%02x", reason)
	}
	good.quiet()
}
