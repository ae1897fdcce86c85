// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"edged/broker/listener"
	"edged/broker/listener/listenertest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "tls://127.0.0.1:0")
	foreign := listenertest.NewAuthority(t)
	for _, c := range []struct {
		name     string
		show     []tls.Certificate
		wantName string
		refused  bool
	}{
		{name: "no certificate"},
		{name: "a client's", show: []tls.Certificate{e.authority.Pair(e.authority.Issue("plc-7"))}, wantName: "plc-7"},
		{name: "expired", show: []tls.Certificate{e.authority.Pair(e.authority.IssueExpired("plc-7"))}, refused: true},
		{name: "of a foreign authority", show: []tls.Certificate{foreign.Pair(foreign.Issue("plc-7"))}, refused: true},
	} {
		client := e.dial(t)
		if len(c.show) > 0 { // also one that the server has not asked for by its authority
			config := e.authority.Client()
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.show[0], nil }
			client = tls.Client(client.(*tls.Conn).NetConn(), config)
		}
		if c.refused {
			_, err := io.WriteString(client, "x")
			if err == nil {
				_, err = client.Read(make([]byte, 1))
			}
			if err == nil || isTimeout(err) {
				t.Errorf("%s: let in (%v)", c.name, err)
			}
			<-e.failed
			continue
		}
		wantEcho(t, client, "hello")
		peer := (<-e.ready).(interface{ PeerCertificate() *x509.Certificate }).PeerCertificate()
		if got := name(peer); got != c.wantName {
			t.Errorf("%s: the peer is %q, want %q", c.name, got, c.wantName)
		}
	}
}

func name(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return c.Subject.CommonName
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "tls://127.0.0.1:0")
	config := e.authority.Client()
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if err := tls.Client(e.dial(t).(*tls.Conn).NetConn(), config).Handshake(); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}

// Handshakes see new certificates at once, and who is connected notices nothing.
func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	e := newEcho(t, "tls://127.0.0.1:0")
	old := e.dial(t)
	wantEcho(t, old, "before")
	before := old.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber
	dir := t.TempDir()
	cert, key := e.authority.Issue("gateway")
	other := listenertest.NewAuthority(t)
	m, err := listener.Files{
		Cert: listenertest.Write(t, dir, "c", cert), Key: listenertest.Write(t, dir, "k", key), ClientCA: listenertest.Write(t, dir, "ca", other.PEM),
	}.Read()
	if err != nil {
		t.Fatal(err)
	}
	e.certs.Use(m)
	fresh := e.dial(t, other.Pair(other.Issue("new")))
	wantEcho(t, fresh, "after")
	if after := fresh.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber; after.Cmp(before) == 0 {
		t.Error("the old certificate is shown")
	}
	wantEcho(t, old, "still here")
	<-e.ready
	if got := name((<-e.ready).(interface{ PeerCertificate() *x509.Certificate }).PeerCertificate()); got != "new" {
		t.Errorf("a client of the new authority is %q", got)
	}
}

func TestCertificatesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := listenertest.NewAuthority(t)
	cert, key := a.Issue("one")
	_, other := a.Issue("two")
	good := listener.Files{Cert: listenertest.Write(t, dir, "cert", cert), Key: listenertest.Write(t, dir, "key", key)}
	for _, c := range []struct {
		name   string
		change func(f *listener.Files)
		want   string
	}{
		{"none", func(f *listener.Files) { f.Cert = "" }, "no certificate is named"},
		{"no such file", func(f *listener.Files) { f.Key = dir + "/none" }, dir + "/none: no such file"},
		{"another's key", func(f *listener.Files) { f.Key = listenertest.Write(t, dir, "other", other) }, "does not match"},
		{"no PEM", func(f *listener.Files) { f.Cert = listenertest.Write(t, dir, "text", []byte("hello")) }, dir + "/text"},
		{"no authorities", func(f *listener.Files) { f.ClientCA = listenertest.Write(t, dir, "text", []byte("hello")) }, "no certificate in PEM"},
	} {
		f := good
		c.change(&f)
		_, err := f.Read()
		if !errors.Is(err, listener.ErrCertificate) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "(E411)") {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
	}
	if _, err := listener.Open(t.Context(), "tls://127.0.0.1:0", listener.Options{}); !errors.Is(err, listener.ErrCertificate) {
		t.Errorf("a listener without certificates: %v", err)
	}
}

// A peer that reads nothing does not hold up who closes the connection, whoever writes to it meanwhile.
func TestCloseDoesNotWaitForThePeer(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0"} {
		e := newEcho(t, addr)
		client := e.dial(t)
		if strings.HasPrefix(addr, "ws") {
			client = e.web(t, client)
		} else if err := client.(*tls.Conn).Handshake(); err != nil {
			t.Fatal(err)
		}
		c := <-e.ready
		written := make(chan struct{})
		go func() {
			defer close(written)
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		select { // until it is stuck
		case <-written:
			t.Fatalf("%s: the write ended early", addr)
		case <-time.After(300 * time.Millisecond):
		}
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Logf("%s: close: %v", addr, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: Close took %v", addr, took)
		}
		<-written
	}
}
