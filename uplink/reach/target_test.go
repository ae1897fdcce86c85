// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"errors"
	"strings"
	"testing"

	"edged/uplink/reach"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, out, fault string
		tls, ws, srv   bool
	}{
		{in: "mqtt://a", out: "mqtt://a:1883"},
		{in: "mqtts://[2001:db8::1]", out: "mqtts://[2001:db8::1]:8883", tls: true},
		{in: "mqtts://a:443/", out: "mqtts://a:443", tls: true},
		{in: "ws://a", out: "ws://a:80/mqtt", ws: true},
		{in: "wss://a/x%20y/mqtt", out: "wss://a:443/x%20y/mqtt", tls: true, ws: true},
		{in: "mqtt+srv://example.com", out: "mqtt+srv://example.com", srv: true},
		{in: "mqtts+srv://example.com", out: "mqtts+srv://example.com", tls: true, srv: true},
		{in: "http://a", fault: `"http://" is not known`},
		{in: "a:1883", fault: "no address of a broker"},
		{in: "mqtt://", fault: "no address of a broker"},
		{in: "mqtt://:1883", fault: "more or less"},
		{in: "mqtt://u:p@a", fault: "user or password"},
		{in: "mqtt://u:p@a:x", fault: `"…@a:x" is no address`},
		{in: "mqtts://a/b", fault: "a path"},
		{in: "wss://a?b=c", fault: "more or less"},
		{in: "mqtt+srv://a:1883", fault: "a port"},
		{in: "mqtt://a:65536", fault: "port 65536"},
	} {
		got, err := reach.ParseTarget(c.in)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "u:p") {
				t.Errorf("%s: got %v, %v, want an error with %q", c.in, got, err, c.fault)
			}
		case err != nil || got.String() != c.out || got.TLS() != c.tls || got.WebSocket() != c.ws || got.SRV() != c.srv:
			t.Errorf("%s: got %v (%+v), %v, want %s", c.in, got, got, err, c.out)
		}
	}
}

func TestParseProxy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, fault string
		secret    bool
	}{
		{in: "http://proxy.test:3128"},
		{in: "http://[::1]/"},
		{in: "https://proxy.test", fault: "https://"},
		{in: "proxy.test:3128", fault: "no address of a proxy"},
		{in: "http://proxy.test/x", fault: "no path"},
		{in: "http://proxy.test:0", fault: "port 0"},
		{in: "http://u:p@proxy.test", fault: "user or password", secret: true},
	} {
		err := reach.ParseProxy(c.in)
		var a *reach.AddressError
		if c.fault == "" && err != nil || c.fault != "" && (!errors.As(err, &a) || !strings.Contains(err.Error(), c.fault) || a.Secret != c.secret) {
			t.Errorf("%s: got %v, want %q", c.in, err, c.fault)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"mqtt://a", "mqtts://[::1]:8883", "wss://a/b", "mqtts+srv://d", "mqtts://u:p@a", "x", "mqtt://%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := reach.ParseTarget(s)
		if err != nil {
			return
		}
		again, err := reach.ParseTarget(got.String())
		if err != nil || again != got {
			t.Errorf("%q is %+v, and its own form %q is %+v, %v", s, got, got, again, err)
		}
	})
}
