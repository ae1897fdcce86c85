// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// DisconnectPacket is a DISCONNECT; before MQTT 5 it carries nothing.
type DisconnectPacket struct {
	Reason        byte
	SessionExpiry *uint32 // seconds, from a client only; nil: as CONNECT said
	Text          string  // the reason string
	Server        string  // the server to use instead, from a server only
}

// DecodeDisconnect validates the body of a DISCONNECT, from either side, and decodes it. [Check] and [CheckFromServer]
// know what only one side may send.
func DecodeDisconnect(body []byte, version byte) (*DisconnectPacket, *Fault) {
	if f := checkDisconnect(body, version, Disconnect); f != nil {
		if version < 5 || checkDisconnect(body, version, fromServer+Disconnect) != nil {
			return nil, f
		}
	}
	// packets.DisconnectDecode skips a body of one byte, although that is a reason without properties (3.14.2.2.1).
	if len(body) == 1 {
		return &DisconnectPacket{Reason: body[0]}, nil
	}
	pk := packetOf(packets.Disconnect, body, version)
	if err := pk.DisconnectDecode(body); err != nil {
		return nil, fault(Malformed, "DISCONNECT: "+err.Error())
	}
	p := &DisconnectPacket{Reason: pk.ReasonCode, Text: strings.Clone(pk.Properties.ReasonString), Server: strings.Clone(pk.Properties.ServerReference)}
	if pk.Properties.SessionExpiryIntervalFlag {
		p.SessionExpiry = new(pk.Properties.SessionExpiryInterval)
	}
	return p, nil
}

// AppendDisconnect appends a DISCONNECT.
func AppendDisconnect(b []byte, p *DisconnectPacket, version byte) []byte {
	pk := packetOf(packets.Disconnect, nil, version)
	pk.ReasonCode, pk.Properties.ReasonString, pk.Properties.ServerReference = p.Reason, p.Text, p.Server
	if p.SessionExpiry != nil {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = *p.SessionExpiry, true
	}
	return encoded(b, pk.DisconnectEncode)
}
