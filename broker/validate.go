// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"net/netip"
	"time"

	"edged/broker/authority"
	"edged/broker/journal"
	"edged/broker/listener"
)

// maxPacket is the largest that Limits.Packet may be: a packet fits into a record of the journal, with whom it is owed to.
const maxPacket = journal.MaxBody / 2

// Validate reports each value that the broker cannot work with, under its key below [broker].
func (c Config) Validate(report func(key, problem string)) {
	c.validateListeners(report)
	if c.Durability != Disk && c.Durability != Link && c.Durability != Memory {
		report("durability", fmt.Sprintf("%q is not known: use %q, %q or %q", c.Durability, Disk, Link, Memory))
	}
	authority.Validate(c.Users, report)
	c.Limits.validate(report)
}

// validateListeners judges listen, and what listeners need: certificates, and users where others can reach them.
func (c Config) validateListeners(report func(key, problem string)) {
	seen := map[string]bool{}
	open := ""
	for i, addr := range c.Listen {
		a, err := listener.Parse(addr)
		problem := ""
		switch {
		case err != nil:
			problem = err.Error()
		case a.Port() != "0" && seen[a.Host+"|"+a.File()]:
			problem = fmt.Sprintf("%q is listed before: an address can be listened on once", addr)
		case a.Secure() && (c.TLS.Cert == "" || c.TLS.Key == ""):
			problem = fmt.Sprintf("%q shows a certificate: name one, and its key, as [broker.tls] cert and key", addr)
		case !a.Local() && len(c.Users) == 0:
			problem = fmt.Sprintf("%q is open to the network, and there is no user: edged user add NAME makes one; or listen on \"127.0.0.1:%s\" (E410)", addr, a.Port())
		}
		if problem != "" {
			report(fmt.Sprintf("listen[%d]", i), problem)
			continue
		}
		seen[a.Host+"|"+a.File()] = true
		if open == "" && !a.Local() {
			open = addr
		}
	}
	if c.Anonymous && open != "" {
		report("anonymous", fmt.Sprintf("true would let everybody on the network in, at %q, without a password: leave it out, and give each client a user: edged user add NAME (E410)", open))
	}
}

func (l *Limits) validate(report func(key, problem string)) {
	for _, x := range []struct {
		key        string
		value, min int64
		max        int64
	}{
		{"clients", int64(l.Clients), 1, 1 << 20},
		{"preauth", int64(l.Preauth), 1, 1 << 16},
		{"preauth_per_address", int64(l.PreauthPerAddress), 1, 1 << 16},
		{"topic_levels", int64(l.TopicLevels), 1, 128},
		{"subscriptions_per_client", int64(l.SubscriptionsPerClient), 1, 1 << 16},
		{"retained", int64(l.Retained), 0, 1 << 24},
	} {
		if x.value < x.min || x.value > x.max {
			report("limits."+x.key, fmt.Sprintf("%d is out of range: use %d to %d", x.value, x.min, x.max))
		}
	}
	for _, x := range []struct {
		key        string
		value, min int64
		max        int64
	}{
		{"packet", int64(l.Packet), 1 << 10, maxPacket},
		{"retained_bytes", int64(l.RetainedBytes), 0, 1 << 30},
		{"session_queue", l.SessionQueue, 64 << 10, 1 << 40},
		{"journal", l.Journal, 4 * journal.SegmentSize, 1 << 44},
		{"min_free", l.MinFree, 256 << 10, 1 << 44},
	} {
		if x.value < x.min || x.value > x.max {
			report("limits."+x.key, fmt.Sprintf("%s is out of range: use %s to %s", sizeText(x.value), sizeText(x.min), sizeText(x.max)))
		}
	}
	if l.ConnectTimeout < 100*time.Millisecond || l.ConnectTimeout > time.Hour {
		report("limits.connect_timeout", fmt.Sprintf("%v is out of range: use 100ms to 1h", l.ConnectTimeout))
	}
	if l.SessionExpiry < time.Second || l.SessionExpiry > 10*365*24*time.Hour {
		report("limits.session_expiry", fmt.Sprintf("%v is out of range: use 1s to 3650d", l.SessionExpiry))
	}
	if l.SessionQueue > l.Journal {
		report("limits.session_queue", fmt.Sprintf("%s does not fit into limits.journal, %s", sizeText(l.SessionQueue), sizeText(l.Journal)))
	}
}

// sizeText writes bytes as the configuration does.
func sizeText(n int64) string {
	for _, u := range []struct {
		unit string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.unit)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// isLoopback tells whether a host is a loopback address.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
