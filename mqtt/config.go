// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"edged/mqtt/wire"
)

// Config is how to connect.
type Config struct {
	ClientID      string // "": the server makes one up (needs Clean before MQTT 5)
	Version       byte   // 4 (3.1.1) or 5
	Clean         bool   // begin with no session at the server: Clean Session, Clean Start
	SessionExpiry time.Duration
	KeepAlive     time.Duration // whole seconds up to 65,535; 0: off. The server may set another in MQTT 5
	Username      string
	Password      []byte // nil: none
	Will          *Will  // nil: none

	// Window is how many of our publishes of QoS 1 and 2 may be unacknowledged, 1 to 65,535, default 100. The server's
	// Receive Maximum bounds it too.
	Window int
	// ReceiveMaximum is how many deliveries of QoS 1 and 2 we take unacknowledged; a server that sends more is cut off.
	// MQTT 5 only; 0: 65,535.
	ReceiveMaximum uint16
	// TopicAliases is how many topics may be sent by a number instead of their name, as far as the server offers that.
	// MQTT 5 only; 0: none.
	TopicAliases uint16
	// MaximumPacketSize is how long a packet from the server may be, in bytes; a server that sends a longer one is cut
	// off. Default 1 MiB.
	MaximumPacketSize uint32

	// ResponseTimeout is how long CONNACK, SUBACK, UNSUBACK and PINGRESP may take, and the peer to take 16 KiB of what we
	// write. Default 10 s.
	ResponseTimeout time.Duration
	// PingAfter is how long without an acknowledgement from the server (PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK,
	// PINGRESP) until a PINGREQ goes out; 0, or more than that: 3/4 of the keep-alive. Deliveries do not count: they say
	// nothing about our own packets' way.
	PingAfter time.Duration

	// OnMessage gets what the server delivers, in order, from the goroutine that reads; perhaps before Connect returns.
	// While it runs nothing is read, so it must not wait for this client (Publish of QoS 1 or 2, Subscribe, Disconnect).
	// The Delivery belongs to it. A panic in it ends the connection. nil: deliveries are acknowledged and dropped.
	OnMessage func(*Delivery)
	// ManualRelease has the PUBREL of our publishes of QoS 2 wait for Pending.Release, so that the caller can note that the
	// server has a message before the server forgets its identifier.
	ManualRelease bool
	// ManualAck leaves the acknowledgement of deliveries to Delivery.Ack; otherwise OnMessage's return is it.
	ManualAck bool
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Window == 0 {
		c.Window = 100
	}
	if c.ReceiveMaximum == 0 {
		c.ReceiveMaximum = math.MaxUint16
	}
	if c.MaximumPacketSize == 0 {
		c.MaximumPacketSize = 1 << 20
	}
	if c.ResponseTimeout <= 0 {
		c.ResponseTimeout = 10 * time.Second
	}
	if c.OnMessage == nil {
		c.OnMessage, c.ManualAck = func(*Delivery) {}, false
	}
	return c
}

// check tells what keeps the configuration from being sent.
func (c *Config) check() error {
	switch {
	case c.Version != 4 && c.Version != 5:
		return fmt.Errorf("protocol version %d", c.Version)
	case !validText(c.ClientID):
		return errors.New("client identifier is not UTF-8 of at most 65,535 bytes")
	case c.ClientID == "" && !c.Clean && c.Version < 5:
		return errors.New("a session that is to be kept needs a client identifier")
	case !validText(c.Username):
		return errors.New("user name is not UTF-8 of at most 65,535 bytes")
	case len(c.Password) > math.MaxUint16:
		return errors.New("password is longer than 65,535 bytes")
	case c.Password != nil && c.Username == "" && c.Version < 5: // [MQTT-3.1.2-22] of 3.1.1
		return errors.New("a password needs a user name")
	case c.KeepAlive < 0 || c.KeepAlive > math.MaxUint16*time.Second:
		return fmt.Errorf("keep-alive of %v", c.KeepAlive)
	case c.Window < 1 || c.Window > math.MaxUint16:
		return fmt.Errorf("window of %d", c.Window)
	}
	if w := c.Will; w != nil {
		if !wire.ValidTopicName(w.Topic) || w.QoS > 2 || len(w.Payload) > math.MaxUint16 || !wire.ValidProps(w.Props) {
			return fmt.Errorf("will for topic %q, QoS %d, %d bytes", w.Topic, w.QoS, len(w.Payload))
		}
	}
	return nil
}

// validText says whether s may stand in a packet.
func validText(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return len(s) <= math.MaxUint16 && utf8.ValidString(s)
}

// packet is the CONNECT.
func (c *Config) packet() *wire.ConnectPacket {
	p := &wire.ConnectPacket{
		Level: c.Version, Clean: c.Clean, KeepAlive: uint16(seconds(c.KeepAlive)), ClientID: c.ClientID,
		HasUser: c.Username != "", User: c.Username, HasPassword: c.Password != nil, Password: c.Password,
	}
	if c.Version == 5 {
		p.SessionExpiry = seconds(c.SessionExpiry)
		p.MaximumPacketSize = c.MaximumPacketSize
		if c.ReceiveMaximum < math.MaxUint16 {
			p.ReceiveMaximum = c.ReceiveMaximum
		}
	}
	if w := c.Will; w != nil {
		p.Will = &wire.WillPacket{
			Message: wire.Message{Topic: w.Topic, Payload: w.Payload, Props: w.Props, QoS: w.QoS, Retain: w.Retain},
			Delay:   seconds(w.Delay), Life: seconds(w.Expiry),
		}
	}
	return p
}

// seconds rounds up, to at most the greatest number that the protocol has.
func seconds(d time.Duration) uint32 {
	return uint32(min(max((d+time.Second-1)/time.Second, 0), math.MaxUint32))
}
