// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"encoding/binary"
	"slices"

	"edged/mqtt/wire"
)

// kind is what a field of a packet is.
type kind int

const (
	length16 kind = iota // two bytes before a string or binary data
	lengthV              // the variable byte integer before properties
	text                 // a UTF-8 string
	topic                // one that must not be empty either
)

// field is a place in the body of a packet.
type field struct {
	kind     kind
	off, len int
}

// body is a packet under construction, that remembers where its fields are.
type body struct {
	h      byte
	b      []byte
	fields []field
	level  byte
}

func packet(h, level byte) *body { return &body{h: h, level: level} }

func (p *body) bytes(b ...byte) *body {
	p.b = append(p.b, b...)
	return p
}

// str appends a string, data what looks like one and is not text.
func (p *body) str(k kind, s string) *body {
	p.data(s)
	p.fields = append(p.fields, field{kind: k, off: len(p.b) - len(s), len: len(s)})
	return p
}

func (p *body) data(s string) *body {
	p.fields = append(p.fields, field{kind: length16, off: len(p.b), len: 2})
	p.b = append(binary.BigEndian.AppendUint16(p.b, uint16(len(s))), s...)
	return p
}

// props appends properties in MQTT 5, which fill is to write.
func (p *body) props(fill func(p *body)) *body {
	if p.level < 5 {
		return p
	}
	inner := packet(0, 5)
	if fill != nil {
		fill(inner)
	}
	p.fields = append(p.fields, field{kind: lengthV, off: len(p.b), len: 1})
	p.b = wire.AppendLength(p.b, len(inner.b))
	for _, f := range inner.fields {
		f.off += len(p.b)
		p.fields = append(p.fields, f)
	}
	p.b = append(p.b, inner.b...)
	return p
}

// frame puts the fixed header before the body.
func (p *body) frame() []byte { return framed(p.h, p.b) }

func framed(h byte, b []byte) []byte {
	return append(wire.AppendLength([]byte{h}, len(b)), b...)
}

// with returns the packet with a part of its body replaced, and its remaining length right.
func (p *body) with(off, length int, by []byte) []byte {
	return framed(p.h, slices.Concat(p.b[:off], by, p.b[off+length:]))
}

// userProperties are two, as every packet may have them.
func userProperties(p *body) {
	p.bytes(0x26).str(text, "key").str(text, "value").bytes(0x26).str(text, "key").str(text, "value")
}

// fullConnect is a CONNECT with everything that it may have.
func fullConnect(level byte) *body {
	p := packet(wire.Connect<<4, level)
	name := "MQTT"
	if level == 3 {
		name = "MQIsdp"
	}
	p.str(text, name).bytes(level, 0xce, 0, 60) // user, password, will QoS 1, clean
	p.props(func(p *body) {
		p.bytes(0x11, 0, 0, 0, 9, 0x21, 0, 9, 0x27, 0, 1, 0, 0, 0x22, 0, 9, 0x19, 1, 0x17, 1)
		userProperties(p)
	})
	p.str(text, "attacker")
	p.props(func(p *body) {
		p.bytes(0x18, 0, 0, 0, 9, 0x01, 1, 0x02, 0, 0, 0, 9).bytes(0x03).str(text, "text").bytes(0x08).str(topic, "answer").bytes(0x09).data("id")
		userProperties(p)
	})
	return p.str(topic, "will").data("last words").str(text, "user").data("secret")
}

// fullPublish is a PUBLISH with everything that it may have; its payload is said to be text.
func fullPublish(level byte) *body {
	return packet(wire.Publish<<4|2, level).str(topic, "a/topic").bytes(0, 7).props(func(p *body) {
		p.bytes(0x01, 1, 0x02, 0, 0, 0, 9, 0x23, 0, 3, 0x08).str(topic, "answer").bytes(0x09).data("id")
		p.bytes(0x03).str(text, "text")
		userProperties(p)
	}).bytes([]byte("payload")...)
}

func fullSubscribe(level byte) *body {
	return packet(wire.Subscribe<<4|2, level).bytes(0, 8).props(func(p *body) {
		p.bytes(0x0b, 3)
		userProperties(p)
	}).str(topic, "a/+/b").bytes(1).str(topic, "a/#").bytes(0)
}

func fullUnsubscribe(level byte) *body {
	return packet(wire.Unsubscribe<<4|2, level).bytes(0, 9).props(userProperties).str(topic, "a/+/b").str(topic, "a/#")
}

// fullAck is a PUBACK, PUBREC, PUBREL or PUBCOMP.
func fullAck(h byte) *body {
	return packet(h, 5).bytes(0, 5, 0).props(func(p *body) {
		p.bytes(0x1f).str(text, "reason")
		userProperties(p)
	})
}

func fullDisconnect() *body {
	return packet(wire.Disconnect<<4, 5).bytes(0).props(func(p *body) {
		p.bytes(0x11, 0, 0, 0, 0, 0x1f).str(text, "reason")
		userProperties(p)
	})
}

// fullPackets are whole packets of each type that a client sends, but CONNECT.
func fullPackets(level byte) map[string]*body {
	all := map[string]*body{
		"PUBLISH": fullPublish(level), "SUBSCRIBE": fullSubscribe(level), "UNSUBSCRIBE": fullUnsubscribe(level),
	}
	if level == 5 {
		all["PUBACK"], all["PUBREC"] = fullAck(wire.Puback<<4), fullAck(wire.Pubrec<<4)
		all["PUBREL"], all["PUBCOMP"] = fullAck(wire.Pubrel<<4|2), fullAck(wire.Pubcomp<<4)
		all["DISCONNECT"] = fullDisconnect()
	}
	return all
}
