// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Config is the table [console].
type Config struct {
	Listen string // HOST:PORT; "": there is no console
}

// Defaults is the configuration without such a table.
func Defaults() Config { return Config{Listen: "127.0.0.1:8080"} }

// Validate reports what is wrong with it, by key. Whether an address that others can reach has a certificate and a user is
// judged by who knows both.
func (c Config) Validate(report func(key, problem string)) {
	if c.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || strings.ContainsAny(host, " /@") {
		report("listen", fmt.Sprintf("%q is no address: write HOST:PORT, such as %q, or \"\" for no console", c.Listen, Defaults().Listen))
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		report("listen", fmt.Sprintf("%q is no port: use 0 to 65535", port))
	}
}

// Local tells whether only this machine itself can reach the console, so that it needs neither HTTPS nor a login.
func (c Config) Local() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if c.Listen == "" || err == nil && host == "localhost" {
		return true
	}
	ip, bad := netip.ParseAddr(host)
	return err == nil && bad == nil && ip.Unmap().IsLoopback()
}

// Port is the port, for messages.
func (c Config) Port() string {
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return ""
	}
	return port
}
