// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"strings"
	"testing"
)

// The addresses are the same on every road, since each is in namespaces of its own.
const (
	gatewayIP = "192.168.77.2"
	insideIP  = "192.168.77.1"
	outsideIP = "198.51.100.1"
	cloudIP   = "198.51.100.2"
)

// road is the way from a gateway to its cloud, through a NAT.
type road struct{ gateway, nat, cloud *host }

// rules are those of a home router or a carrier: what goes out gets the NAT's address, and of what comes only what belongs to
// a connection that it knows gets in. A packet of a connection that it forgot is dropped without a word.
const rules = `
table ip nat {
	chain captive { type nat hook prerouting priority dstnat; }
	chain post { type nat hook postrouting priority srcnat; oifname "out0" masquerade; }
}
table ip road {
	chain fault { }
	chain pass {
		type filter hook forward priority filter; policy accept;
		jump fault
		ct state invalid drop
		iifname "out0" ct state new drop
	}
}`

func newRoad(t *testing.T) *road {
	t.Helper()
	r := &road{newHost(t), newHost(t), newHost(t)}
	r.nat.run(t, "ip", "link", "add", "in0", "type", "veth", "peer", "name", "gw0", "netns", r.gateway.name())
	r.nat.run(t, "ip", "link", "add", "out0", "type", "veth", "peer", "name", "cl0", "netns", r.cloud.name())
	for _, end := range []struct {
		at       *host
		dev, net string
	}{
		{r.gateway, "gw0", gatewayIP}, {r.nat, "in0", insideIP}, {r.nat, "out0", outsideIP}, {r.cloud, "cl0", cloudIP},
	} {
		end.at.run(t, "ip", "addr", "add", end.net+"/24", "dev", end.dev)
		end.at.run(t, "ip", "link", "set", end.dev, "up")
	}
	r.gateway.run(t, "ip", "route", "add", "default", "via", insideIP)
	r.nat.set(t, "ipv4/ip_forward", "1")
	r.nft(t, strings.Split(strings.TrimSpace(rules), "\n")...)
	r.nat.set(t, "netfilter/nf_conntrack_tcp_loose", "0") // a packet of an unknown connection begins none
	return r
}

// nft gives the NAT rules.
func (r *road) nft(t *testing.T, lines ...string) {
	t.Helper()
	r.nat.run(t, "nft", strings.Join(lines, "\n"))
}

// fault makes the NAT do something to what passes.
func (r *road) fault(t *testing.T, rule string) {
	t.Helper()
	r.nft(t, "add rule ip road fault "+rule)
}

// heal takes all faults away.
func (r *road) heal(t *testing.T) {
	t.Helper()
	r.nft(t, "flush chain ip road fault", "flush chain ip nat captive")
}

// blackHole drops everything both ways without a word.
func (r *road) blackHole(t *testing.T) { t.Helper(); r.fault(t, "drop") }

// forget makes the NAT lose what it knows of connections.
func (r *road) forget(t *testing.T) {
	t.Helper()
	r.nat.run(t, "conntrack", "-F")
}

// unplug takes the carrier from the gateway's interface, plug gives it back.
func (r *road) unplug(t *testing.T) { t.Helper(); r.nat.run(t, "ip", "link", "set", "in0", "down") }
func (r *road) plug(t *testing.T)   { t.Helper(); r.nat.run(t, "ip", "link", "set", "in0", "up") }

// slow lets so many kbit/s pass each way, full gives the whole rate back.
func (r *road) slow(t *testing.T, kbit int) {
	t.Helper()
	for _, dev := range []string{"in0", "out0"} {
		r.nat.run(t, "tc", "qdisc", "replace", "dev", dev, "root", "tbf", "rate", fmt.Sprint(kbit, "kbit"), "burst", "4kb", "latency", "300ms")
	}
}

func (r *road) full(t *testing.T) {
	t.Helper()
	for _, dev := range []string{"in0", "out0"} {
		r.nat.run(t, "tc", "qdisc", "del", "dev", dev, "root")
	}
}
