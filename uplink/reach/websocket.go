// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

const (
	upgradeTime = 10 * time.Second
	subprotocol = "mqtt" // MQTT 3.1.1 and 5.0, 6
	closeWait   = 50 * time.Millisecond
)

// upgrade makes a WebSocket of a connection.
func (o *opening) upgrade(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, upgradeTime)
	defer cancel()
	under := c.Conn
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { ended <- under.SetDeadline(time.Unix(1, 0)) })
	handed := func(context.Context, string, string) (net.Conn, error) { return undated{under}, nil }
	d := websocket.Dialer{NetDialContext: handed, NetDialTLSContext: handed, Subprotocols: []string{subprotocol}}
	u := o.target
	u.Host, u.Port = c.to.host, c.to.port
	ws, answer, err := d.DialContext(context.WithoutCancel(ctx), u.String(), nil)
	if !stop() {
		err = errors.Join(fmt.Errorf("no answer in %v: %w", upgradeTime, ctx.Err()), err, <-ended)
	}
	if err != nil {
		return o.notUpgraded(ctx, c, answer, err)
	}
	if got := ws.Subprotocol(); got != "" && got != subprotocol {
		return &Failure{"E305", fmt.Sprintf("%s speaks %q in its WebSocket, not MQTT; check the path in uplink.url", o.target, got), nil}
	}
	c.Conn = &webSocket{Conn: under, ws: ws}
	return nil
}

// notUpgraded says why there is no WebSocket.
func (o *opening) notUpgraded(ctx context.Context, c *Conn, answer *http.Response, err error) error {
	t := o.target
	if answer == nil {
		return o.Explain(ctx, c, err)
	}
	switch code := answer.StatusCode; {
	case code >= 300 && code < 400:
		return &Failure{"E305", fmt.Sprintf("%s sends us elsewhere (%s, %s): a wrong path in uplink.url, or a captive portal that wants a login in this network", t, answer.Status, answer.Header.Get("Location")), nil}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return &Failure{"E312", fmt.Sprintf("%s does not let us in (%s); its WebSocket wants a login that MQTT does not have, or the path in uplink.url is wrong", t, answer.Status), nil}
	case code >= 500:
		return &Failure{"E315", fmt.Sprintf("%s says that it is unavailable (%s); nothing to do here, it is tried again", t, answer.Status), nil}
	}
	return &Failure{"E305", fmt.Sprintf("%s answers like a web server (%s), not with a WebSocket: a wrong path in uplink.url, or a captive portal that wants a login in this network", t, answer.Status), nil}
}

// webSocket is a stream in binary frames. Packets may span them, and share them.
type webSocket struct {
	net.Conn // beneath; the deadlines are its own
	ws       *websocket.Conn
	message  io.Reader // that is being read
	err      error     // after which nothing is read
}

// Read is [net.Conn].
func (w *webSocket) Read(p []byte) (n int, err error) {
	for n == 0 && w.err == nil && len(p) > 0 {
		if w.message == nil {
			w.message, w.err = w.next()
			continue
		}
		if n, err = w.message.Read(p); errors.Is(err, io.EOF) {
			w.message = nil
		} else if err != nil {
			w.err = err
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, w.err
}

// next waits for the next message.
func (w *webSocket) next() (io.Reader, error) {
	kind, r, err := w.ws.NextReader()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return nil, io.EOF
	case err != nil:
		return nil, err
	case kind != websocket.BinaryMessage:
		return nil, errors.New("the server's WebSocket message is not binary")
	}
	return r, nil
}

// Write is [net.Conn]. Each call makes a message.
func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, fmt.Errorf("write to a WebSocket: %w", err)
	}
	return len(p), nil
}

// Close is [net.Conn]. It says good-bye if that takes no time.
func (w *webSocket) Close() error {
	if err := w.Conn.SetWriteDeadline(time.Now().Add(closeWait)); err != nil {
		return w.Conn.Close()
	}
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	w.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeWait)) //nolint:errcheck // as good as can be
	return w.Conn.Close()
}

// undated is what the library reads and writes. The deadlines are ours: it would clear them after the upgrade, and at each
// write put one that can only be changed between writes.
type undated struct{ net.Conn }

// SetDeadline does nothing.
func (undated) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (undated) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (undated) SetWriteDeadline(time.Time) error { return nil }
