// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"edged/broker"
)

// The widest that limits may be set to: what an int holds on every machine, MQTT's largest packet, a century.
const (
	most       = math.MaxInt32
	mostPacket = 268435455
	century    = 36500 * 24 * time.Hour
	mostDisk   = 1 << 50
)

func brokerFields(c *broker.Config) []field {
	return append([]field{
		{"listen", strs(&c.Listen, false, value.address)},
		{"anonymous", boolean(&c.Anonymous)},
		{"durability", choice(&c.Durability, []string{string(broker.Disk), string(broker.Memory)}, "link")},
		{"limits", func(v value) { v.table("[broker.limits]", limitFields(&c.Limits)) }},
	}, later("tls", "ws", "user")...)
}

func limitFields(l *broker.Limits) []field {
	return append([]field{
		{"clients", whole(&l.Clients, 1, most)},
		{"preauth", whole(&l.Preauth, 1, most)},
		{"preauth_per_address", whole(&l.PreauthPerAddress, 1, most)},
		{"connect_timeout", duration(&l.ConnectTimeout, 100*time.Millisecond, time.Hour)},
		{"packet", size(&l.Packet, 1<<10, mostPacket)},
		{"topic_levels", whole(&l.TopicLevels, 1, math.MaxUint16)},
		{"subscriptions_per_client", whole(&l.SubscriptionsPerClient, 1, most)},
		{"retained", whole(&l.Retained, 1, most)},
		{"retained_bytes", size(&l.RetainedBytes, 1<<10, most)},
		{"session_expiry", duration(&l.SessionExpiry, time.Second, century)},
		{"session_queue", size(&l.SessionQueue, 1<<10, mostDisk)},
		{"journal", size(&l.Journal, 1<<20, mostDisk)},
	}, later("memory")...)
}

// address checks a "HOST:PORT".
func (v value) address(s string) {
	const hint = `write "HOST:PORT", such as "127.0.0.1:1883"`
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		switch scheme {
		case "tls", "ws", "wss", "unix":
			v.notYet(v.node.value, fmt.Sprintf("a listener %s://", scheme), hint)
		default:
			v.bad(fmt.Sprintf("%q is no address to listen on", s), hint)
		}
		return
	}
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || strings.ContainsAny(host, " /@") || n == 0 && port != "0" {
		v.bad(fmt.Sprintf("%q is no address to listen on", s), hint)
	}
}
