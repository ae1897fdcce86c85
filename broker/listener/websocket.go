// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// The library reads frames as a stream, so that no length that a client claims takes memory.
const (
	readBuffer  = 1 << 10 // per connection
	writeBuffer = 4 << 10 // while something is written
)

// closeWait is how long the last words may wait for another writer, who has been told to give up.
const closeWait = 50 * time.Millisecond

// webSocket is a stream in binary frames. Packets may span them, and share them.
type webSocket struct {
	ws      *websocket.Conn
	under   carrier
	s       *socket
	message io.Reader // the message that is being read
	err     error     // after which nothing is read
}

// Read is [net.Conn].
func (w *webSocket) Read(p []byte) (n int, err error) {
	for n == 0 && w.err == nil && len(p) > 0 {
		if w.message == nil {
			w.err = w.next()
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
func (w *webSocket) next() error {
	kind, r, err := w.ws.NextReader()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return io.EOF
	case err != nil:
		return err
	case kind != websocket.BinaryMessage:
		w.s.end()
		w.bye(websocket.CloseUnsupportedData, "MQTT comes in binary frames")
		return errors.New("a WebSocket frame is not binary")
	}
	w.message = r
	return nil
}

// Write is [net.Conn]. Each call makes a message.
func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, fmt.Errorf("write to a WebSocket: %w", err)
	}
	return len(p), nil
}

// bye says why the connection ends, to who reads.
func (w *webSocket) bye(code int, text string) {
	w.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(closeWait)) //nolint:errcheck // as good as can be
}

// Close is [net.Conn].
func (w *webSocket) Close() error {
	w.s.end()
	w.bye(websocket.CloseNormalClosure, "")
	return w.under.Close()
}

// CloseRead makes the end of the input follow what has been received.
func (w *webSocket) CloseRead() error { return w.s.CloseRead() }

// CloseWrite says that no more comes.
func (w *webSocket) CloseWrite() error {
	w.s.end()
	w.bye(websocket.CloseNormalClosure, "")
	return w.under.CloseWrite()
}

// PeerCertificate is the client's certificate, verified; nil if it has shown none.
func (w *webSocket) PeerCertificate() *x509.Certificate {
	if t, ok := w.under.(*secured); ok {
		return t.PeerCertificate()
	}
	return nil
}

// LocalAddr is [net.Conn].
func (w *webSocket) LocalAddr() net.Addr { return w.s.LocalAddr() }

// RemoteAddr is [net.Conn].
func (w *webSocket) RemoteAddr() net.Addr { return w.s.RemoteAddr() }

// SetDeadline is [net.Conn].
func (w *webSocket) SetDeadline(t time.Time) error { return w.s.SetDeadline(t) }

// SetReadDeadline is [net.Conn].
func (w *webSocket) SetReadDeadline(t time.Time) error { return w.s.SetReadDeadline(t) }

// SetWriteDeadline is [net.Conn].
func (w *webSocket) SetWriteDeadline(t time.Time) error { return w.s.SetWriteDeadline(t) }

// undated is what the library reads and writes. The deadlines are ours: it would clear them after the upgrade, and at
// each write put one that can only be changed between writes.
type undated struct{ carrier }

// SetDeadline does nothing.
func (undated) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (undated) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (undated) SetWriteDeadline(time.Time) error { return nil }
