// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
)

// subprotocol is what a client has to ask for [MQTT-6.0.0-3].
const subprotocol = "mqtt"

// maxRequest bounds the request that asks for a WebSocket.
const maxRequest = 8 << 10

// refusal is the answer to a request that gets no WebSocket.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("WebSocket refused (%d): %s", r.status, r.text) }

// upgrade makes a WebSocket of a connection, or answers why not.
func (l *Listener) upgrade(c carrier, s *socket) (*webSocket, error) {
	in := &io.LimitedReader{R: c, N: maxRequest}
	br := bufio.NewReaderSize(in, readBuffer)
	r, err := http.ReadRequest(br)
	if err == nil {
		err = l.judge(r, c.LocalAddr())
	} else if in.N <= 0 {
		err = &refusal{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request is longer than %d bytes", maxRequest)}
	}
	if err != nil {
		return nil, answer(c, err)
	}
	u := websocket.Upgrader{
		ReadBufferSize: readBuffer, WriteBufferSize: writeBuffer, WriteBufferPool: &l.buffers,
		Subprotocols: []string{subprotocol},
		CheckOrigin:  func(*http.Request) bool { return true }, // judged above
		Error:        func(http.ResponseWriter, *http.Request, int, error) {},
	}
	ws, err := u.Upgrade(&hijacked{c: undated{c}, br: br}, r, nil)
	if err != nil {
		return nil, answer(c, &refusal{http.StatusBadRequest, err.Error()})
	}
	return &webSocket{ws: ws, under: c, s: s}, nil
}

// judge tells why a request gets no WebSocket, before the form of the upgrade is looked at.
func (l *Listener) judge(r *http.Request, at net.Addr) error {
	switch {
	case r.URL.Path != l.address.Path:
		return &refusal{http.StatusNotFound, "MQTT is at " + l.address.Path}
	case !r.ProtoAtLeast(1, 1):
		return &refusal{http.StatusHTTPVersionNotSupported, "HTTP/1.1 is needed"}
	case !slices.Contains(websocket.Subprotocols(r), subprotocol):
		return &refusal{http.StatusBadRequest, "the subprotocol mqtt is needed (Sec-WebSocket-Protocol)"}
	}
	if why := l.foreign(r.Header["Origin"], r.Host, at); why != "" {
		return &refusal{http.StatusForbidden, why}
	}
	return nil
}

// answer sends a refusal, and returns it.
func answer(w io.Writer, err error) error {
	var no *refusal
	if !errors.As(err, &no) {
		return fmt.Errorf("read the request for a WebSocket: %w", err)
	}
	text := strings.ToValidUTF8(no.text, "?") + "\n"
	_, werr := fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"X-Content-Type-Options: nosniff\r\nSec-WebSocket-Version: 13\r\nContent-Length: %d\r\n\r\n%s",
		no.status, http.StatusText(no.status), len(text), text)
	return errors.Join(no, werr)
}

// hijacked is the [http.ResponseWriter] that the library wants to see.
type hijacked struct {
	c  undated
	br *bufio.Reader
}

// Header is [http.ResponseWriter].
func (h *hijacked) Header() http.Header { return http.Header{} }

// WriteHeader is [http.ResponseWriter].
func (h *hijacked) WriteHeader(int) {}

// Write is [http.ResponseWriter].
func (h *hijacked) Write(p []byte) (int, error) { return h.c.Write(p) }

// Hijack is [http.Hijacker].
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.c, bufio.NewReadWriter(h.br, bufio.NewWriterSize(h.c, 16)), nil
}
