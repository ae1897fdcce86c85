// SPDX-License-Identifier: Apache-2.0

package wire

// Check validates a whole packet from a connected client, by the version that its CONNECT named: every type that a
// client may send but CONNECT (see [DecodeConnect]) and PUBLISH (see [ReadPublish]).
func Check(h byte, body []byte, version byte) *Fault {
	kind := h >> 4
	if f := checkFlags(kind, h&15, version); f != nil {
		return f
	}
	switch kind {
	case Puback, Pubrec, Pubrel, Pubcomp:
		return checkAck(kind, body, version, place(kind))
	case Subscribe:
		return checkSubscribe(body, version)
	case Unsubscribe:
		return checkUnsubscribe(body, version)
	case Pingreq:
		if len(body) > 0 {
			return fault(Malformed, "PINGREQ with a body")
		}
		return nil
	case Disconnect:
		return checkDisconnect(body, version, Disconnect)
	case Auth:
		return checkAuth(body, version, Auth)
	}
	return fault(ProtocolError, "a packet that a client does not send")
}

// CheckFromServer validates a whole packet from a server, by the version that our CONNECT named: every type that a
// server may send but PUBLISH (see [ReadPublish]).
func CheckFromServer(h byte, body []byte, version byte) *Fault {
	kind := h >> 4
	if f := checkFlags(kind, h&15, version); f != nil {
		return f
	}
	switch kind {
	case Connack:
		return checkConnack(body, version)
	case Puback, Pubrec, Pubrel, Pubcomp:
		return checkAck(kind, body, version, fromServer+place(kind))
	case Suback, Unsuback:
		return checkGrants(kind, body, version)
	case Pingresp:
		if len(body) > 0 {
			return fault(Malformed, "PINGRESP with a body")
		}
		return nil
	case Disconnect:
		if version < 5 {
			return fault(ProtocolError, "DISCONNECT from a server before MQTT 5")
		}
		return checkDisconnect(body, version, fromServer+Disconnect)
	case Auth:
		return checkAuth(body, version, fromServer+Auth)
	}
	return fault(ProtocolError, "a packet that a server does not send")
}

// checkFlags judges the reserved flags of the fixed header [MQTT-2.1.3-1]. MQTT 3.1 also lets DUP be set on the three
// that have an answer (2.1, 3.6, 3.8, 3.10 there).
func checkFlags(kind, flags, version byte) *Fault {
	want := byte(0)
	if kind == Pubrel || kind == Subscribe || kind == Unsubscribe {
		want = 2
		if version == 3 {
			flags &^= 8
		}
	}
	if flags != want {
		return fault(Malformed, "reserved flags of the fixed header")
	}
	return nil
}

func nothingAfter(rest []byte, f *Fault) *Fault {
	if f == nil && len(rest) > 0 {
		return fault(Malformed, "bytes after the end")
	}
	return f
}

// packetID takes the identifier off the head of a body.
func packetID(b []byte) (rest []byte, f *Fault) {
	if len(b) < 2 {
		return nil, fault(Malformed, "no packet identifier")
	}
	if b[0]|b[1] == 0 { // [MQTT-2.2.1-3]
		return nil, fault(ProtocolError, "packet identifier 0")
	}
	return b[2:], nil
}

func checkAck(kind byte, body []byte, version byte, where place) *Fault {
	b, f := packetID(body)
	switch {
	case f != nil:
		return f
	case len(b) == 0:
		return nil
	case version < 5:
		return fault(Malformed, "bytes after the end")
	case !mayCarry(where, b[0]):
		return fault(ProtocolError, "a reason code that does not belong here")
	case len(b) == 1:
		return nil
	}
	return nothingAfter(scan(b[1:], where, nil))
}

func checkDisconnect(body []byte, version byte, where place) *Fault {
	switch {
	case len(body) == 0:
		return nil
	case version < 5:
		return fault(Malformed, "DISCONNECT with a body")
	case !mayCarry(where, body[0]):
		return fault(ProtocolError, "a reason code that does not belong here")
	case len(body) == 1:
		return nil
	}
	return nothingAfter(scan(body[1:], where, nil))
}

func checkAuth(body []byte, version byte, where place) *Fault {
	switch {
	case version < 5:
		return fault(ProtocolError, "AUTH before MQTT 5")
	case len(body) == 0 && where == fromServer+Auth: // stands for success without properties
		return fault(ProtocolError, "AUTH without a method")
	case len(body) < 2:
		return fault(Malformed, "AUTH is cut")
	case !mayCarry(where, body[0]):
		return fault(ProtocolError, "a reason code that does not belong here")
	}
	return nothingAfter(scan(body[1:], where, nil))
}
