// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/uplink/reach"
)

// signer is a CA of the test.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{dir: t.TempDir()}
	der, key := s.sign(t, "test CA")
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.cert, s.key = cert, key
	s.write(t, "ca.pem", "CERTIFICATE", der)
	return s
}

// sign makes a certificate, the CA's own where there is none yet.
func (s *signer) sign(t *testing.T, name string) (der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, by := s.cert, s.key
	if parent == nil {
		c.IsCA, c.BasicConstraintsValid, c.DNSNames, c.KeyUsage = true, true, nil, x509.KeyUsageCertSign
		parent, by = c, key
	}
	der, err = x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func (s *signer) path(name string) string { return filepath.Join(s.dir, name) }

func (s *signer) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(s.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate and its key.
func (s *signer) issue(t *testing.T, name, cert, key string) {
	t.Helper()
	der, k := s.sign(t, name)
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, cert, "CERTIFICATE", der)
	s.write(t, key, "PRIVATE KEY", secret)
}

// tlsServer tells the name of whom it spoke TLS with, or the error.
type tlsServer struct {
	port uint16
	seen chan string
}

func (s *signer) serve(t *testing.T, name string, change func(*tls.Config)) *tlsServer {
	t.Helper()
	der, key := s.sign(t, name)
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert}
	if change != nil {
		change(cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &tlsServer{port: l.Addr().(*net.TCPAddr).AddrPort().Port(), seen: make(chan string, 10)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := tls.Server(nc, cfg)
			err = c.Handshake()
			who := ""
			if certs := c.ConnectionState().PeerCertificates; len(certs) > 0 {
				who = certs[0].Subject.CommonName
			}
			if err != nil {
				who = err.Error()
			}
			server.seen <- who
			c.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return server
}

// toLoopback dials the loopback whatever the address.
func toLoopback(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port()).String())
}

func codeOf(err error) string {
	var f *reach.Failure
	switch {
	case err == nil:
		return "fine"
	case errors.As(err, &f):
		return f.Code
	}
	return err.Error()
}

// SRV records can come from anybody: a host that they name must be below the domain, or show the domain's certificate.
func TestWhoVouchesForHostsOfSRVRecords(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	for _, c := range []struct{ name, host, certificate, want string }{
		{"a host below the domain", "a.cloud.test", "a.cloud.test", "fine"},
		{"a host elsewhere with the domain's certificate", "a.hosting.test", "cloud.test", "fine"},
		{"a host elsewhere with its own", "a.attacker.test", "a.attacker.test", "E304"},
		{"a host whose name only ends like the domain", "evilcloud.test", "evilcloud.test", "E304"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := ca.serve(t, c.certificate, nil)
			n := newNameServer(t)
			n.set(func() {
				n.addrs[c.host] = []string{four}
				n.srv["_secure-mqtt._tcp.cloud.test"] = []srv{{1, 1, server.port, c.host}}
			})
			deps := n.deps()
			deps.Dial = toLoopback
			conn, err := reach.New(reach.Config{CA: ca.path("ca.pem")}, deps).Open(t.Context(), target(t, "mqtts+srv://cloud.test"), nil)
			if got := codeOf(err); got != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if conn != nil {
				conn.Close()
			}
		})
	}
}

func TestARenewalHalfway(t *testing.T) {
	t.Parallel()
	ca, other := newSigner(t), newSigner(t)
	server := ca.serve(t, "cloud.test", nil)
	url := target(t, "mqtts://cloud.test")
	url.Port = server.port
	cfg := reach.Config{CA: ca.path("ca.pem"), Cert: ca.path("cert.pem"), Key: ca.path("key.pem")}
	d := reach.New(cfg, reach.Deps{Dial: toLoopback, Resolve: names(four)})
	opens := func(step, want string) {
		t.Helper()
		c, err := d.Open(t.Context(), url, nil)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if got := <-server.seen; got != want {
			t.Errorf("%s: the server saw %q, want %q", step, got, want)
		}
		c.Close()
	}
	if _, err := d.Open(t.Context(), url, nil); err == nil || !strings.Contains(err.Error(), "uplink.key") {
		t.Errorf("without files: %v", err)
	}
	<-server.seen
	ca.issue(t, "old", "cert.pem", "key.pem")
	opens("at first", "old")
	der, key := ca.sign(t, "new")
	ca.write(t, "cert.pem", "CERTIFICATE", der)
	opens("with the new certificate and the old key", "old")
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ca.write(t, "key.pem", "PRIVATE KEY", secret)
	opens("with both", "new")
	if err := os.WriteFile(ca.path("ca.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opens("while the CA's file is being written", "new")
	stranger, err := os.ReadFile(other.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca.path("ca.pem"), stranger, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(t.Context(), url, nil); codeOf(err) != "E303" {
		t.Errorf("with the CA replaced by another: %v, want E303", err)
	}
}

func TestWhatTLSSpeaks(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	for _, c := range []struct {
		name   string
		server func(*tls.Config)
		alpn   string
		text   string // of the step, or of the error
	}{
		{"1.3", nil, "", "TLS 1.3, certificate of cloud.test until "},
		{"1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "", "TLS 1.2"},
		{"1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "", "protocol version"},
		{"ALPN", func(c *tls.Config) { c.NextProtos = []string{"http/1.1", "mqtt"} }, "mqtt", "ALPN mqtt"},
		{"ALPN that the server does not have", func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, "mqtt", `the protocol "mqtt" of uplink.alpn`},
		{"ALPN that the server does not know of", nil, "mqtt", "TLS 1.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := target(t, "mqtts://cloud.test")
			url.Port = ca.serve(t, "cloud.test", c.server).port
			d := reach.New(reach.Config{CA: ca.path("ca.pem"), ALPN: c.alpn}, reach.Deps{Dial: toLoopback, Resolve: names(four)})
			var said string
			conn, err := d.Open(t.Context(), url, func(s reach.Step) {
				if said = s.Text; s.Err != nil {
					said = s.Err.Error()
				}
			})
			if !strings.Contains(said, c.text) {
				t.Errorf("%q, %v, want %q", said, err, c.text)
			}
			if conn != nil {
				conn.Close()
			}
		})
	}
}
