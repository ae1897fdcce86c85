// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"edged/broker/listener/listenertest"
)

// Last words do not wait for room in the socket, of which a peer that reads nothing leaves none.
func TestLastWordsDoNotWaitForRoom(t *testing.T) {
	t.Parallel()
	authority := listenertest.NewAuthority(t)
	cert, key := authority.Issue("gateway")
	dir := t.TempDir()
	m, err := Files{Cert: listenertest.Write(t, dir, "c", cert), Key: listenertest.Write(t, dir, "k", key)}.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"tls", "ws", "wss"} {
		l, err := Open(t.Context(), scheme+"://127.0.0.1:0", Options{Certificates: NewCertificates(m)})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			client := nc
			if scheme != "ws" {
				client = tls.Client(nc, authority.Client())
			}
			if scheme != "tls" {
				listenertest.NewWebSocket(t, client, l.Addr().String())
			} else if err := client.(*tls.Conn).Handshake(); err != nil {
				t.Error(err)
			}
		}()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Handshake(server, time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		<-done
		fill(t, server)
		closed := make(chan struct{})
		go func() { defer close(closed); c.Close() }()
		select {
		case <-closed:
		case <-time.After(2 * time.Second):
			t.Errorf("%s: Close waits for the peer", scheme)
			nc.Close()
			<-closed
		}
		nc.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fill leaves no room in a socket.
func fill(t *testing.T, nc net.Conn) {
	t.Helper()
	if err := nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := nc.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	if err := nc.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}
