// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"edged/uplink"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := func(change func(*uplink.Config)) uplink.Config {
		c := uplink.Defaults()
		c.URLs, c.ClientID = []string{"mqtts://cloud.test"}, "gw"
		c.Send, c.Receive = []string{"edged/gw/#"}, []string{"edged/gw/dev/+/set"}
		change(&c)
		return c
	}
	secret := func() ([]byte, error) { return []byte("x"), nil }
	for _, c := range []struct {
		name   string
		change func(*uplink.Config)
		keys   []string
	}{
		{"defaults", func(*uplink.Config) {}, nil},
		{"everything", func(c *uplink.Config) {
			c.URLs = []string{"mqtt://10.0.0.1:1883", "mqtts://[2001:db8::1]:8883/"}
			c.Username, c.Password, c.Prefix, c.QoS = "u", secret, "p/", 2
		}, nil},
		{"no url", func(c *uplink.Config) { c.URLs = nil }, []string{"url"}},
		{"every way", func(c *uplink.Config) {
			c.URLs = []string{"wss://a/x", "ws://b:8080", "mqtts+srv://c", "mqtt+srv://d"}
			c.ALPN, c.Proxy = "mqtt", "http://proxy.test:3128"
		}, nil},
		{"scheme", func(c *uplink.Config) { c.URLs = []string{"http://x"} }, []string{"url"}},
		{"proxy", func(c *uplink.Config) { c.Proxy = "https://x" }, []string{"proxy"}},
		{"secret in the proxy", func(c *uplink.Config) { c.Proxy = "http://u:p@x" }, []string{"proxy"}},
		{"alpn", func(c *uplink.Config) { c.ALPN = strings.Repeat("x", 256) }, []string{"alpn"}},
		{"alpn without TLS", func(c *uplink.Config) { c.URLs, c.ALPN = []string{"ws://a"}, "mqtt" }, []string{"alpn"}},
		{"no scheme", func(c *uplink.Config) { c.URLs = []string{"mqtts://a", "b:1883"} }, []string{"url[1]"}},
		{"port", func(c *uplink.Config) { c.URLs = []string{"mqtt://a:0"} }, []string{"url"}},
		{"path", func(c *uplink.Config) { c.URLs = []string{"mqtt://a/b"} }, []string{"url"}},
		{"secret in the address", func(c *uplink.Config) { c.URLs = []string{"mqtts://u:p@a"} }, []string{"url"}},
		{"version", func(c *uplink.Config) { c.Version = 3 }, []string{"version"}},
		{"client id", func(c *uplink.Config) { c.ClientID = "" }, []string{"client_id"}},
		{"user name", func(c *uplink.Config) { c.Username = "a\x00" }, []string{"username"}},
		{"password alone", func(c *uplink.Config) { c.Password = secret }, []string{"password"}},
		{"keepalive", func(c *uplink.Config) { c.KeepAlive = 1500 * time.Millisecond }, []string{"keepalive"}},
		{"keepalive too long", func(c *uplink.Config) { c.KeepAlive = 65536 * time.Second }, []string{"keepalive"}},
		{"qos", func(c *uplink.Config) { c.QoS = 3 }, []string{"qos"}},
		{"inflight", func(c *uplink.Config) { c.Inflight = 0 }, []string{"inflight"}},
		{"queue", func(c *uplink.Config) { c.QueueSize = 1 }, []string{"queue.size"}},
		{"filters", func(c *uplink.Config) { c.Send, c.Receive = []string{"a", "a/#/b"}, []string{"+a"} }, []string{"send[1]", "receive[0]"}},
		{"prefix", func(c *uplink.Config) { c.Prefix = "a/+/" }, []string{"prefix"}},
		{"files", func(c *uplink.Config) { c.CA, c.Cert = "/nowhere/ca", "/nowhere/cert" }, []string{"ca", "cert", "key"}},
		{"a CA without TLS", func(c *uplink.Config) { c.URLs, c.CA = []string{"mqtt://a"}, "config_test.go" }, []string{"ca"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var keys []string
			good(c.change).Validate(func(key, problem string) {
				keys = append(keys, key)
				if problem == "" || strings.Contains(problem, "u:p") {
					t.Errorf("%s: %q", key, problem)
				}
			})
			if !slices.Equal(keys, c.keys) {
				t.Errorf("faults at %q, want %q", keys, c.keys)
			}
			if _, err := uplink.New(good(c.change), uplink.Deps{}); (err != nil) != (c.keys != nil) {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"mqtt://a", "mqtts://[::1]:8883", "mqtts://u:p@a", "x", "mqtt://a:99999", "mqtt://%zz", "mqtt://a?b#c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := uplink.Defaults()
		c.URLs = []string{s}
		faults := 0
		c.Validate(func(key, problem string) {
			if key == "url" {
				faults++
			}
			if i, j := strings.Index(s, "://"), strings.LastIndex(s, "@"); i > 0 && j > i+8 && strings.Contains(problem, s[i+3:j]) {
				t.Errorf("%q: the fault tells what may be a password: %s", s, problem)
			}
		})
		if faults > 1 {
			t.Errorf("%q: %d faults", s, faults)
		}
	})
}
