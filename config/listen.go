// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// listener checks the form of an address to listen on; the broker checks what it can serve.
func (v value) listener(s string) {
	const hint = `write "HOST:PORT", "tls://HOST:PORT", "ws://HOST:PORT/mqtt", "wss://HOST:PORT/mqtt" or "unix:///PATH"`
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	good := false
	switch scheme {
	case "", "tls":
		good = isAddress(rest)
	case "ws", "wss":
		address, path, _ := strings.Cut(rest, "/")
		good = isAddress(address) && !strings.ContainsAny(path, " ?#")
	case "unix":
		good = strings.HasPrefix(rest, "/") && !strings.HasSuffix(rest, "/")
	}
	if !good {
		v.bad(fmt.Sprintf("%q is no address to listen on", s), hint)
	}
}

// isAddress tells whether s is HOST:PORT.
func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && !strings.ContainsAny(host, " /@") && (n > 0 || port == "0")
}

// open tells whether others than this machine itself can reach a listener.
func open(listener string) bool {
	scheme, rest, ok := strings.Cut(listener, "://")
	if !ok {
		rest = listener
	}
	if ok && scheme == "unix" {
		return false
	}
	address, _, _ := strings.Cut(rest, "/")
	host, _, err := net.SplitHostPort(address)
	if err == nil && host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}

// origin checks the Origin of a page whose scripts may use the WebSocket listeners.
func (v value) origin(s string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || s != u.Scheme+"://"+u.Host {
		v.bad(fmt.Sprintf("%q is no origin", s), `write it as a browser sends it, such as "https://panel.example.com" or "http://10.0.0.5:8080"`)
	}
}
