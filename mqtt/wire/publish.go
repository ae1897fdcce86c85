// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// Message is a PUBLISH without what belongs to one connection. Slices may be views of a read buffer; see [Message.Keep].
type Message struct {
	Topic   string
	Payload []byte
	Props   []byte // properties that travel on, encoded, without topic alias, expiry and subscription identifiers
	QoS     byte
	Retain  bool
	Expires int64  // Unix seconds, 0: never
	User    string // who published it
}

// Keep returns a copy that owns its bytes.
func (m *Message) Keep() *Message {
	k := *m
	b := make([]byte, len(m.Payload)+len(m.Props))
	n := copy(b, m.Payload)
	copy(b[n:], m.Props)
	k.Payload, k.Props = b[:n:n], b[n:]
	return &k
}

// Size is what the message costs in memory, roughly.
func (m *Message) Size() int { return len(m.Payload) + len(m.Topic) + len(m.Props) + 96 }

// Inbound is a PUBLISH as it came. Its slices are views of what [ReadPublish] was given.
type Inbound struct {
	Topic  []byte // empty: see Alias; Message.Topic stays empty, for the reader to intern
	ID     uint16 // 0 at QoS 0
	Dup    bool
	Alias  uint16   // 0: none
	SubIDs []uint32 // from a server: the subscriptions that matched, as far as they have an identifier
	Message
}

// ReadPublish validates and reads a PUBLISH into p, whose SubIDs are written over. now is Unix seconds. Properties that
// travel on are appended to scratch and become p.Props. It allocates only for a fault, or when scratch or SubIDs are too
// short.
func ReadPublish(h byte, body []byte, version byte, server bool, now int64, scratch []byte, p *Inbound) *Fault {
	*p = Inbound{SubIDs: p.SubIDs[:0], Dup: h&8 != 0, Message: Message{QoS: h >> 1 & 3, Retain: h&1 != 0}}
	if h>>4 != Publish || p.QoS == 3 || p.QoS == 0 && p.Dup { // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
		return fault(Malformed, "PUBLISH flags")
	}
	name, ok := field(body)
	if !ok {
		return fault(Malformed, "PUBLISH is cut")
	}
	b := body[2+len(name):]
	if p.QoS > 0 {
		if len(b) < 2 {
			return fault(Malformed, "PUBLISH is cut")
		}
		if p.ID = binary.BigEndian.Uint16(b); p.ID == 0 { // [MQTT-2.2.1-3]
			return fault(ProtocolError, "packet identifier 0")
		}
		b = b[2:]
	}
	isText := false
	if version == 5 {
		var f *Fault
		if b, isText, f = p.readProperties(b, server, now, scratch); f != nil {
			return f
		}
	}
	if !ValidTopic(name) && (len(name) > 0 || p.Alias == 0) {
		if !validText(name) {
			return fault(Malformed, "topic name is not UTF-8")
		}
		if len(name) == 0 { // 3.3.2.1 and 3.3.2.3.4 of MQTT 5
			return fault(ProtocolError, "an empty topic name without an alias")
		}
		return fault(TopicInvalid, "topic name")
	}
	p.Topic, p.Payload = name, b
	// A receiver may check this (3.3.2.3.2). The broker does, so that it passes on no lie; our own link to a broker shall
	// not end because some publisher lied to it.
	if isText && !server && !utf8.Valid(b) {
		return fault(PayloadInvalid, "the payload is not the UTF-8 that it claims to be")
	}
	return nil
}

// readProperties reads the properties at the head of b. isText is what they say of the payload.
func (p *Inbound) readProperties(b []byte, server bool, now int64, scratch []byte) (rest []byte, isText bool, f *Fault) {
	where := place(Publish)
	if server {
		where |= fromServer
	}
	rest, f = scan(b, where, func(id byte, raw []byte, v uint32) *Fault {
		switch id {
		case propAlias:
			p.Alias = uint16(v)
			return nil
		case propExpiry:
			p.Expires = now + int64(v)
			return nil
		case propSubID:
			p.SubIDs = append(p.SubIDs, v)
			return nil
		case propFormat:
			isText = v == 1
		}
		scratch = append(scratch, raw...)
		return nil
	})
	p.Props = scratch
	return rest, isText, f
}

// AppendPublish appends a PUBLISH for one receiver: its version, its QoS and identifier (0 at QoS 0), and the
// identifiers of its subscriptions. now is Unix seconds. The topic is valid and the whole is not longer than
// [MaxLength], see [PublishSize].
func AppendPublish(b []byte, m *Message, version, qos byte, id uint16, dup, retain bool, subIDs []uint32, now int64) []byte {
	return appendPublish(b, m, m.Topic, 0, version, qos, id, dup, retain, subIDs, now)
}

// AppendAliased is [AppendPublish] in MQTT 5 with a topic alias, 1 to 65,535. The receiver learns what it stands for,
// unless it knows that: then the topic is left out.
func AppendAliased(b []byte, m *Message, alias uint16, known bool, qos byte, id uint16, dup, retain bool, subIDs []uint32, now int64) []byte {
	topic := m.Topic
	if known {
		topic = ""
	}
	return appendPublish(b, m, topic, alias, 5, qos, id, dup, retain, subIDs, now)
}

// AliasSize is how much longer a topic alias makes a PUBLISH that names the topic too, at most: both lengths may grow.
const AliasSize = 3 + 2

func appendPublish(b []byte, m *Message, topic string, alias uint16, version, qos byte, id uint16, dup, retain bool, subIDs []uint32, now int64) []byte {
	h := byte(Publish<<4) | qos<<1
	if dup {
		h |= 8
	}
	if retain {
		h |= 1
	}
	n, props := publishLength(m, topic, alias, version, qos, subIDs)
	b = AppendLength(append(b, h), n)
	b = append(append(b, byte(len(topic)>>8), byte(len(topic))), topic...)
	if qos > 0 {
		b = append(b, byte(id>>8), byte(id))
	}
	if version == 5 {
		b = AppendLength(b, props)
		if alias > 0 {
			b = append(b, propAlias, byte(alias>>8), byte(alias))
		}
		if m.Expires > 0 {
			b = binary.BigEndian.AppendUint32(append(b, propExpiry), uint32(max(m.Expires-now, 1)))
		}
		for _, s := range subIDs {
			b = AppendLength(append(b, propSubID), int(s))
		}
		b = append(b, m.Props...)
	}
	return append(b, m.Payload...)
}

// PublishSize is how many bytes [AppendPublish] would append, to be compared with a Maximum Packet Size.
func PublishSize(m *Message, version, qos byte, subIDs []uint32) int {
	n, _ := publishLength(m, m.Topic, 0, version, qos, subIDs)
	return 1 + lengthSize(n) + n
}

// publishLength returns the remaining length and, of that, the properties.
func publishLength(m *Message, topic string, alias uint16, version, qos byte, subIDs []uint32) (n, props int) {
	n = 2 + len(topic) + len(m.Payload)
	if qos > 0 {
		n += 2
	}
	if version < 5 {
		return n, 0
	}
	props = len(m.Props)
	if alias > 0 {
		props += 3
	}
	if m.Expires > 0 {
		props += 5
	}
	for _, s := range subIDs {
		props += 1 + lengthSize(int(s))
	}
	return n + lengthSize(props) + props, props
}
