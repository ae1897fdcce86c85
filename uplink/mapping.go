// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"slices"
	"strings"

	"edged/mqtt"
	"edged/uplink/dialect"
)

// mapping decides what goes to the cloud and what comes in, and under which topic.
type mapping struct {
	status  string   // the gateway's presence, which the uplink itself publishes in the cloud
	own     []string // of the gateway; they go whatever send says
	send    []string
	receive []string
	prefix  string
	cloud   *dialect.Dialect
	given   *dialect.Settings // what its spelling needs
}

func newMapping(gateway string, cfg Config) *mapping {
	base := "edged/" + gateway + "/"
	return &mapping{
		status: base + "status", own: []string{base + "info", base + "health", base + "event"},
		send: cfg.Send, receive: cfg.Receive, prefix: cfg.Prefix, cloud: dialect.For(cfg.Cloud), given: cfg.settings(gateway),
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
	if m.cloud.Fixed() {
		return m.cloud.Filters(m.given)
	}
	out := fewest(m.receive)
	for i, f := range out {
		out[i] = m.prefix + f
	}
	return out
}

// outgoing returns what a local message is in the cloud; false: it does not go there. What comes in never goes out, so
// that no message goes round.
func (m *mapping) outgoing(topic string, payload []byte) (dialect.Message, bool) {
	if topic == m.status || matchesAny(m.receive, topic) || !matchesAny(m.send, topic) && !slices.Contains(m.own, topic) {
		return dialect.Message{}, false
	}
	return m.spelt(topic, payload)
}

// spelt returns what is there under another name; false: the cloud has no place for it.
func (m *mapping) spelt(topic string, payload []byte) (dialect.Message, bool) {
	out := dialect.Message{Topic: m.prefix + topic, Payload: payload}
	if m.cloud.Fixed() {
		return m.cloud.Out(m.given, out)
	}
	return out, true
}

// incoming returns what a message from the cloud is here; false: it is not let in.
func (m *mapping) incoming(topic string, payload []byte) (dialect.Message, bool) {
	in := dialect.Message{Topic: topic, Payload: payload}
	ok := true
	if m.cloud.Fixed() {
		in, ok = m.cloud.In(m.given, in)
	} else {
		in.Topic, ok = strings.CutPrefix(topic, m.prefix)
	}
	return in, ok && in.Topic != "" && matchesAny(m.receive, in.Topic)
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
