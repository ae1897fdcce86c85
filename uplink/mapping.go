// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"slices"
	"strings"

	"edged/mqtt"
)

// mapping decides what goes to the cloud and what comes in, and under which topic.
type mapping struct {
	status  string   // the gateway's presence, which the uplink itself publishes in the cloud
	own     []string // of the gateway; they go whatever send says
	send    []string
	receive []string
	prefix  string
}

func newMapping(gateway string, cfg Config) *mapping {
	base := "edged/" + gateway + "/"
	return &mapping{
		status: base + "status", own: []string{base + "info", base + "health", base + "event"},
		send: cfg.Send, receive: cfg.Receive, prefix: cfg.Prefix,
	}
}

// Rights are the filters that the session [ClientID] publishes to and subscribes to on the local broker.
func Rights(gateway string, cfg Config) (publish, subscribe []string) {
	m := newMapping(gateway, cfg)
	return slices.Clone(m.receive), m.wanted()
}

// wanted are the filters to subscribe to on the local broker.
func (m *mapping) wanted() []string { return fewest(slices.Concat(m.send, m.own)) }

// asked are the filters to subscribe to in the cloud.
func (m *mapping) asked() []string {
	out := fewest(m.receive)
	for i, f := range out {
		out[i] = m.prefix + f
	}
	return out
}

// outgoing returns the topic that a local message has in the cloud; false: it does not go there. What comes in never
// goes out, so that no message goes round.
func (m *mapping) outgoing(topic string) (string, bool) {
	if topic == m.status || matchesAny(m.receive, topic) || !matchesAny(m.send, topic) && !slices.Contains(m.own, topic) {
		return "", false
	}
	return m.prefix + topic, true
}

// incoming returns the local topic of a message from the cloud; false: it is not let in.
func (m *mapping) incoming(topic string) (string, bool) {
	local, ok := strings.CutPrefix(topic, m.prefix)
	return local, ok && local != "" && matchesAny(m.receive, local)
}

func matchesAny(filters []string, topic string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return mqtt.Matches(f, topic) })
}

// outgoingProps and incomingProps are the properties of MQTT 5 that a message has on the other side: the topic on which
// its answer is awaited is another there.
func (m *mapping) outgoingProps(props []byte) []byte {
	return m.withResponse(props, func(topic string) string { return m.prefix + topic })
}

func (m *mapping) incomingProps(props []byte) []byte {
	return m.withResponse(props, func(topic string) string {
		local, ok := strings.CutPrefix(topic, m.prefix)
		if !ok {
			return ""
		}
		return local
	})
}

func (m *mapping) withResponse(props []byte, change func(topic string) string) []byte {
	if m.prefix == "" || len(props) == 0 {
		return props
	}
	p, ok := mqtt.ReadProperties(props)
	if !ok || p.ResponseTopic == "" {
		return props
	}
	p.ResponseTopic = change(p.ResponseTopic)
	return p.Append(nil)
}
