// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"

	"edged/bridge"
	"edged/broker"
	"edged/uplink"
)

// classNames are the classes by which the backlog is told, in the order of their numbers in the broker.
func classNames() [broker.Classes]string { return [...]string{"readings", "event", "status"} }

// classOf is the number of a topic's class: what is no word about the gateway or a device counts as a reading.
func classOf(topic string) int {
	if strings.HasPrefix(topic, "homeassistant/") {
		return 2
	}
	if !strings.HasPrefix(topic, "edged/") {
		return 0
	}
	switch topic[strings.LastIndexByte(topic, '/')+1:] {
	case "event":
		return 1
	case "status", "info", "health", "meta":
		return 2
	}
	return 0
}

// classed tells the broker which session's backlog is told by class.
func classed() broker.Classed { return broker.Classed{ClientID: uplink.ClientID, Of: classOf} }

// backlogByClass names the classes of a session's backlog; all are in it.
func backlogByClass(s broker.SessionStatus) map[string]bridge.ClassBacklog {
	all := map[string]bridge.ClassBacklog{}
	for i, name := range classNames() {
		all[name] = bridge.ClassBacklog{Messages: s.Classes[i].Messages, Bytes: s.Classes[i].Bytes}
	}
	return all
}
