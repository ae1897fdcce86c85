// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// place is where a property or reason code stands: a packet type as a client sends it, [fromServer] plus a packet type
// as a server does, or inWill.
type place byte

const (
	inWill     place = 0
	fromServer place = 16
)

// shape is how a property's value is written.
type shape byte

const (
	absent shape = iota // no such property
	one
	two
	four
	varint
	text
	topic // text that names a topic
	binaryData
	pair
)

// property tells a property's shape, where it may stand (a bit per place), whether it may be repeated, and its range;
// hi 0 is no bound.
type property struct {
	shape  shape
	in     uint32
	many   bool
	lo, hi uint32
}

// Bits of the places.
const (
	will      = 1 << inWill
	conn      = 1 << Connect
	connack   = 1 << (fromServer + Connack)
	pub       = 1 << Publish
	pubServer = 1 << (fromServer + Publish)
	pubs      = pub | pubServer
	acks      = (1<<Puback | 1<<Pubrec | 1<<Pubrel | 1<<Pubcomp) * (1 + 1<<fromServer)
	sub       = 1 << Subscribe
	subAcks   = 1<<(fromServer+Suback) | 1<<(fromServer+Unsuback)
	unsub     = 1 << Unsubscribe
	disc      = 1 << Disconnect
	discs     = disc | 1<<(fromServer+Disconnect)
	auths     = 1<<Auth | 1<<(fromServer+Auth)
)

// Properties that are looked at here.
const (
	propFormat     = 1
	propExpiry     = 2
	propSubID      = 11
	propAuthMethod = 21
	propAuthData   = 22
	propWillDelay  = 24
	propAlias      = 35
)

// properties is table 2-4 of MQTT 5.0, by identifier.
var properties = [...]property{
	propFormat:     {shape: one, in: pubs | will, hi: 1},
	propExpiry:     {shape: four, in: pubs | will},
	3:              {shape: text, in: pubs | will},  // content type
	8:              {shape: topic, in: pubs | will}, // response topic
	9:              {shape: binaryData, in: pubs | will},
	propSubID:      {shape: varint, in: sub | pubServer, lo: 1},
	17:             {shape: four, in: conn | connack | disc}, // session expiry
	18:             {shape: text, in: connack},               // assigned client identifier
	19:             {shape: two, in: connack},                // server keep alive
	propAuthMethod: {shape: text, in: conn | connack | auths},
	propAuthData:   {shape: binaryData, in: conn | connack | auths},
	23:             {shape: one, in: conn, hi: 1}, // request problem information
	propWillDelay:  {shape: four, in: will},
	25:             {shape: one, in: conn, hi: 1},                               // request response information
	26:             {shape: text, in: connack},                                  // response information
	28:             {shape: text, in: connack | discs&^disc},                    // server reference
	31:             {shape: text, in: connack | acks | subAcks | discs | auths}, // reason string
	33:             {shape: two, in: conn | connack, lo: 1},                     // receive maximum
	34:             {shape: two, in: conn | connack},                            // topic alias maximum
	propAlias:      {shape: two, in: pubs, lo: 1},
	36:             {shape: one, in: connack, hi: 1}, // maximum QoS
	37:             {shape: one, in: connack, hi: 1}, // retain available
	38:             {shape: pair, in: ^uint32(0), many: true},
	39:             {shape: four, in: conn | connack, lo: 1}, // maximum packet size
	40:             {shape: one, in: connack, hi: 1},         // wildcard subscription available
	41:             {shape: one, in: connack, hi: 1},         // subscription identifiers available
	42:             {shape: one, in: connack, hi: 1},         // shared subscription available
}

// maxUserProperties is how many one packet from a client may carry. The standard has no such bound; each costs the
// decoder six times its bytes.
const maxUserProperties = 64

// scan validates the property block at the head of b and gives each property to see: its identifier, its bytes with the
// identifier, and its number. rest is what follows the block.
func scan(b []byte, where place, see func(id byte, raw []byte, n uint32) *Fault) (rest []byte, f *Fault) {
	n, size := varintOf(b)
	if size == 0 || n > len(b)-size {
		return nil, fault(Malformed, "properties past the end")
	}
	return b[size+n:], scanBlock(b[size:size+n], where, see)
}

// scanBlock is scan for a block without its length.
func scanBlock(b []byte, where place, see func(id byte, raw []byte, n uint32) *Fault) *Fault {
	var seen uint64
	users := 0
	for len(b) > 0 {
		id := b[0]
		if int(id) >= len(properties) || properties[id].shape == absent {
			return fault(Malformed, "an unknown property")
		}
		p := properties[id]
		if p.in&(1<<where) == 0 {
			return fault(ProtocolError, "a property that does not belong here")
		}
		repeatable := p.many || id == propSubID && where == fromServer+Publish // several subscriptions matched
		if !repeatable && seen&(1<<id) != 0 {
			return fault(ProtocolError, "a property twice")
		}
		seen |= 1 << id
		if p.many {
			users++
		}
		if users > maxUserProperties && where < fromServer {
			return fault(TooLarge, "too many user properties")
		}
		l, v, f := valueOf(b[1:], p)
		if f != nil {
			return f
		}
		if see != nil {
			if f := see(id, b[:1+l], v); f != nil {
				return f
			}
		}
		b = b[1+l:]
	}
	if seen&(1<<propAuthData) != 0 && seen&(1<<propAuthMethod) == 0 {
		return fault(ProtocolError, "authentication data without a method")
	}
	if kind := where &^ fromServer; kind == Auth && seen&(1<<propAuthMethod) == 0 {
		return fault(ProtocolError, "AUTH without a method")
	}
	return nil
}

// valueOf reads a property's value: its length, and its number if it is one.
func valueOf(b []byte, p property) (l int, v uint32, f *Fault) {
	switch p.shape {
	case one, two, four:
		if l = 1 << (p.shape - one); len(b) < l {
			return 0, 0, fault(Malformed, "a property is cut")
		}
		for _, x := range b[:l] {
			v = v<<8 | uint32(x)
		}
	case varint:
		n, size := varintOf(b)
		if size == 0 {
			return 0, 0, fault(Malformed, "a property is cut")
		}
		l, v = size, uint32(n)
	default:
		return stringsOf(b, p.shape)
	}
	if v < p.lo || p.hi > 0 && v > p.hi {
		if p.in == pubs { // the only number that is of PUBLISH alone
			return 0, 0, fault(AliasInvalid, "topic alias 0")
		}
		return 0, 0, fault(ProtocolError, "a property's value is out of range")
	}
	return l, v, nil
}

func stringsOf(b []byte, s shape) (l int, v uint32, f *Fault) {
	for k := 0; k == 0 || k == 1 && s == pair; k++ {
		x, ok := field(b[l:])
		if !ok {
			return 0, 0, fault(Malformed, "a property is cut")
		}
		if s != binaryData && !validText(x) {
			return 0, 0, fault(Malformed, "a property is not UTF-8")
		}
		if s == topic && !ValidTopic(x) {
			return 0, 0, fault(ProtocolError, "response topic")
		}
		l += 2 + len(x)
	}
	return l, 0, nil
}

// varintOf reads a variable byte integer; size is 0 when it is cut, longer than four bytes, or longer than it must be
// [MQTT-1.5.5-1].
func varintOf(b []byte) (n, size int) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&127) << (7 * i)
		if b[i] < 128 {
			if i > 0 && b[i] == 0 {
				return 0, 0
			}
			return n, i + 1
		}
	}
	return 0, 0
}

// field reads two bytes of length and what they count.
func field(b []byte) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, false
	}
	return b[2 : 2+n], true
}

// validText says whether b is UTF-8 as MQTT wants it: well formed, so without surrogates [MQTT-1.5.4-1], and without
// U+0000 [MQTT-1.5.4-2].
func validText(b []byte) bool {
	plain := true
	for _, c := range b {
		if c == 0 {
			return false
		}
		plain = plain && c < utf8.RuneSelf
	}
	return plain || utf8.Valid(b)
}
