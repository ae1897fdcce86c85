// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Subscription is one topic filter with its options; all but the first two are of MQTT 5.
type Subscription struct {
	Filter            string
	QoS               byte // highest that is wanted
	NoLocal           bool // not what this client published itself
	RetainAsPublished bool
	RetainHandling    byte // retained messages: 0 send, 1 send if the subscription is new, 2 do not
}

// SubscribePacket is a SUBSCRIBE.
type SubscribePacket struct {
	ID             uint16
	SubscriptionID uint32 // 0: none
	Filters        []Subscription
}

// UnsubscribePacket is an UNSUBSCRIBE.
type UnsubscribePacket struct {
	ID      uint16
	Filters []string
}

// DecodeSubscribe validates the body of a SUBSCRIBE and decodes it.
func DecodeSubscribe(body []byte, version byte) (*SubscribePacket, *Fault) {
	if f := checkSubscribe(body, version); f != nil {
		return nil, f
	}
	pk := packetOf(packets.Subscribe, body, version)
	if err := pk.SubscribeDecode(body); err != nil {
		return nil, fault(Malformed, "SUBSCRIBE: "+err.Error())
	}
	p := &SubscribePacket{ID: pk.PacketID, Filters: make([]Subscription, len(pk.Filters))}
	if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 0 {
		p.SubscriptionID = uint32(ids[0])
	}
	for i, s := range pk.Filters {
		p.Filters[i] = Subscription{strings.Clone(s.Filter), s.Qos, s.NoLocal, s.RetainAsPublished, s.RetainHandling}
	}
	return p, nil
}

// AppendSubscribe appends a SUBSCRIBE; its identifier is not 0.
func AppendSubscribe(b []byte, p *SubscribePacket, version byte) []byte {
	pk := packetOf(packets.Subscribe, nil, version)
	pk.FixedHeader.Qos, pk.PacketID = 1, p.ID
	if p.SubscriptionID > 0 {
		pk.Properties.SubscriptionIdentifier = []int{int(p.SubscriptionID)}
	}
	for _, s := range p.Filters {
		pk.Filters = append(pk.Filters, packets.Subscription{
			Filter: s.Filter, Qos: s.QoS, NoLocal: s.NoLocal,
			RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling,
		})
	}
	return encoded(b, pk.SubscribeEncode)
}

// DecodeUnsubscribe validates the body of an UNSUBSCRIBE and decodes it.
func DecodeUnsubscribe(body []byte, version byte) (*UnsubscribePacket, *Fault) {
	if f := checkUnsubscribe(body, version); f != nil {
		return nil, f
	}
	pk := packetOf(packets.Unsubscribe, body, version)
	if err := pk.UnsubscribeDecode(body); err != nil {
		return nil, fault(Malformed, "UNSUBSCRIBE: "+err.Error())
	}
	p := &UnsubscribePacket{ID: pk.PacketID, Filters: make([]string, len(pk.Filters))}
	for i, s := range pk.Filters {
		p.Filters[i] = strings.Clone(s.Filter)
	}
	return p, nil
}

// AppendUnsubscribe appends an UNSUBSCRIBE; its identifier is not 0.
func AppendUnsubscribe(b []byte, p *UnsubscribePacket, version byte) []byte {
	pk := packetOf(packets.Unsubscribe, nil, version)
	pk.FixedHeader.Qos, pk.PacketID = 1, p.ID
	for _, s := range p.Filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: s})
	}
	return encoded(b, pk.UnsubscribeEncode)
}

// AppendSuback appends a SUBACK with a code for each filter: the QoS granted, 0x80 for a refusal before MQTT 5 (4 only),
// a reason code in it.
func AppendSuback(b []byte, id uint16, codes []byte, version byte) []byte {
	pk := packetOf(packets.Suback, nil, version)
	pk.PacketID, pk.ReasonCodes = id, codes
	return encoded(b, pk.SubackEncode)
}

// DecodeSuback validates the body of a SUBACK and decodes it; codes is a copy.
func DecodeSuback(body []byte, version byte) (id uint16, codes []byte, f *Fault) {
	if f := checkGrants(Suback, body, version); f != nil {
		return 0, nil, f
	}
	pk := packetOf(packets.Suback, body, version)
	if err := pk.SubackDecode(body); err != nil {
		return 0, nil, fault(Malformed, "SUBACK: "+err.Error())
	}
	return pk.PacketID, bytes.Clone(pk.ReasonCodes), nil
}

// AppendUnsuback appends an UNSUBACK. MQTT 5 wants a reason code for each filter; before, codes are not written.
func AppendUnsuback(b []byte, id uint16, codes []byte, version byte) []byte {
	pk := packetOf(packets.Unsuback, nil, version)
	pk.PacketID, pk.ReasonCodes = id, codes
	return encoded(b, pk.UnsubackEncode)
}

// DecodeUnsuback validates the body of an UNSUBACK and decodes it; codes is a copy, empty before MQTT 5.
func DecodeUnsuback(body []byte, version byte) (id uint16, codes []byte, f *Fault) {
	if f := checkGrants(Unsuback, body, version); f != nil {
		return 0, nil, f
	}
	pk := packetOf(packets.Unsuback, body, version)
	if err := pk.UnsubackDecode(body); err != nil {
		return 0, nil, fault(Malformed, "UNSUBACK: "+err.Error())
	}
	return pk.PacketID, bytes.Clone(pk.ReasonCodes), nil
}

func packetOf(kind byte, body []byte, version byte) *packets.Packet {
	return &packets.Packet{ProtocolVersion: version, FixedHeader: packets.FixedHeader{Type: kind, Remaining: len(body)}}
}

// checkHead validates what the bodies of SUBSCRIBE, UNSUBSCRIBE and their answers begin with: packet identifier and, in
// MQTT 5, properties.
func checkHead(body []byte, version byte, where place) (rest []byte, f *Fault) {
	if rest, f = packetID(body); f == nil && version == 5 {
		rest, f = scan(rest, where, nil)
	}
	return rest, f
}

func checkSubscribe(body []byte, version byte) *Fault {
	b, f := checkHead(body, version, Subscribe)
	if f != nil {
		return f
	}
	if len(b) == 0 { // [MQTT-3.8.3-2]
		return fault(ProtocolError, "no topic filter")
	}
	for len(b) > 0 {
		var shared bool
		if b, shared, f = checkFilter(b); f != nil {
			return f
		}
		if len(b) == 0 { // the packet that kills mochi: mochi-mqtt/server#501
			return fault(Malformed, "no subscription options")
		}
		if f := checkOptions(b[0], version, shared); f != nil {
			return f
		}
		b = b[1:]
	}
	return nil
}

func checkUnsubscribe(body []byte, version byte) *Fault {
	b, f := checkHead(body, version, Unsubscribe)
	if f != nil {
		return f
	}
	if len(b) == 0 { // [MQTT-3.10.3-2]
		return fault(ProtocolError, "no topic filter")
	}
	for len(b) > 0 {
		if b, _, f = checkFilter(b); f != nil {
			return f
		}
	}
	return nil
}

func checkFilter(b []byte) (rest []byte, shared bool, f *Fault) {
	s, ok := field(b)
	if !ok || !validText(s) {
		return nil, false, fault(Malformed, "topic filter")
	}
	group, _, ok := ValidFilter(string(s))
	if !ok {
		return nil, false, fault(FilterInvalid, "topic filter")
	}
	return b[2+len(s):], group != "", nil
}

func checkOptions(o, version byte, shared bool) *Fault {
	switch {
	case version < 5 && o > 2: // [MQTT-3.8.3-4] of 3.1.1
		return fault(Malformed, "subscription options")
	case o&0xc0 != 0: // [MQTT-3.8.3-5]
		return fault(Malformed, "reserved subscription options")
	case o&3 == 3, o&0x30 == 0x30:
		return fault(ProtocolError, "subscription options")
	case o&4 != 0 && shared: // [MQTT-3.8.3-4]
		return fault(ProtocolError, "no local on a shared subscription")
	}
	return nil
}

func checkGrants(kind byte, body []byte, version byte) *Fault {
	where := fromServer + place(kind)
	b, f := checkHead(body, version, where)
	switch {
	case f != nil:
		return f
	case kind == Unsuback && version < 5:
		return nothingAfter(b, nil)
	case len(b) == 0:
		return fault(ProtocolError, "an answer without reason codes")
	}
	for _, c := range b {
		if version == 5 && !mayCarry(where, c) || version < 5 && c > 2 && c != Unspecified { // [MQTT-3.9.3-2]
			return fault(ProtocolError, "a reason code that does not belong here")
		}
	}
	return nil
}
