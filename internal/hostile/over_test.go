// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// attacksOver are those where it matters what carries MQTT, through each of the other listeners.
func attacksOver() []attack {
	var all []attack
	for _, name := range []string{"tls", "ws"} {
		add := func(what string, do func(t *testing.T, e *target)) {
			all = append(all, attack{name: name + ": " + what, do: func(t *testing.T, e *target) { do(t, e.by(name, 12)) }})
		}
		add("malformed packets", malformedPackets)
		add("lying lengths", lyingLengths)
		add("half-open sockets", halfHandshakes)
		add("connect flood", func(t *testing.T, e *target) { floodConnects(t, e, 400) })
		add("publish flood", publishFlood)
		add("slow readers", func(t *testing.T, e *target) { readSlowly(t, e, 60, 1500*time.Millisecond) })
	}
	all = append(
		all,
		attack{name: "ws: requests", do: func(t *testing.T, e *target) { badRequests(t, e.by("ws", 0)) }},
		attack{name: "ws: frames", do: func(t *testing.T, e *target) { badFrames(t, e.by("ws", 0)) }},
		attack{name: "ws: claims of 2^62 bytes", do: func(t *testing.T, e *target) { frameClaims(t, e.by("ws", 0)) }},
		attack{name: "ws: control frames", do: func(t *testing.T, e *target) { controlFlood(t, e.by("ws", 0)) }},
	)
	return all
}

// half is the first half of what a client says to a listener before it speaks MQTT.
func half(e *target) []byte {
	if e.addr == e.over["tls"].addr { // the head of a ClientHello of 512 bytes, and some of it
		return append([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), make([]byte, 100)...)
	}
	return fmt.Appendf(nil, "GET /mqtt HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n", e.addr)
}

// halfHandshakes are sockets that say nothing, that end in the middle of the handshake, and that go silent after it.
func halfHandshakes(t *testing.T, e *target) {
	hold(t, e.bare(), 300, func(int) []byte { return nil })
	hold(t, e.bare(), 300, func(int) []byte { return half(e) })
	hold(t, e, 150, func(int) []byte { return []byte{0x10} })
	for range 8 {
		comesIn(t, e)
		pause(100 * time.Millisecond)
	}
}

// slowHandshakes send a byte a second of a handshake. They are put up at the start of the suite.
func slowHandshakes(t *testing.T, e *target) (over []func(t *testing.T)) {
	for _, name := range []string{"tls", "ws"} {
		e := e.by(name, 0)
		over = append(over, trickle(t, e.bare(), 40, half(e)))
	}
	return over
}

// badRequests ask for a WebSocket in every way that must not work.
func badRequests(t *testing.T, e *target) {
	with := func(more string) string { return fmt.Sprintf(upgradeRequest, e.addr, speakMQTT+more) }
	good := with("")
	for name, x := range map[string]struct{ request, status string }{
		"no subprotocol":      {fmt.Sprintf(upgradeRequest, e.addr, ""), "400"},
		"another subprotocol": {fmt.Sprintf(upgradeRequest, e.addr, "Sec-WebSocket-Protocol: chat\r\n"), "400"},
		"foreign Origin":      {with("Origin: https://evil.example\r\n"), "403"},
		"Origin null":         {with("Origin: null\r\n"), "403"},
		"two Origins":         {with("Origin: http://" + e.addr + "\r\nOrigin: https://evil.example\r\n"), "403"},
		"another path":        {strings.Replace(good, "/mqtt ", "/ ", 1), "404"},
		"a longer path":       {strings.Replace(good, "/mqtt ", "/mqtt/../../etc/passwd ", 1), "404"},
		"POST":                {strings.Replace(good, "GET", "POST", 1), "400"},
		"HTTP/1.0":            {strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1), "505"},
		"no Upgrade":          {strings.Replace(good, "Upgrade: websocket\r\n", "", 1), "400"},
		"no key":              {strings.Replace(good, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1), "400"},
		"another version":     {strings.Replace(good, "Version: 13", "Version: 8", 1), "400"},
		"endless headers":     {with(strings.Repeat("X-Endless: "+strings.Repeat("x", 500)+"\r\n", 40)), "431"},
		"endless line":        {"GET /" + strings.Repeat("x", 20000), "431"},
		"MQTT":                {"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a\r\n\r\n", ""},
		"TLS":                 {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", ""},
		"no header":           {"GET /mqtt HTTP/1.1\r\nno header\r\n\r\n", ""},
	} {
		c, err := e.bare().dial()
		if err != nil {
			t.Fatal(err)
		}
		answer := ""
		if c.send([]byte(x.request)) == nil {
			answer = c.rest()
		}
		c.drop()
		if x.status != "" && answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 "+x.status) || strings.HasPrefix(answer, "HTTP/1.1 101") {
			t.Errorf("%s: answered %.60q, want status %s", name, answer, x.status)
		}
	}
	comesIn(t, e)
}

// rest is what comes until the end of the connection, as far as it comes.
func (c *client) rest() string {
	var all []byte
	for c.raw.SetReadDeadline(time.Now().Add(patience/4)) == nil {
		n, err := c.raw.Read(c.part[:])
		if all = append(all, c.part[:n]...); err != nil {
			break
		}
	}
	return string(all)
}
