// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strings"
	"testing"
	"time"

	"edged/broker"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*broker.Config)
		key     string // "" for a good one
		problem string
	}{
		{"defaults", func(*broker.Config) {}, "", ""},
		{"IPv6 loopback", func(c *broker.Config) { c.Listen = []string{"[::1]:1883", "localhost:0", "127.9.9.9:1"} }, "", ""},
		{"no listener", func(c *broker.Config) { c.Listen = nil }, "", ""},
		{"all kinds", func(c *broker.Config) {
			c.Listen = []string{"127.0.0.1:1", "tls://[::1]:2", "ws://localhost:3/mqtt", "wss://127.0.0.1:4", "unix:///run/edged/mqtt.sock"}
			c.TLS = broker.TLS{Cert: "c", Key: "k"}
		}, "", ""},
		{"with a user", func(c *broker.Config) { openTo(c, "0.0.0.0:1883", "ws://gateway.lan:9001/mqtt") }, "", ""},
		{"with a user, and anonymous", func(c *broker.Config) {
			openTo(c, "127.0.0.1:1", "0.0.0.0:1883")
			c.Anonymous = true
		}, "anonymous", `at "0.0.0.0:1883", without a password`},
		{"TLS to the network", func(c *broker.Config) {
			c.Listen, c.TLS = []string{"tls://:8883"}, broker.TLS{Cert: "c", Key: "k"}
		}, "listen[0]", "edged user add NAME"},
		{"no certificate", func(c *broker.Config) { c.Listen, c.TLS.Key = []string{"tls://127.0.0.1:8883"}, "k" }, "listen[0]", "[broker.tls] cert and key"},
		{"no key", func(c *broker.Config) { c.Listen, c.TLS.Cert = []string{"wss://127.0.0.1:8883"}, "c" }, "listen[0]", "[broker.tls] cert and key"},
		{"twice", func(c *broker.Config) { c.Listen = []string{"127.0.0.1:1883", "ws://127.0.0.1:1883"} }, "listen[1]", "listed before"},
		{"a socket twice", func(c *broker.Config) { c.Listen = []string{"unix:///a", "unix:///a"} }, "listen[1]", "listed before"},
		{"any port twice", func(c *broker.Config) { c.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"} }, "", ""},
		{"another scheme", func(c *broker.Config) { c.Listen = []string{"http://127.0.0.1:1883"} }, "listen[0]", `"http" is not known`},
		{"a long path", func(c *broker.Config) { c.Listen = []string{"unix:///" + strings.Repeat("x", 107)} }, "listen[0]", "108 bytes"},
		{"no path", func(c *broker.Config) { c.Listen = []string{"unix://mqtt.sock"} }, "listen[0]", "names no file"},
		{"open to the network", func(c *broker.Config) { c.Listen = append(c.Listen, "0.0.0.0:1883") }, "listen[1]", "(E410)"},
		{"every address", func(c *broker.Config) { c.Listen = []string{":1883"} }, "listen[0]", "(E410)"},
		{"IPv6 to the network", func(c *broker.Config) { c.Listen = []string{"[::]:1883"} }, "listen[0]", "127.0.0.1:1883"},
		{"a name", func(c *broker.Config) { c.Listen = []string{"gateway.lan:1883"} }, "listen[0]", "(E410)"},
		{"no port", func(c *broker.Config) { c.Listen = []string{"127.0.0.1"} }, "listen[0]", "HOST:PORT"},
		{"wrong port", func(c *broker.Config) { c.Listen = []string{"127.0.0.1:99999"} }, "listen[0]", "0 to 65535"},
		{"durability", func(c *broker.Config) { c.Durability = "often" }, "durability", `"often"`},
		{"no clients", func(c *broker.Config) { c.Limits.Clients = 0 }, "limits.clients", "0 is out of range"},
		{"packet too large for a record", func(c *broker.Config) { c.Limits.Packet = 2 << 20 }, "limits.packet", "2MiB is out of range: use 1KiB to 1MiB"},
		{"topic levels", func(c *broker.Config) { c.Limits.TopicLevels = 129 }, "limits.topic_levels", "1 to 128"},
		{"no time", func(c *broker.Config) { c.Limits.ConnectTimeout = 0 }, "limits.connect_timeout", "0s"},
		{"expiry", func(c *broker.Config) { c.Limits.SessionExpiry = time.Millisecond }, "limits.session_expiry", "1ms"},
		{"a queue that does not fit", func(c *broker.Config) { c.Limits.Journal = 32 << 20 }, "limits.session_queue", "64MiB does not fit"},
		{"small journal", func(c *broker.Config) { c.Limits.SessionQueue, c.Limits.Journal = 1<<20, 1<<20 }, "limits.journal", "1MiB"},
	} {
		cfg := broker.Defaults()
		cfg.Anonymous = false
		c.change(&cfg)
		var keys, problems []string
		cfg.Validate(func(key, problem string) { keys, problems = append(keys, key), append(problems, problem) })
		switch {
		case c.key == "" && len(keys) > 0:
			t.Errorf("%s: reported %q %q", c.name, keys, problems)
		case c.key != "" && (len(keys) != 1 || keys[0] != c.key || !strings.Contains(problems[0], c.problem)):
			t.Errorf("%s: reported %q %q, want %q with %q", c.name, keys, problems, c.key, c.problem)
		}
	}
}

// openTo makes the broker listen where its users may come in, and nobody else.
func openTo(c *broker.Config, listen ...string) {
	c.Listen, c.Anonymous = listen, false
	c.Users = map[string]broker.User{"nodered": {Password: func() ([]byte, error) { return []byte("secret"), nil }}}
}
