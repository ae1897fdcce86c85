// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"math"
	"strings"
	"time"

	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// keepAliveMax is the longest keep-alive of a client from outside in MQTT 5, in seconds; one that asks for more is told.
// So a client that is gone is missed within a minute and a half. Who asks for none is left without, and MQTT 3.1.1 has no
// way to say it.
const keepAliveMax = 60

// responsePrefix begins what clients that ask for it are told to begin response topics with; their identifier follows.
const responsePrefix = "response/"

// accept settles what the connection is like, and returns the CONNACK that says so, or nil if the client takes none as
// long as that.
func (c *conn) accept(p *wire.ConnectPacket, assigned string) *wire.ConnackPacket {
	ack := &wire.ConnackPacket{}
	keepAlive := p.KeepAlive
	if p.Level == 5 {
		if keepAlive > keepAliveMax && !c.inside {
			keepAlive = keepAliveMax
			ack.ServerKeepAlive = &keepAlive
		}
		ack.AssignedClientID, ack.TopicAliasMaximum, ack.ReceiveMaximum = assigned, aliasMax, receiveMax
		ack.MaximumPacketSize = uint32(c.b.limits().Packet)
		if expiry := c.b.expiry(p); expiry != p.SessionExpiry {
			ack.SessionExpiry = &expiry
			if !c.inside { // those of this process ask for all that they can have
				c.b.counters.Hit(statistics.SessionExpiry)
			}
		}
		if p.WantsResponseInfo {
			ack.ResponseInfo = c.responseInfo()
		}
	}
	c.keepAlive = time.Duration(keepAlive) * time.Second * 3 / 2
	if c.maxSize == 0 || c.fits(wire.AppendConnack(nil, ack, p.Level)) {
		return ack
	}
	if ack.ResponseInfo = ""; c.fits(wire.AppendConnack(nil, ack, p.Level)) {
		return ack
	}
	return nil
}

// responseInfo is where the client may have answers sent to, "" where nothing that holds its identifier would do.
func (c *conn) responseInfo() string {
	topic := responsePrefix + c.who.ID
	if strings.ContainsAny(c.who.ID, "/+#") || !c.who.MaySubscribe(topic+"/#") {
		return ""
	}
	return topic
}

// expiry is how long a session outlives its connection, in seconds: as its client asks, within the limit.
func (b *Broker) expiry(p *wire.ConnectPacket) uint32 {
	switch {
	case p.Level == 5:
		return b.bounded(p.SessionExpiry)
	case p.Clean:
		return 0
	}
	return b.bounded(math.MaxUint32)
}

// bounded is an expiry within the limit.
func (b *Broker) bounded(expiry uint32) uint32 {
	return uint32(min(int64(expiry), int64(b.limits().SessionExpiry/time.Second), math.MaxUint32))
}
