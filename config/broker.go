// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"slices"
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

func brokerFields(c *broker.Config, passwords map[string]Secret) []field {
	return []field{
		{"listen", strs(&c.Listen, false, value.listener)},
		{"anonymous", boolean(&c.Anonymous)},
		{"durability", choice(&c.Durability, []string{string(broker.Disk), string(broker.Link), string(broker.Memory)})},
		{"tls", func(v value) { v.table("[broker.tls]", tlsFields(&c.TLS)) }},
		{"ws", func(v value) { v.table("[broker.ws]", wsFields(&c.WS)) }},
		{"limits", func(v value) { v.table("[broker.limits]", limitFields(&c.Limits)) }},
		{"user", func(v value) { v.users(&c.Users, passwords) }},
	}
}

// broker reads [broker].
func (v value) broker(c *broker.Config, passwords map[string]Secret) {
	if v.table("[broker]", brokerFields(c, passwords)) && !v.has("anonymous") {
		c.Anonymous = len(c.Users) == 0 && !slices.ContainsFunc(c.Listen, open)
	}
}

func tlsFields(t *broker.TLS) []field {
	return []field{{"cert", file(&t.Cert)}, {"key", file(&t.Key)}, {"client_ca", file(&t.ClientCA)}}
}

func wsFields(w *broker.WS) []field {
	return []field{{"origins", strs(&w.Origins, false, value.origin)}}
}

func limitFields(l *broker.Limits) []field {
	return []field{
		{"clients", count(&l.Clients)},
		{"preauth", count(&l.Preauth)},
		{"preauth_per_address", count(&l.PreauthPerAddress)},
		{"connect_timeout", duration(&l.ConnectTimeout, 0, century)},
		{"packet", size(&l.Packet, 0, most)},
		{"topic_levels", count(&l.TopicLevels)},
		{"subscriptions_per_client", count(&l.SubscriptionsPerClient)},
		{"retained", count(&l.Retained)},
		{"retained_bytes", size(&l.RetainedBytes, 0, most)},
		{"memory", size(&l.Memory, 0, mostDisk)},
		{"session_expiry", duration(&l.SessionExpiry, 0, century)},
		{"session_queue", size(&l.SessionQueue, 0, mostDisk)},
		{"journal", size(&l.Journal, 0, mostDisk)},
		{"min_free", size(&l.MinFree, 0, mostDisk)},
	}
}
