// SPDX-License-Identifier: Apache-2.0

// Package mqtt is an MQTT client, 3.1.1 and 5, over any net.Conn.
//
// One connection is one [Client]; it never reconnects. What must survive connections, that is unacknowledged messages and
// the state of QoS 2, lives in a [Session], which the next Client takes over:
//
//	s := mqtt.NewSession()
//	for {
//		nc, err := dial()
//		…
//		c, ack, err := mqtt.Connect(ctx, nc, s, cfg)
//		…
//		<-c.Done()
//	}
package mqtt

import (
	"errors"
	"fmt"
	"time"

	"edged/mqtt/wire"
)

// Message is an application message.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
	Expiry  time.Duration // MQTT 5: how long it is worth delivering, rounded up to seconds; 0: for ever
	// Props are MQTT 5's other properties, encoded: what came with one message can be sent with another. See
	// [Properties.Append] and [ReadProperties]. 3.1.1 leaves them out.
	Props []byte
}

// Properties are what Message.Props holds.
type Properties = wire.Properties

// UserProperty is a name and a value among Properties.
type UserProperty = wire.UserProperty

// ReadProperties decodes Message.Props; ok is false where they are not valid.
func ReadProperties(props []byte) (p Properties, ok bool) { return wire.ReadProperties(props) }

// Will is what the server publishes for us when the connection ends without [Client.Disconnect].
type Will struct {
	Message
	Delay time.Duration // MQTT 5: how long the server waits for us to come back, rounded up to seconds
}

// Subscription is one topic filter with its options; all but the first two are of MQTT 5.
type Subscription = wire.Subscription

// Matches says whether a topic filter matches a topic name.
func Matches(filter, topic string) bool { return wire.Matches(filter, topic) }

var (
	// ErrClosed is why a client ended that we closed, and what calls on it return from then on.
	ErrClosed = errors.New("mqtt: connection closed")
	// ErrNoAnswer is wrapped by the error of what the server did not answer within Config.ResponseTimeout.
	ErrNoAnswer = errors.New("no answer from the server")
	// ErrUnsendable is wrapped by the error of a message that the protocol or this server's limits never let through;
	// the connection is not harmed.
	ErrUnsendable = errors.New("message cannot be sent")
)

// RefusedError is a CONNACK that refuses us.
type RefusedError struct {
	Version byte // 4 or 5: how Code is to be read
	Code    byte
	Reason  string // the server's own words, MQTT 5 only
	Server  string // the server that it names instead, MQTT 5 only
}

// Error tells the code in words.
func (e *RefusedError) Error() string {
	s := "connection refused by the server: " + wire.RefusalText(e.Code, e.Version)
	if e.Version == 5 {
		s += fmt.Sprintf(" (CONNACK 0x%02x)", e.Code)
	} else {
		s += fmt.Sprintf(" (CONNACK %d)", e.Code)
	}
	if e.Reason != "" {
		s += fmt.Sprintf(": %q", e.Reason)
	}
	return s
}

// ReasonError is a reason code that says no: to a PUBLISH, SUBSCRIBE or UNSUBSCRIBE of ours, or, with Packet DISCONNECT,
// why the server ended the connection.
type ReasonError struct {
	Packet string // what it is about
	Code   byte   // reason code of MQTT 5, 0x80 for a refused SUBSCRIBE of 3.1.1
	Reason string // the server's own words, or the topic filter
	Server string // DISCONNECT: the server that it names instead
}

// Error tells the code in words.
func (e *ReasonError) Error() string {
	s := e.Packet + " refused by the server: "
	if e.Packet == "DISCONNECT" {
		s = "disconnected by the server: "
	}
	s += fmt.Sprintf("%s (0x%02x)", wire.ReasonText(e.Code), e.Code)
	if e.Reason != "" {
		s += fmt.Sprintf(": %q", e.Reason)
	}
	return s
}
