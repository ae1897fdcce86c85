// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Names of the protocol in CONNECT.
const (
	nameMQTT = "MQTT"   // 3.1.1 and 5
	name31   = "MQIsdp" // 3.1
)

// Connect flags.
const (
	flagReserved   = 0x01
	flagClean      = 0x02
	flagWill       = 0x04
	flagWillQoS    = 0x18
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUser       = 0x80
)

// WillPacket is a will as it stands in CONNECT.
type WillPacket struct {
	Message        // Props: encoded, as in PUBLISH; Expires and User are empty
	Delay   uint32 // seconds after the end of the connection
	Life    uint32 // message expiry in seconds from publication, 0: none
}

// ConnectPacket is a CONNECT.
type ConnectPacket struct {
	Level             byte // 3, 4, 5; 0 in a decoded one: a level that we do not speak, and nothing else is set
	Clean             bool
	KeepAlive         uint16 // seconds, 0: off
	ClientID          string
	HasUser           bool
	User              string
	HasPassword       bool
	Password          []byte
	Will              *WillPacket
	SessionExpiry     uint32 // seconds
	ReceiveMaximum    uint16 // 0: absent
	MaximumPacketSize uint32 // 0: absent
	TopicAliasMaximum uint16
	AuthMethod        string
	NoProblemInfo     bool // the client wants no reason strings
	WantsResponseInfo bool // it asks where it may have answers sent to
}

// DecodeConnect validates a whole CONNECT and decodes it into a packet that owns its bytes. Of one whose level we do not
// speak it looks at no more than the level.
func DecodeConnect(h byte, body []byte) (*ConnectPacket, *Fault) {
	level, raw, f := checkConnect(h, body)
	if f != nil || level == 0 {
		return &ConnectPacket{}, f
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect, Remaining: len(body)}}
	if err := pk.ConnectDecode(body); err != nil {
		return nil, fault(Malformed, "CONNECT: "+err.Error())
	}
	c, pr := &pk.Connect, &pk.Properties
	p := &ConnectPacket{
		Level: level, Clean: c.Clean, KeepAlive: c.Keepalive, ClientID: strings.Clone(c.ClientIdentifier),
		HasUser: c.UsernameFlag, User: string(c.Username), HasPassword: c.PasswordFlag,
		SessionExpiry: pr.SessionExpiryInterval, ReceiveMaximum: pr.ReceiveMaximum,
		MaximumPacketSize: pr.MaximumPacketSize, TopicAliasMaximum: pr.TopicAliasMaximum,
		AuthMethod:        strings.Clone(pr.AuthenticationMethod),
		NoProblemInfo:     pr.RequestProblemInfoFlag && pr.RequestProblemInfo == 0,
		WantsResponseInfo: pr.RequestResponseInfo == 1,
	}
	// packets.ConnectValidate refuses an empty password and an empty will payload, both of them legal (3.1.3.5: "0 to
	// 65,535 bytes"; 3.1.3.4: "zero length"), so it isn't asked.
	if c.PasswordFlag {
		p.Password = bytes.Clone(c.Password)
	}
	if c.WillFlag {
		p.Will = &WillPacket{
			Message: Message{
				Topic: strings.Clone(c.WillTopic), Payload: bytes.Clone(c.WillPayload), Props: raw,
				QoS: c.WillQos, Retain: c.WillRetain,
			},
			Delay: c.WillProperties.WillDelayInterval, Life: c.WillProperties.MessageExpiryInterval,
		}
	}
	return p, nil
}

// checkConnect validates a whole CONNECT and tells its protocol level, 0 for one that we do not speak. will is the
// will's properties that travel on.
func checkConnect(h byte, b []byte) (level byte, will []byte, f *Fault) {
	if h>>4 != Connect {
		return 0, nil, fault(ProtocolError, "the first packet is not CONNECT") // [MQTT-3.1.0-1]
	}
	if h != Connect<<4 {
		return 0, nil, fault(Malformed, "reserved flags of the fixed header")
	}
	name, ok := field(b)
	if !ok || len(b) < 2+len(name)+1 {
		return 0, nil, fault(Malformed, "CONNECT is cut")
	}
	level, b = b[2+len(name)], b[3+len(name):]
	switch string(name) {
	case nameMQTT:
		ok = level == 4 || level == 5
	case name31:
		ok = level == 3
	default:
		return 0, nil, fault(ProtocolError, "protocol name") // [MQTT-3.1.2-1]
	}
	if !ok {
		return 0, nil, nil // [MQTT-3.1.2-2]: the broker answers, then closes
	}
	if len(b) < 3 {
		return 0, nil, fault(Malformed, "CONNECT is cut")
	}
	flags := b[0]
	if f := checkConnectFlags(flags, level); f != nil {
		return 0, nil, f
	}
	b = b[3:] // flags, keep alive
	if level == 5 {
		if b, f = scan(b, Connect, nil); f != nil {
			return 0, nil, f
		}
	}
	b, will, f = checkConnectPayload(b, flags, level)
	return level, will, nothingAfter(b, f)
}

func checkConnectFlags(flags, level byte) *Fault {
	switch {
	case flags&flagReserved != 0: // [MQTT-3.1.2-3]
		return fault(Malformed, "reserved connect flag")
	case flags&flagWill == 0 && flags&(flagWillQoS|flagWillRetain) != 0, // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
		flags&flagWillQoS == flagWillQoS: // [MQTT-3.1.2-12]
		return fault(Malformed, "will flags")
	case level < 5 && flags&(flagUser|flagPassword) == flagPassword: // [MQTT-3.1.2-22] of 3.1.1
		return fault(Malformed, "a password without a user")
	}
	return nil
}

// checkConnectPayload walks through the fields that the flags announce.
func checkConnectPayload(b []byte, flags, level byte) (rest, will []byte, f *Fault) {
	id, ok := field(b)
	if !ok || !validText(id) {
		return nil, nil, fault(Malformed, "client identifier")
	}
	b = b[2+len(id):]
	if flags&flagWill != 0 {
		if level == 5 {
			if b, will, f = checkWillProperties(b); f != nil {
				return nil, nil, f
			}
		}
		name, ok := field(b)
		if !ok || !validText(name) {
			return nil, nil, fault(Malformed, "will topic")
		}
		if !ValidTopic(name) {
			return nil, nil, fault(TopicInvalid, "will topic")
		}
		b = b[2+len(name):]
		payload, ok := field(b)
		if !ok {
			return nil, nil, fault(Malformed, "will payload")
		}
		b = b[2+len(payload):]
	}
	if flags&flagUser != 0 {
		user, ok := field(b)
		if !ok || !validText(user) {
			return nil, nil, fault(Malformed, "user name")
		}
		b = b[2+len(user):]
	}
	if flags&flagPassword != 0 {
		password, ok := field(b)
		if !ok {
			return nil, nil, fault(Malformed, "password")
		}
		b = b[2+len(password):]
	}
	return b, will, nil
}

func checkWillProperties(b []byte) (rest, will []byte, f *Fault) {
	rest, f = scan(b, inWill, func(id byte, raw []byte, _ uint32) *Fault {
		if id != propExpiry && id != propWillDelay {
			will = append(will, raw...)
		}
		return nil
	})
	return rest, will, f
}

// AppendConnect appends a CONNECT. Texts and binary values are at most 65,535 bytes long.
func AppendConnect(b []byte, p *ConnectPacket) []byte {
	pk := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Connect},
		ProtocolVersion: p.Level,
		Connect: packets.ConnectParams{
			ProtocolName: []byte(nameMQTT), Clean: p.Clean, Keepalive: p.KeepAlive, ClientIdentifier: p.ClientID,
			UsernameFlag: p.HasUser, Username: []byte(p.User), PasswordFlag: p.HasPassword, Password: p.Password,
		},
		Properties: packets.Properties{
			SessionExpiryInterval: p.SessionExpiry, SessionExpiryIntervalFlag: p.SessionExpiry > 0,
			ReceiveMaximum: p.ReceiveMaximum, MaximumPacketSize: p.MaximumPacketSize,
			TopicAliasMaximum: p.TopicAliasMaximum, AuthenticationMethod: p.AuthMethod,
			RequestProblemInfoFlag: p.NoProblemInfo, RequestResponseInfo: flagByte(p.WantsResponseInfo),
		},
		Mods: packets.Mods{AllowResponseInfo: true}, // else a will's response topic and correlation data are dropped
	}
	if p.Level == 3 {
		pk.Connect.ProtocolName = []byte(name31)
	}
	if w := p.Will; w != nil {
		c := &pk.Connect
		c.WillFlag, c.WillTopic, c.WillPayload, c.WillQos, c.WillRetain = true, w.Topic, w.Payload, w.QoS, w.Retain
		c.WillProperties = willProperties(w)
	}
	return encoded(b, pk.ConnectEncode)
}

func flagByte(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// willProperties gives the encoder the properties of a will as it wants them. Props that are not valid are left out.
func willProperties(w *WillPacket) (p packets.Properties) {
	block := append(AppendLength(nil, len(w.Props)), w.Props...)
	if _, f := scan(block, inWill, nil); f == nil {
		if _, err := p.Decode(packets.WillProperties, bytes.NewBuffer(block)); err != nil {
			p = packets.Properties{}
		}
	}
	p.WillDelayInterval, p.MessageExpiryInterval = w.Delay, w.Life
	return p
}

// encoded appends what one of the encoders writes. They fail only for the packet identifier 0, which is the caller's
// to avoid; b is then returned as it was.
func encoded(b []byte, encode func(*bytes.Buffer) error) []byte {
	var buf bytes.Buffer
	if encode(&buf) != nil {
		return b
	}
	return append(b, buf.Bytes()...)
}
