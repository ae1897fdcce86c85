// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Covers 4:6.0.0-4 5:6.0.0-4.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"ws://127.0.0.1:0/mqtt", "wss://127.0.0.1:0"} {
		e := newEcho(t, addr)
		c := e.web(t, e.dial(t))
		big := make([]byte, 300<<10)
		rand.Read(big)
		wantEcho(t, c, "hello")
		wantEcho(t, c, string(big))
		if err := c.WS.WriteControl(websocket.PingMessage, []byte("are you there?"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		pong := ""
		c.WS.SetPongHandler(func(s string) error { pong = s; return nil })
		wantEcho(t, c, "after the ping")
		if pong != "are you there?" {
			t.Errorf("%s: the pong was %q", addr, pong)
		}
		server := <-e.ready
		if err := server.Close(); err != nil {
			t.Errorf("%s: close: %v", addr, err)
		}
		_, err := c.Read(make([]byte, 1))
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
			t.Errorf("%s: the end was %v", addr, err)
		}
	}
}

// A stream may be cut into frames and messages in any way.
//
// Covers 4:6.0.0-2 5:6.0.0-2.
func TestFramesOfAnySize(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "ws://127.0.0.1:0")
	c := e.web(t, e.dial(t))
	text := "0123456789"
	for _, f := range []struct {
		opcode byte // with FIN
		p      string
	}{
		{0x02, "0"}, {0x00, "12"}, {0x89, "ping"}, {0x00, ""}, {0x80, "345"}, {0x82, ""}, {0x82, "6"}, {0x82, "789"},
	} {
		if _, err := c.Conn.Write(frame(f.opcode, f.p)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Errorf("got %q, %v", got, err)
	}
}

// frame is a masked frame; lengths above 125 take two more bytes.
func frame(opcode byte, p string) []byte {
	f := []byte{opcode, 0x80 | byte(min(len(p), 126))}
	if len(p) > 125 {
		f = binary.BigEndian.AppendUint16(f, uint16(len(p)))
	}
	f = append(f, 1, 2, 3, 4)
	for i := range len(p) {
		f = append(f, p[i]^byte(i%4+1))
	}
	return f
}

// Whoever breaks the rules of WebSockets is parted from.
//
// Covers 4:6.0.0-1 5:6.0.0-1.
func TestFramesAgainstTheRules(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "ws://127.0.0.1:0")
	long := []byte{0x82, 0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}
	for name, send := range map[string][]byte{
		"text":                         frame(0x81, "hello"),
		"without a mask":               {0x82, 1, 'x'},
		"a reserved bit":               frame(0xc2, "x"),
		"a reserved opcode":            frame(0x83, "x"),
		"a ping that is too long":      frame(0x89, strings.Repeat("x", 126)),
		"a ping in pieces":             frame(0x09, "x"),
		"a continuation of nothing":    frame(0x80, "x"),
		"a message inside of another":  append(frame(0x02, "x"), frame(0x82, "y")...),
		"a length that is negative":    long,
		"a close with half a code":     frame(0x88, "x"),
		"a close":                      frame(0x88, "\x03\xe8bye"),
		"a close with a reserved code": frame(0x88, "\x03\xed"),
	} {
		c := e.web(t, e.dial(t))
		if _, err := c.Conn.Write(send); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c.Conn); isTimeout(err) {
			t.Errorf("%s: not closed", name)
		}
		<-e.ready
	}
	wantEcho(t, e.web(t, e.dial(t)), "others are served")
}

// request is the start of a request for a WebSocket; other headers are added.
func request(path, host string, headers ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", path, host,
		strings.Join(append(headers, ""), "\r\n"))
}

const protocol = "Sec-WebSocket-Protocol: x, mqtt"

// status sends a request and returns the code of the answer, 0 without one.
func (e *echo) status(t *testing.T, request string) (code int) {
	t.Helper()
	c := e.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for {
		part := make([]byte, 512)
		n, err := c.Read(part)
		got.Write(part[:n])
		if _, scanErr := fmt.Sscanf(got.String(), "HTTP/1.1 %d ", &code); scanErr == nil {
			return code
		}
		if isTimeout(err) {
			t.Errorf("%.200q: no answer, and not closed", request)
		}
		if err != nil {
			return 0
		}
	}
}

// Covers 4:6.0.0-4 5:6.0.0-4.
func TestUpgradeRequests(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "ws://127.0.0.1:0/mqtt")
	good := request("/mqtt", "x", protocol)
	for _, c := range []struct {
		name, request string
		want          int
	}{
		{"good", good, 101},
		{"with a query", request("/mqtt?a=b", "x", protocol), 101},
		{"no subprotocol", request("/mqtt", "x"), 400},
		{"another subprotocol", request("/mqtt", "x", "Sec-WebSocket-Protocol: mqttv3.1"), 400},
		{"another path", request("/", "x", protocol), 404},
		{"a longer path", request("/mqtt/", "x", protocol), 404},
		{"no key", strings.Replace(good, "Sec-WebSocket-Key", "X", 1), 400},
		{"another version", strings.Replace(good, "Version: 13", "Version: 8", 1), 400},
		{"no upgrade", strings.Replace(good, "Upgrade: websocket", "X: y", 1), 400},
		{"POST", strings.Replace(good, "GET", "POST", 1), 400},
		{"HTTP/1.0", strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1), 505},
		{"headers that are too long", request("/mqtt", "x", protocol, "Origin: http://"+strings.Repeat("x", 9000)), 431},
		{"no end", "GET /mqtt HTTP/1.1\r\nX: " + strings.Repeat("x", 9000), 431},
		{"MQTT", "\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00\r\n", 0},
		{"frames before the answer", good + string(frame(0x82, "x")), 0},
	} {
		if got := e.status(t, c.request); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
