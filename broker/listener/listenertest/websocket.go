// SPDX-License-Identifier: Apache-2.0

package listenertest

import (
	"net"
	"testing"

	"github.com/gorilla/websocket"
)

// WebSocket is a client's stream over one.
type WebSocket struct {
	net.Conn // below it
	WS       *websocket.Conn
	rest     []byte
}

// NewWebSocket makes a WebSocket of a client's connection, for MQTT at the path /mqtt of a host.
func NewWebSocket(t testing.TB, nc net.Conn, host string) *WebSocket {
	t.Helper()
	d := websocket.Dialer{
		NetDial: func(string, string) (net.Conn, error) { return nc, nil }, Subprotocols: []string{"mqtt"},
	}
	ws, _, err := d.Dial("ws://"+host+"/mqtt", nil)
	if err != nil {
		t.Fatalf("WebSocket: %v", err)
	}
	if ws.Subprotocol() != "mqtt" {
		t.Errorf("the subprotocol is %q", ws.Subprotocol())
	}
	return &WebSocket{Conn: nc, WS: ws}
}

// Write is [net.Conn]. Each call makes a message.
func (w *WebSocket) Write(p []byte) (int, error) {
	return len(p), w.WS.WriteMessage(websocket.BinaryMessage, p)
}

// Read is [net.Conn].
func (w *WebSocket) Read(p []byte) (n int, err error) {
	for len(w.rest) == 0 {
		if _, w.rest, err = w.WS.ReadMessage(); err != nil {
			return 0, err
		}
	}
	n = copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}
