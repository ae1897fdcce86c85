// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"os"
	"strings"
	"testing"
)

// Only pages of this machine, and those that are named, may connect; others are told from these by Origin, and by a Host
// that is not ours where a name was made to lead here.
func TestOrigin(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "ws://127.0.0.1:0/mqtt", "https://panel.example.com", "http://10.0.0.5:8080")
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	machine = strings.ToLower(machine)
	short, _, _ := strings.Cut(machine, ".")
	for _, c := range []struct {
		name, host string
		origins    []string
		want       int
	}{
		{"no page", "127.0.0.1:9001", nil, 101},
		{"no page, under any name", "broker.example.com", nil, 101},
		{"its own address", "127.0.0.1:9001", []string{"http://127.0.0.1:9001"}, 101},
		{"the console beside it", "127.0.0.1:9001", []string{"https://127.0.0.1:8080"}, 101},
		{"localhost", "localhost:9001", []string{"http://localhost:9001"}, 101},
		{"an IPv6 address", "[fd00::7]:9001", []string{"http://[fd00::7]"}, 101},
		{"the machine's name", machine + ":9001", []string{"http://" + strings.ToUpper(machine)}, 101},
		{"the machine's name in .local", short + ".local:9001", []string{"http://" + short + ".local"}, 101},
		{"named", "127.0.0.1:9001", []string{"https://panel.example.com"}, 101},
		{"named, at an unknown name", "broker.example.com", []string{"https://PANEL.example.com"}, 101},
		{"named, with a port", "127.0.0.1:9001", []string{"http://10.0.0.5:8080"}, 101},

		{"named, with another port", "127.0.0.1:9001", []string{"http://10.0.0.5:8081"}, 403},
		{"named, with another scheme", "127.0.0.1:9001", []string{"http://panel.example.com"}, 403},
		{"longer than one that is named", "127.0.0.1:9001", []string{"https://panel.example.com.evil.example"}, 403},
		{"another page", "127.0.0.1:9001", []string{"http://evil.example"}, 403},
		{"another page of this machine's network", "127.0.0.1:9001", []string{"http://127.0.0.2:9001"}, 403},
		{"a name that was made to lead here", "evil.example:9001", []string{"http://evil.example:9001"}, 403},
		{"the same, ending in .local", "evil.local:9001", []string{"http://evil.local:9001"}, 403},
		{"localhost below another name", "localhost.evil.example", []string{"http://localhost.evil.example"}, 403},
		{"a page without an origin", "127.0.0.1:9001", []string{"null"}, 403},
		{"a file", "127.0.0.1:9001", []string{"file://127.0.0.1:9001"}, 403},
		{"empty", "127.0.0.1:9001", []string{""}, 403},
		{"no host", "", []string{"http://"}, 403},
		{"with a user", "127.0.0.1:9001", []string{"http://evil@127.0.0.1:9001"}, 403},
		{"two", "127.0.0.1:9001", []string{"http://127.0.0.1:9001", "http://evil.example"}, 403},
		{"a list", "127.0.0.1:9001", []string{"http://127.0.0.1:9001 http://evil.example"}, 403},
	} {
		headers := []string{protocol}
		for _, o := range c.origins {
			headers = append(headers, "Origin: "+o)
		}
		if got := e.status(t, request("/mqtt", c.host, headers...)); got != c.want {
			t.Errorf("%s: Host %q, Origin %q: got %d, want %d", c.name, c.host, c.origins, got, c.want)
		}
	}
}
