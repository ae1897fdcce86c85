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

// The widest that a key can be, whatever the part says that it belongs to: what an int holds on every machine, a
// century, and more than a disk has.
const (
	most     = math.MaxInt32
	century  = 36500 * 24 * time.Hour
	mostDisk = 1 << 50
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
		{"clients", count(&l.Clients)},
		{"preauth", count(&l.Preauth)},
		{"preauth_per_address", count(&l.PreauthPerAddress)},
		{"connect_timeout", duration(&l.ConnectTimeout, 0, century)},
		{"packet", size(&l.Packet, 0, most)},
		{"topic_levels", count(&l.TopicLevels)},
		{"subscriptions_per_client", count(&l.SubscriptionsPerClient)},
		{"retained", count(&l.Retained)},
		{"retained_bytes", size(&l.RetainedBytes, 0, most)},
		{"session_expiry", duration(&l.SessionExpiry, 0, century)},
		{"session_queue", size(&l.SessionQueue, 0, mostDisk)},
		{"journal", size(&l.Journal, 0, mostDisk)},
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
