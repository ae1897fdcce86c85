// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// A page that a browser shows may open WebSockets to anything that the browser reaches, with nobody asked; all that tells
// it from others is its Origin. It is let in if it came from this machine: from the host that it connects to, under a
// name that is this machine's. The name counts because a page of evil.example can have that name resolved to our address.

// foreign tells why a page of that origin may not connect, "" if it may. Without an Origin it is no page.
func (l *Listener) foreign(origins []string, host string, at net.Addr) (why string) {
	if len(origins) == 0 {
		return ""
	}
	if len(origins) > 1 {
		return "there is more than one Origin"
	}
	origin := origins[0]
	if l.opts.Origins != nil && slices.ContainsFunc(l.opts.Origins(), func(o string) bool { return strings.EqualFold(o, origin) }) {
		return ""
	}
	u, err := url.Parse(origin)
	page := ""
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil {
		page = hostName(u.Host)
	}
	if page == "" || page != hostName(host) || !l.ours(page, at) {
		return fmt.Sprintf("pages of %.100q may not connect: name it in [broker.ws] origins", origin)
	}
	return ""
}

// ours tells whether a name is one that this machine has.
func (l *Listener) ours(name string, at net.Addr) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true // nobody can have an address resolved to another
	}
	listened, _, err := net.SplitHostPort(l.address.Host)
	if err == nil && listened != "" && name == hostName(l.address.Host) {
		return true
	}
	if tcp, ok := at.(*net.TCPAddr); ok && name == "localhost" {
		return tcp.IP.IsLoopback()
	}
	machine, err := os.Hostname()
	if err != nil || machine == "" {
		return false
	}
	machine = strings.ToLower(machine)
	short, _, _ := strings.Cut(machine, ".")
	return name == machine || name == short || name == short+".local"
}

// hostName is the host of HOST or HOST:PORT, without brackets, in lower case.
func hostName(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostPort, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
