// SPDX-License-Identifier: Apache-2.0

package mqtt

import "edged/mqtt/wire"

const (
	aliasShortest = 4       // bytes of a topic: an alias takes three
	aliasLongest  = 1 << 10 // so that what is remembered stays small
)

// aliases are what topics are called on one connection of MQTT 5, as far as the server offered it. The first topics that
// are published have one as long as the connection lasts: those of a gateway come again and again.
type aliases struct {
	max   int
	known map[string]uint16
}

// of returns a topic's alias, 0 for none, and whether the server knows it. Without room for a longer PUBLISH no topic
// gets one.
func (a *aliases) of(topic string, room bool) (alias uint16, known bool) {
	if a.max == 0 || len(topic) < aliasShortest {
		return 0, false
	}
	if alias, known = a.known[topic]; known {
		return alias, true
	}
	if !room || len(a.known) >= a.max || len(topic) > aliasLongest {
		return 0, false
	}
	if a.known == nil {
		a.known = make(map[string]uint16, a.max)
	}
	alias = uint16(len(a.known) + 1)
	a.known[topic] = alias
	return alias, false
}

// publishing appends a PUBLISH to what is to be written; its size is within the server's limit.
func (c *Client) publishing(m *wire.Message, id uint16, dup bool) {
	if c.aliases.max > 0 {
		room := wire.PublishSize(m, 5, m.QoS, nil)+wire.AliasSize <= c.ack.MaximumPacketSize
		if alias, known := c.aliases.of(m.Topic, room); alias > 0 {
			c.out = wire.AppendAliased(c.out, m, alias, known, m.QoS, id, dup, m.Retain, nil, 0)
			return
		}
	}
	c.out = wire.AppendPublish(c.out, m, c.cfg.Version, m.QoS, id, dup, m.Retain, nil, 0)
}
