// SPDX-License-Identifier: Apache-2.0

package broker

import "edged/mqtt/wire"

const (
	aliasMax      = 32       // topic aliases of one connection, in each direction
	aliasBytes    = 64 << 10 // that a client's aliases may stand for, together
	aliasCost     = 3        // bytes of an alias in a PUBLISH: no shorter topic gets one
	aliasTopicMax = 1 << 10  // the longest topic that we give one
)

// inAliases are the topics that a client of MQTT 5 gave aliases, by alias - 1.
type inAliases struct {
	topics []string
	bytes  int
}

// resolve puts the topic into a PUBLISH that names an alias, or notes the alias.
func (a *inAliases) resolve(m *wire.Inbound) *wire.Fault {
	if m.Alias == 0 {
		return nil
	}
	if m.Alias > aliasMax {
		return &wire.Fault{Code: wire.AliasInvalid, Text: "topic alias above our maximum"}
	}
	if a.topics == nil {
		a.topics = make([]string, aliasMax)
	}
	topic := &a.topics[m.Alias-1]
	if len(m.Topic) == 0 {
		if *topic == "" {
			return &wire.Fault{Code: wire.ProtocolError, Text: "unknown topic alias"}
		}
		m.Topic = []byte(*topic)
		return nil
	}
	if *topic == string(m.Topic) {
		return nil
	}
	if a.bytes += len(m.Topic) - len(*topic); a.bytes > aliasBytes {
		return &wire.Fault{Code: wire.QuotaExceeded, Text: "topic aliases for too long topics"}
	}
	*topic = string(m.Topic)
	return nil
}

// outAliases are the aliases that we gave topics towards a client of MQTT 5: the first topics that it gets have them as
// long as its connection lasts.
type outAliases struct {
	max   int
	known map[string]uint16
}

func newOutAliases(clientMax uint16) outAliases {
	return outAliases{max: min(int(clientMax), aliasMax)}
}

// of returns a topic's alias, 0 for none, and tells whether the client knows it. Without room for a longer PUBLISH no
// topic gets one.
func (a *outAliases) of(topic string, room bool) (alias uint16, known bool) {
	if a.max == 0 || len(topic) <= aliasCost {
		return 0, false
	}
	if alias, known = a.known[topic]; known {
		return alias, true
	}
	if !room || len(a.known) >= a.max || len(topic) > aliasTopicMax {
		return 0, false
	}
	if a.known == nil {
		a.known = make(map[string]uint16, a.max)
	}
	alias = uint16(len(a.known) + 1)
	a.known[topic] = alias
	return alias, false
}
