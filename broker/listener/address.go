// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPath is where a WebSocket listener is found if its address names no path.
const DefaultPath = "/mqtt"

// maxPath is the longest path of a Unix socket: the kernel's 108 bytes hold a zero at the end.
const maxPath = 107

// Address is where a listener listens, and how.
type Address struct {
	Scheme string // "tcp", "tls", "ws", "wss" or "unix"
	Host   string // HOST:PORT, "" of a Unix socket
	Path   string // of a WebSocket's URL, or of a Unix socket's file
}

// Parse reads "HOST:PORT", "tls://HOST:PORT", "ws://HOST:PORT/PATH", "wss://HOST:PORT/PATH" or "unix:///PATH". The error
// says what is wrong with it, in words for the user.
func Parse(s string) (Address, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "tcp", s
	}
	a := Address{Scheme: scheme, Host: rest}
	switch {
	case scheme == "unix":
		a.Host, a.Path = "", rest
		if !strings.HasPrefix(rest, "/") || strings.HasSuffix(rest, "/") || strings.ContainsRune(rest, 0) {
			return a, fmt.Errorf("%q names no file: write \"unix:///run/edged/mqtt.sock\"", s)
		}
		if len(rest) > maxPath {
			return a, fmt.Errorf("the path of %q has %d bytes, and the system takes %d in the path of a socket: use a shorter one", s, len(rest), maxPath)
		}
		return a, nil
	case scheme == "ws" || scheme == "wss":
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			a.Host, a.Path = rest[:i], rest[i:]
		} else {
			a.Path = DefaultPath
		}
		if strings.ContainsAny(a.Path, " ?#%") {
			return a, fmt.Errorf("the path of %q has a character that a path has not: write one such as %q", s, DefaultPath)
		}
	case scheme != "tls" && (ok || scheme != "tcp"):
		return a, fmt.Errorf("%q is not known in %q: use \"HOST:PORT\", or tls, ws, wss or unix before \"://\"", scheme, s)
	}
	return a, a.check(s)
}

// check judges HOST:PORT.
func (a Address) check(s string) error {
	host, port, err := net.SplitHostPort(a.Host)
	if err != nil || strings.ContainsAny(host, " /@") {
		return fmt.Errorf("%q is no address: write HOST:PORT, such as \"127.0.0.1:1883\"", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is no port: use 0 to 65535", port)
	}
	return nil
}

// Local tells whether only this machine itself can reach the address.
func (a Address) Local() bool {
	if a.Scheme == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Host)
	return err == nil && (host == "localhost" || isLoopback(host))
}

// Port is the port, "" of a Unix socket.
func (a Address) Port() string {
	_, port, err := net.SplitHostPort(a.Host)
	if err != nil {
		return ""
	}
	return port
}

// File is the socket's file, "" unless it is a Unix socket.
func (a Address) File() string {
	if a.Scheme != "unix" {
		return ""
	}
	return a.Path
}

// Secure tells whether the listener shows a certificate.
func (a Address) Secure() bool { return a.Scheme == "tls" || a.Scheme == "wss" }

// web tells whether MQTT is spoken in WebSockets.
func (a Address) web() bool { return a.Scheme == "ws" || a.Scheme == "wss" }

// String is the address as Parse reads it.
func (a Address) String() string {
	switch {
	case a.Scheme == "tcp":
		return a.Host
	case a.web():
		return a.Scheme + "://" + a.Host + a.Path
	case a.Scheme == "unix":
		return "unix://" + a.Path
	}
	return a.Scheme + "://" + a.Host
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Errors that Open's wrap.
var (
	// ErrInUse is of an address that another program listens on.
	ErrInUse = errors.New("the address is in use")
	// ErrCertificate is of certificates that cannot be used.
	ErrCertificate = errors.New("the certificates cannot be used")
)
