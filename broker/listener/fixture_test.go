// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"edged/broker/listener"
	"edged/broker/listener/listenertest"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// echo is a listener whose connections send back what they get.
type echo struct {
	*listener.Listener
	authority *listenertest.Authority
	files     listener.Files
	certs     *listener.Certificates
	ready     chan net.Conn // as they are after the handshake; may be read
	failed    chan error    // of handshakes; may be read
}

func newEcho(t *testing.T, addr string, origins ...string) *echo {
	t.Helper()
	e := &echo{authority: listenertest.NewAuthority(t), ready: make(chan net.Conn, 100), failed: make(chan error, 100)}
	dir := t.TempDir()
	cert, key := e.authority.Issue("gateway")
	e.files = listener.Files{
		Cert: listenertest.Write(t, dir, "cert.pem", cert), Key: listenertest.Write(t, dir, "key.pem", key),
		ClientCA: listenertest.Write(t, dir, "ca.pem", e.authority.PEM),
	}
	m, err := e.files.Read()
	if err != nil {
		t.Fatal(err)
	}
	e.certs = listener.NewCertificates(m)
	e.Listener, err = listener.Open(t.Context(), addr, listener.Options{Certificates: e.certs, Origins: func() []string { return origins }})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { e.serve(&wg) })
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		wg.Wait()
	})
	return e
}

func (e *echo) serve(wg *sync.WaitGroup) {
	for {
		nc, err := e.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer nc.Close()
			c, err := e.Handshake(nc, time.Now().Add(patience))
			if err != nil {
				e.failed <- err
				return
			}
			defer c.Close()
			e.ready <- c
			_, _ = io.Copy(struct{ io.Writer }{c}, c)
		})
	}
}

// dial connects the socket of a client, with TLS where the listener has it.
func (e *echo) dial(t *testing.T, show ...tls.Certificate) net.Conn {
	t.Helper()
	nc, err := net.Dial(e.Addr().Network(), e.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if a, err := listener.Parse(e.String()); err == nil && a.Secure() {
		nc = tls.Client(nc, e.authority.Client(show...))
	}
	return nc
}

// web makes a WebSocket of a client's connection.
func (e *echo) web(t *testing.T, nc net.Conn) *listenertest.WebSocket {
	t.Helper()
	return listenertest.NewWebSocket(t, nc, e.Addr().String())
}

// wantEcho sends something and wants it back.
func wantEcho(t *testing.T, c io.ReadWriter, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("write: %v", err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("echo: %.100q, %v; want %.100q", got, err, text)
	}
}

// isTimeout tells whether a deadline ended a read.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
