// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"edged/mqtt/wire"
)

// newName is a client identifier that nobody has.
func newName() string { return "attacker-" + rand.Text() }

// malformedPackets sends packets of each type that break a rule.
func malformedPackets(t *testing.T, e *target) {
	all := beforeConnect()
	for level := byte(3); level <= 5; level++ {
		all = append(all, badConnects(level)...)
		all = append(all, badFlags(level)...)
		all = append(all, badPublishes(level)...)
		all = append(all, badSubscribes(level)...)
		all = append(all, badAcks(level)...)
		all = append(all, badOthers(level)...)
	}
	all = append(all, badProperties()...)
	refused(t, e, all)
}

// beforeConnect is what is no CONNECT at all.
func beforeConnect() []trial {
	var all []trial
	for name, send := range map[string]string{
		"HTTP": "GET / HTTP/1.1\r\n\r\n", "TLS": "\x16\x03\x01\x02\x00\x01\x00", "zeros": strings.Repeat("\x00", 64),
		"length of five bytes": "\x10\xff\xff\xff\xff\x01", "256 MiB": "\x10\xff\xff\xff\x7f", "empty CONNECT": "\x10\x00",
		"unknown protocol": "\x10\x0d\x00\x04MQTX\x04\x02\x00\x00\x00\x01a",
	} {
		all = append(all, trial{name: name, level: 4, first: true, send: []byte(send)})
	}
	for kind := byte(0); kind < 16; kind++ {
		if kind != wire.Connect {
			send := []byte{kind << 4, 2, 0, 1}
			all = append(all, trial{name: fmt.Sprintf("type %d first", kind), level: 4, first: true, send: send})
		}
	}
	return all
}

func badConnects(level byte) []trial {
	whole := fullConnect(level)
	name := len(whole.b[:2]) + int(whole.b[1])
	at := func(off int, by ...byte) []byte { return whole.with(name+off, len(by), by) }
	all := []trial{
		{name: "reserved flag", send: at(1, 0xcf)},
		{name: "will QoS 3", send: at(1, 0xde)},
		{name: "will QoS without will", send: at(1, 0xca)},
		{name: "will retained without will", send: at(1, 0xe2)},
		{name: "name past the end", send: []byte("\x10\x04\x00\xffMQ")},
		{name: "bytes after the end", send: framed(whole.h, append(append([]byte(nil), whole.b...), 0))},
	}
	if level < 5 {
		all = append(all, trial{name: "password without user", send: at(1, 0x46)})
	}
	for flags := byte(1); flags < 16; flags++ {
		all = append(all, trial{name: fmt.Sprintf("header flags %d", flags), send: framed(whole.h|flags, whole.b)})
	}
	for n := range whole.b {
		all = append(all, trial{name: fmt.Sprintf("cut at %d", n), send: framed(whole.h, whole.b[:n])})
	}
	for i := range all {
		all[i].level, all[i].first, all[i].codes = level, true, broken()
		all[i].name = "CONNECT, " + all[i].name
	}
	return all
}

// badFlags are packets of every type with every wrong flag in the fixed header.
func badFlags(level byte) []trial {
	var all []trial
	for kind, right := range map[byte]byte{
		wire.Puback: 0, wire.Pubrec: 0, wire.Pubrel: 2, wire.Pubcomp: 0, wire.Subscribe: 2, wire.Unsubscribe: 2,
		wire.Pingreq: 0, wire.Disconnect: 0,
	} {
		var b []byte
		switch kind {
		case wire.Subscribe:
			b = fullSubscribe(level).b
		case wire.Unsubscribe:
			b = fullUnsubscribe(level).b
		case wire.Puback, wire.Pubrec, wire.Pubrel, wire.Pubcomp:
			b = []byte{0, 1}
		}
		for flags := range byte(16) {
			dup := level == 3 && right == 2 && flags == 10 // MQTT 3.1 lets these be repeated
			if flags != right && !dup {
				all = append(all, trial{
					name: fmt.Sprintf("type %d with flags %d", kind, flags), level: level, send: framed(kind<<4|flags, b), codes: broken(),
				})
			}
		}
	}
	return all
}

func badPublishes(level byte) []trial {
	plain := func(h byte, topicName string, id ...byte) []byte {
		return packet(h, level).str(topic, topicName).bytes(id...).props(nil).bytes('x').frame()
	}
	invalid := append(broken(), wire.TopicInvalid)
	all := []trial{
		{name: "QoS 3", send: plain(0x36, "a", 0, 1), codes: broken()},
		{name: "QoS 3 and RETAIN", send: plain(0x37, "a", 0, 1), codes: broken()},
		{name: "DUP at QoS 0", send: plain(0x38, "a"), codes: broken()},
		{name: "identifier 0", send: plain(0x32, "a", 0, 0), codes: broken()},
		{name: "identifier 0 at QoS 2", send: plain(0x34, "a", 0, 0), codes: broken()},
		{name: "without identifier", send: framed(0x32, []byte{0, 1, 'a'}), codes: broken()},
		{name: "half an identifier", send: framed(0x32, []byte{0, 1, 'a', 0}), codes: broken()},
		{name: "empty", send: framed(0x30, nil), codes: broken()},
		{name: "empty topic", send: plain(0x30, ""), codes: broken()},
		{name: "# in the topic", send: plain(0x30, "a/#"), codes: invalid},
		{name: "+ in the topic", send: plain(0x30, "a/+/b"), codes: invalid},
		{name: "17 levels", send: plain(0x30, strings.Repeat("/", 16)+"a"), codes: invalid},
		{name: "65,000 levels", send: plain(0x30, strings.Repeat("/", 65000)), codes: invalid},
		{name: "too large", send: plain(0x30, "a")[:1:1], codes: []int{wire.TooLarge}},
	}
	all[len(all)-1].send = append(all[len(all)-1].send, 0xff, 0xff, 0xff, 0x7f)
	for i := range all {
		all[i].name, all[i].level = "PUBLISH, "+all[i].name, level
	}
	return all
}

func badSubscribes(level byte) []trial {
	sub := func(options byte, filter string) []byte {
		return packet(0x82, level).bytes(0, 1).props(nil).str(topic, filter).bytes(options).frame()
	}
	unsub := func(filter string) []byte {
		return packet(0xa2, level).bytes(0, 1).props(nil).str(topic, filter).frame()
	}
	all := []trial{
		{name: "SUBSCRIBE without filters", send: packet(0x82, level).bytes(0, 1).props(nil).frame()},
		{name: "SUBSCRIBE with identifier 0", send: packet(0x82, level).bytes(0, 0).props(nil).str(topic, "a").bytes(0).frame()},
		{name: "SUBSCRIBE without options", send: packet(0x82, level).bytes(0, 1).props(nil).str(topic, "a").frame()},
		{name: "SUBSCRIBE QoS 3", send: sub(3, "a")},
		{name: "SUBSCRIBE reserved options", send: sub(0xc0, "a")},
		{name: "SUBSCRIBE empty", send: framed(0x82, nil)},
		{name: "UNSUBSCRIBE without filters", send: packet(0xa2, level).bytes(0, 1).props(nil).frame()},
		{name: "UNSUBSCRIBE with identifier 0", send: packet(0xa2, level).bytes(0, 0).props(nil).str(topic, "a").frame()},
		{name: "UNSUBSCRIBE empty", send: framed(0xa2, nil)},
	}
	if level < 5 {
		all = append(all, trial{name: "SUBSCRIBE with options of MQTT 5", send: sub(4, "a")})
	} else {
		all = append(
			all,
			trial{name: "SUBSCRIBE Retain Handling 3", send: sub(0x30, "a")},
			trial{name: "No Local on a shared subscription", send: sub(4, "$share/g/a")},
		)
	}
	for i := range all {
		all[i].codes = broken()
	}
	filters := []string{"", "a#", "#/a", "a/#/b", "a+", "+a/b", "##", "++"}
	if level == 5 {
		filters = append(filters, "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/#/a")
	}
	for _, f := range filters {
		all = append(
			all,
			trial{name: "SUBSCRIBE " + f, send: sub(0, f), codes: append(broken(), wire.FilterInvalid), grant: true},
			trial{name: "UNSUBSCRIBE " + f, send: unsub(f), codes: append(broken(), wire.FilterInvalid), grant: true},
		)
	}
	for _, f := range []string{strings.Repeat("/", 65000), strings.Repeat("+/", 32000) + "#"} {
		all = append(all, trial{name: fmt.Sprintf("SUBSCRIBE %.4s… deep", f), send: sub(0, f), codes: []int{wire.FilterInvalid}, grant: true})
	}
	for i := range all {
		all[i].level = level
	}
	return all
}

func badAcks(level byte) []trial {
	var all []trial
	for kind, h := range map[string]byte{"PUBACK": 0x40, "PUBREC": 0x50, "PUBREL": 0x62, "PUBCOMP": 0x70} {
		for what, b := range map[string][]byte{"empty": nil, "cut": {0}, "of identifier 0": {0, 0}} {
			all = append(all, trial{name: kind + " " + what, send: framed(h, b)})
		}
		if level < 5 {
			all = append(all, trial{name: kind + " with a reason", send: framed(h, []byte{0, 1, 0})})
			continue
		}
		for _, reason := range []byte{1, 0x42, 0x7f, 0x82, 0xff} {
			all = append(all, trial{name: fmt.Sprintf("%s with reason 0x%02x", kind, reason), send: framed(h, []byte{0, 1, reason})})
		}
	}
	for i := range all {
		all[i].level, all[i].codes = level, broken()
	}
	return all
}

func badOthers(level byte) []trial {
	all := []trial{
		{name: "CONNECT again", send: wire.AppendConnect(nil, &wire.ConnectPacket{Level: level, Clean: true, ClientID: "again"})},
		{name: "PINGREQ with a body", send: framed(0xc0, []byte{0})},
		{name: "type 0", send: framed(0, []byte{0})},
		{name: "CONNACK", send: framed(0x20, []byte{0, 0})},
		{name: "SUBACK", send: framed(0x90, []byte{0, 1, 0})},
		{name: "UNSUBACK", send: framed(0xb0, []byte{0, 1})},
		{name: "PINGRESP", send: framed(0xd0, nil)},
		{name: "type 15", send: framed(0xf0, nil)},
		{name: "a length of five bytes", send: []byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}},
	}
	if level < 5 {
		all = append(all, trial{name: "DISCONNECT with a body", send: framed(0xe0, []byte{0})})
	} else {
		all = append(
			all,
			trial{name: "AUTH without a method", send: framed(0xf0, []byte{0x18, 0})},
			trial{name: "a server's DISCONNECT", send: framed(0xe0, []byte{wire.SessionTakenOver})},
			trial{name: "DISCONNECT with a strange reason", send: framed(0xe0, []byte{0x42})},
			trial{name: "DISCONNECT that raises the expiry", send: framed(0xe0, []byte{0, 5, 0x11, 0, 0, 0, 9})},
		)
	}
	for i := range all {
		all[i].level, all[i].codes = level, broken()
	}
	return all
}

// badProperties are properties of MQTT 5 that stand twice, in the wrong packet, or have a value that is forbidden.
func badProperties() []trial {
	var all []trial
	add := func(name string, send []byte, codes ...int) {
		all = append(all, trial{name: name, level: 5, send: send, codes: append(broken(), codes...)})
	}
	publish := func(props string) []byte {
		return packet(0x30, 5).str(topic, "a").props(func(p *body) { p.bytes([]byte(props)...) }).bytes('x').frame()
	}
	for id, value := range map[byte]string{
		0x01: "\x00", 0x02: "\x00\x00\x00\x09", 0x03: "\x00\x01t", 0x08: "\x00\x01t", 0x09: "\x00\x01t", 0x23: "\x00\x01",
	} {
		one := string(rune(id)) + value
		add(fmt.Sprintf("PUBLISH, property 0x%02x twice", id), publish(one+one))
		add(fmt.Sprintf("PUBLISH, property 0x%02x cut", id), publish(one[:len(one)-1]))
		add(fmt.Sprintf("SUBSCRIBE, property 0x%02x", id), framed(0x82, append(append([]byte{0, 1, byte(len(one))}, one...), 0, 1, 'a', 0)))
	}
	for _, id := range []string{"\x0b\x01", "\x11\x00\x00\x00\x01", "\x18\x00\x00\x00\x01", "\x21\x00\x01", "\x7f", "\x80\x01", "\xff\xff\xff\xff\x7f"} {
		add(fmt.Sprintf("PUBLISH, property % x", id), publish(id))
	}
	add("PUBLISH, payload format 2", publish("\x01\x02"), wire.PayloadInvalid)
	add("PUBLISH, alias 0", publish("\x23\x00\x00"), wire.AliasInvalid)
	add("PUBLISH, alias too high", publish("\x23\xff\xff"), wire.AliasInvalid)
	add("PUBLISH, unknown alias", packet(0x30, 5).str(topic, "").props(func(p *body) { p.bytes(0x23, 0, 7) }).frame(), wire.AliasInvalid)
	add("PUBLISH, wildcard in the response topic", publish("\x08\x00\x01#"), wire.TopicInvalid)
	add("PUBLISH, text that is none", packet(0x30, 5).str(topic, "a").props(func(p *body) { p.bytes(1, 1) }).bytes(0xff).frame(), wire.PayloadInvalid)
	add("SUBSCRIBE, identifier 0", framed(0x82, []byte{0, 1, 2, 0x0b, 0, 0, 1, 'a', 0}))
	add("SUBSCRIBE, identifier twice", framed(0x82, []byte{0, 1, 4, 0x0b, 1, 0x0b, 2, 0, 1, 'a', 0}))
	connect := func(props string) []byte {
		return framed(0x10, append(append([]byte("\x00\x04MQTT\x05\x02\x00\x00"), byte(len(props))), props+"\x00\x01a"...))
	}
	for _, one := range []string{
		"\x11\x00\x00\x00\x01", "\x21\x00\x01", "\x27\x00\x00\x01\x00", "\x22\x00\x01", "\x19\x01", "\x17\x01", "\x15\x00\x01m",
	} {
		all = append(all, trial{name: fmt.Sprintf("CONNECT, property 0x%02x twice", one[0]), level: 5, first: true, send: connect(one + one), codes: broken()})
	}
	for _, bad := range []string{"\x21\x00\x00", "\x27\x00\x00\x00\x00", "\x19\x02", "\x17\x02", "\x16\x00\x01d", "\x7f", "\x23\x00\x01"} {
		all = append(all, trial{name: fmt.Sprintf("CONNECT, property % x", bad), level: 5, first: true, send: connect(bad), codes: broken()})
	}
	return all
}
