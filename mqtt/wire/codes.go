// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"strings"
)

// Return codes of CONNACK in MQTT 3.1 and 3.1.1 (3.2.2.3).
const (
	RefusedVersion     = 1
	RefusedClientID    = 2
	RefusedUnavailable = 3
	RefusedCredentials = 4
	RefusedAuthority   = 5
)

// Reason codes of MQTT 5 (2.4).
const (
	Success              = 0x00
	DisconnectWithWill   = 0x04
	NoSubscribers        = 0x10
	NoSubscription       = 0x11
	Unspecified          = 0x80
	Malformed            = 0x81
	ProtocolError        = 0x82
	ImplementationError  = 0x83
	UnsupportedVersion   = 0x84
	ClientIDInvalid      = 0x85
	BadCredentials       = 0x86
	NotAuthorized        = 0x87
	ServerUnavailable    = 0x88
	ServerBusy           = 0x89
	Banned               = 0x8a
	ServerShuttingDown   = 0x8b
	BadAuthMethod        = 0x8c
	KeepAliveTimeout     = 0x8d
	SessionTakenOver     = 0x8e
	FilterInvalid        = 0x8f
	TopicInvalid         = 0x90
	PacketIDInUse        = 0x91
	PacketIDNotFound     = 0x92
	ReceiveMaxExceeded   = 0x93
	AliasInvalid         = 0x94
	TooLarge             = 0x95
	RateTooHigh          = 0x96
	QuotaExceeded        = 0x97
	AdministrativeAction = 0x98
	PayloadInvalid       = 0x99
	RetainForbidden      = 0x9a
	QoSForbidden         = 0x9b
	UseAnotherServer     = 0x9c
	ServerMoved          = 0x9d
	SharedForbidden      = 0x9e
	ConnectRateExceeded  = 0x9f
	MaximumConnectTime   = 0xa0
	SubIDsForbidden      = 0xa1
	WildcardsForbidden   = 0xa2
)

// codes is what each packet type may carry as a reason in MQTT 5: the tables of 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1,
// 3.7.2.1, 3.9.3, 3.11.3 and 3.14.2.1. A packet that differs by direction has two entries.
var codes = [...]struct {
	where place
	codes string
}{
	{fromServer + Connack, "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f"},
	{Puback, "\x00\x10\x80\x83\x87\x90\x91\x97\x99"},
	{Pubrec, "\x00\x10\x80\x83\x87\x90\x91\x97\x99"},
	{Pubrel, "\x00\x92"},
	{Pubcomp, "\x00\x92"},
	{fromServer + Suback, "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2"},
	{fromServer + Unsuback, "\x00\x11\x80\x83\x87\x8f\x91"},
	{Disconnect, "\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99"},
	{fromServer + Disconnect, "\x00\x80\x81\x82\x83\x87\x89\x8b\x8c\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2"},
	{Auth, "\x18\x19"},
	{fromServer + Auth, "\x00\x18"},
}

// mayCarry says whether a reason code belongs into a packet; acknowledgements are the same in both directions.
func mayCarry(where place, code byte) bool {
	if kind := where &^ fromServer; kind >= Puback && kind <= Pubcomp {
		where = kind
	}
	for i := range codes {
		if codes[i].where == where {
			return strings.IndexByte(codes[i].codes, code) >= 0
		}
	}
	return false
}

// ReasonText is a reason code of MQTT 5 in words.
func ReasonText(code byte) string {
	if code >= Unspecified && int(code-Unspecified) < len(failures) {
		return failures[code-Unspecified]
	}
	switch code {
	case Success:
		return "success"
	case DisconnectWithWill:
		return "disconnect with will"
	case NoSubscribers:
		return "no matching subscribers"
	case NoSubscription:
		return "no subscription existed"
	}
	return fmt.Sprintf("code 0x%02x", code)
}

// failures are the words for 0x80 to 0xa2.
var failures = [...]string{
	"unspecified error", "malformed packet", "protocol error", "implementation specific error",
	"unsupported protocol version", "client identifier not valid", "bad user name or password", "not authorized",
	"server unavailable", "server busy", "banned", "server shutting down", "bad authentication method",
	"keep alive timeout", "session taken over", "topic filter invalid", "topic name invalid",
	"packet identifier in use", "packet identifier not found", "receive maximum exceeded", "topic alias invalid",
	"packet too large", "message rate too high", "quota exceeded", "administrative action", "payload format invalid",
	"retain not supported", "QoS not supported", "use another server", "server moved",
	"shared subscriptions not supported", "connection rate exceeded", "maximum connect time",
	"subscription identifiers not supported", "wildcard subscriptions not supported",
}

// RefusalText is the code of a CONNACK in words, for the version that was spoken.
func RefusalText(code, version byte) string {
	if version == 5 {
		return ReasonText(code)
	}
	switch code {
	case Success:
		return "accepted"
	case RefusedVersion:
		return "unacceptable protocol version"
	case RefusedClientID:
		return "identifier rejected"
	case RefusedUnavailable:
		return "server unavailable"
	case RefusedCredentials:
		return "bad user name or password"
	case RefusedAuthority:
		return "not authorized"
	}
	return fmt.Sprintf("code %d", code)
}
