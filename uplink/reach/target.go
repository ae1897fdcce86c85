// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Target is one address of a broker.
type Target struct {
	Scheme string // mqtt, mqtts, ws, wss, mqtt+srv or mqtts+srv
	Host   string // name or address, without brackets; with +srv a domain whose SRV records name the hosts
	Port   uint16 // 0 with +srv
	Path   string // of a WebSocket
}

// AddressError says what is wrong with an address, without what may be a password in it.
type AddressError struct {
	Text, Hint string // what is wrong; what to write instead, "" where that is clear
	Secret     bool   // a user or password stands in it
}

// Error is [error].
func (e *AddressError) Error() string {
	if e.Hint == "" {
		return e.Text
	}
	return e.Text + ": " + e.Hint
}

// schemes are those that a target may have, with their usual ports.
func schemes() map[string]uint16 {
	return map[string]uint16{"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "mqtt+srv": 0, "mqtts+srv": 0}
}

const (
	usual         = "write mqtts://HOST:PORT, wss://HOST/PATH or mqtts+srv://DOMAIN, or mqtt:// or ws:// without encryption"
	webSocketPath = "/mqtt"
)

// ParseTarget reads an address of a broker. The error is an [*AddressError].
func ParseTarget(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return Target{}, &AddressError{Text: fmt.Sprintf("%q is no address of a broker", redacted(s)), Hint: usual}
	}
	port, known := schemes()[u.Scheme]
	t := Target{Scheme: u.Scheme, Host: u.Hostname(), Port: port, Path: u.EscapedPath()}
	switch {
	case !known:
		return Target{}, &AddressError{Text: fmt.Sprintf("%q is not known", u.Scheme+"://"), Hint: usual}
	case u.User != nil:
		return Target{}, &AddressError{
			Text: "a user or password must not stand in the address",
			Hint: `use the keys username and password = "file:/etc/edged/secrets/cloud"`, Secret: true,
		}
	case t.Host == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Target{}, &AddressError{Text: fmt.Sprintf("%q is more or less than an address", redacted(s)), Hint: usual}
	case t.WebSocket() && (t.Path == "" || t.Path == "/"):
		t.Path = webSocketPath
	case !t.WebSocket() && t.Path != "" && t.Path != "/":
		return Target{}, &AddressError{Text: fmt.Sprintf("a path means nothing to %s://", u.Scheme), Hint: "only ws:// and wss:// have one"}
	case !t.WebSocket():
		t.Path = ""
	}
	p := u.Port()
	if p == "" {
		return t, nil
	}
	if t.SRV() {
		return Target{}, &AddressError{Text: fmt.Sprintf("a port means nothing to %s://", u.Scheme), Hint: "the SRV records of the domain tell it"}
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return Target{}, &AddressError{Text: fmt.Sprintf("port %s is not 1 to 65535", p)}
	}
	t.Port = uint16(n)
	return t, nil
}

// TLS says whether what is spoken with the target is encrypted.
func (t Target) TLS() bool {
	return t.Scheme == "mqtts" || t.Scheme == "wss" || t.Scheme == "mqtts+srv"
}

// WebSocket says whether MQTT is carried in a WebSocket.
func (t Target) WebSocket() bool { return t.Scheme == "ws" || t.Scheme == "wss" }

// SRV says whether the hosts are those that the SRV records of a domain name.
func (t Target) SRV() bool { return strings.HasSuffix(t.Scheme, "+srv") }

// service is the name that the SRV records of the target have.
func (t Target) service() string {
	if t.TLS() {
		return "secure-mqtt"
	}
	return "mqtt"
}

// String is the address as a user would write it, with the port.
func (t Target) String() string {
	host := t.Host
	if t.Port != 0 {
		host = net.JoinHostPort(host, strconv.Itoa(int(t.Port)))
	}
	return t.Scheme + "://" + host + t.Path
}

// plain is the scheme for the same without encryption.
func (t Target) plain() string {
	return map[string]string{"mqtts": "mqtt", "wss": "ws", "mqtts+srv": "mqtt+srv"}[t.Scheme] + "://"
}

// secured is the scheme for the same with encryption.
func (t Target) secured() string {
	return map[string]string{"mqtt": "mqtts", "ws": "wss", "mqtt+srv": "mqtts+srv"}[t.Scheme] + "://"
}

// redacted hides what may be a password in an address that cannot be parsed.
func redacted(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}
