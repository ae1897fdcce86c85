// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// ConnackPacket is a CONNACK. All but the first two are of MQTT 5.
type ConnackPacket struct {
	SessionPresent    bool
	Code              byte    // return code before MQTT 5, reason code in it
	SessionExpiry     *uint32 // seconds; nil: as the client asked
	ReceiveMaximum    uint16  // 0: absent, so 65,535
	MaximumQoS        *byte   // 0 or 1; nil: 2
	NoRetain          bool
	MaximumPacketSize uint32 // 0: absent, so no limit
	AssignedClientID  string
	TopicAliasMaximum uint16
	Reason            string
	ServerKeepAlive   *uint16 // seconds; nil: as the client asked
	ResponseInfo      string  // what response topics may begin with
	Server            string  // the server to use instead, of a refusal
	NoWildcards       bool
	NoSubIDs          bool
	NoShared          bool
}

// AppendConnack appends a CONNACK.
func AppendConnack(b []byte, p *ConnackPacket, version byte) []byte {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connack}, ProtocolVersion: version,
		SessionPresent: p.SessionPresent && p.Code == 0 && version > 3, // [MQTT-3.2.2-6]; 3.1 has no such flag
		ReasonCode:     p.Code,
	}
	if version == 5 {
		pr := &pk.Properties
		pr.ReceiveMaximum, pr.MaximumPacketSize, pr.TopicAliasMaximum = p.ReceiveMaximum, p.MaximumPacketSize, p.TopicAliasMaximum
		pr.AssignedClientID, pr.ReasonString, pr.ResponseInfo = p.AssignedClientID, p.Reason, p.ResponseInfo
		pr.ServerReference = p.Server
		pk.Mods.AllowResponseInfo = true // else it is dropped
		pr.RetainAvailableFlag, pr.WildcardSubAvailableFlag = p.NoRetain, p.NoWildcards
		pr.SubIDAvailableFlag, pr.SharedSubAvailableFlag = p.NoSubIDs, p.NoShared
		if p.SessionExpiry != nil {
			pr.SessionExpiryInterval, pr.SessionExpiryIntervalFlag = *p.SessionExpiry, true
		}
		if p.MaximumQoS != nil {
			pr.MaximumQos, pr.MaximumQosFlag = *p.MaximumQoS, true
		}
		if p.ServerKeepAlive != nil {
			pr.ServerKeepAlive, pr.ServerKeepAliveFlag = *p.ServerKeepAlive, true
		}
	}
	return encoded(b, pk.ConnackEncode)
}

// DecodeConnack validates a CONNACK and decodes it. A server that knows only 3.1.1 answers a CONNECT of MQTT 5 by its own
// rules, with return code 1 and no properties; that comes out as [UnsupportedVersion].
func DecodeConnack(body []byte, version byte) (*ConnackPacket, *Fault) {
	if f := checkConnack(body, version); f != nil {
		return nil, f
	}
	if version == 5 && len(body) == 2 {
		return &ConnackPacket{Code: UnsupportedVersion}, nil
	}
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connack, Remaining: len(body)}, ProtocolVersion: version,
	}
	if err := pk.ConnackDecode(body); err != nil {
		return nil, fault(Malformed, "CONNACK: "+err.Error())
	}
	pr := &pk.Properties
	p := &ConnackPacket{
		SessionPresent: pk.SessionPresent && version > 3, Code: pk.ReasonCode,
		ReceiveMaximum: pr.ReceiveMaximum, MaximumPacketSize: pr.MaximumPacketSize,
		TopicAliasMaximum: pr.TopicAliasMaximum, AssignedClientID: strings.Clone(pr.AssignedClientID),
		Reason: strings.Clone(pr.ReasonString), ResponseInfo: strings.Clone(pr.ResponseInfo),
		Server:   strings.Clone(pr.ServerReference),
		NoRetain: pr.RetainAvailableFlag && pr.RetainAvailable == 0,
		NoShared: pr.SharedSubAvailableFlag && pr.SharedSubAvailable == 0,
		NoSubIDs: pr.SubIDAvailableFlag && pr.SubIDAvailable == 0, NoWildcards: pr.WildcardSubAvailableFlag && pr.WildcardSubAvailable == 0,
	}
	if pr.SessionExpiryIntervalFlag {
		p.SessionExpiry = new(pr.SessionExpiryInterval)
	}
	if pr.MaximumQosFlag {
		p.MaximumQoS = new(pr.MaximumQos)
	}
	if pr.ServerKeepAliveFlag {
		p.ServerKeepAlive = new(pr.ServerKeepAlive)
	}
	return p, nil
}

// checkConnack validates a CONNACK. Return codes above 5 are reserved before MQTT 5, but a server that sends one means to
// refuse, and its code says more than "malformed".
func checkConnack(body []byte, version byte) *Fault {
	if len(body) < 2 {
		return fault(Malformed, "CONNACK is cut")
	}
	present, code := body[0], body[1]
	if version == 3 { // its first byte is reserved, without a value
		return nothingAfter(body[2:], nil)
	}
	if present > 1 { // [MQTT-3.2.2-1]
		return fault(Malformed, "reserved connect acknowledge flags")
	}
	if present == 1 && code != 0 { // [MQTT-3.2.2-6]
		return fault(ProtocolError, "session present in a refusal")
	}
	if version < 5 {
		return nothingAfter(body[2:], nil)
	}
	if bytes.Equal(body, []byte{0, RefusedVersion}) {
		return nil
	}
	if !mayCarry(fromServer+Connack, code) {
		return fault(ProtocolError, "a reason code that does not belong here")
	}
	return nothingAfter(scan(body[2:], fromServer+Connack, nil))
}
