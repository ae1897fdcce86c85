// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/uplink"
)

// authority is a CA of the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-10, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = writePEM(t, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue makes a certificate for a host and returns its files.
func (a *authority) issue(t *testing.T, host string, from, to time.Time) (cert, key string) {
	t.Helper()
	k := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: to,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "EC PRIVATE KEY", raw)
}

func (a *authority) listener(t *testing.T, host string, from, to time.Time, extra ...string) *mosquitto {
	t.Helper()
	cert, key := a.issue(t, host, from, to)
	return newMosquitto(t, append(extra, "allow_anonymous true", "cafile "+a.file, "certfile "+cert, "keyfile "+key)...)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	good := ca.listener(t, "cloud.test", now.Add(-time.Hour), now.Add(time.Hour))
	expired := ca.listener(t, "cloud.test", now.Add(-2*time.Hour), now.Add(-time.Hour))
	future := ca.listener(t, "cloud.test", now.Add(time.Hour), now.Add(3*time.Hour))
	guarded := ca.listener(t, "cloud.test", now.Add(-time.Hour), now.Add(time.Hour), "require_certificate true")
	plain := newMosquitto(t)
	cert, key := ca.issue(t, "gw", now.Add(-time.Hour), now.Add(time.Hour))
	type setting = func(*uplink.Config)
	trust := func(a *authority) setting { return func(c *uplink.Config) { c.CA = a.file } }
	later := func() time.Time { return now.Add(2 * time.Hour) }
	for _, c := range []struct {
		name    string
		scheme  string
		address string
		host    string
		set     setting
		floor   func() time.Time
		state   string
		code    string
		text    string // part of it
	}{
		{"good", "mqtts", good.address, "cloud.test", trust(ca), nil, uplink.Up, "", ""},
		{"a CA that we do not trust", "mqtts", good.address, "cloud.test", trust(other), nil, uplink.Down, "E303", "uplink.ca"},
		{"the system's CAs", "mqtts", good.address, "cloud.test", nil, nil, uplink.Down, "E303", "uplink.ca"},
		{"a file without a certificate", "mqtts", good.address, "cloud.test", func(c *uplink.Config) { c.CA = key }, nil, uplink.Down, "E303", "holds no certificate"},
		{"another host", "mqtts", good.address, "other.test", trust(ca), nil, uplink.Down, "E304", "other.test"},
		{"expired", "mqtts", expired.address, "cloud.test", trust(ca), nil, uplink.Down, "E302", "renew"},
		{"the clock is behind", "mqtts", future.address, "cloud.test", trust(ca), nil, uplink.Down, "E301", "clock"},
		{"the clock is behind, but the floor is not", "mqtts", future.address, "cloud.test", trust(ca), later, uplink.Up, "", ""},
		{"TLS to a plain port", "mqtts", plain.address, "cloud.test", trust(ca), nil, uplink.Down, "E305", "write mqtt://"},
		{"plain to a TLS port", "mqtt", good.address, "cloud.test", nil, nil, uplink.Down, "E305", "write mqtts://"},
		{"TLS to a web server", "mqtts", answerAll(t, "HTTP/1.1 302 Found\r\n\r\n"), "cloud.test", trust(ca), nil, uplink.Down, "E305", "captive portal"},
		{"plain to a web server", "mqtt", answerAll(t, "HTTP/1.1 302 Found\r\n\r\n"), "cloud.test", nil, nil, uplink.Down, "E305", "captive portal"},
		{"a certificate of ours", "mqtts", guarded.address, "cloud.test", func(c *uplink.Config) { c.CA, c.Cert, c.Key = ca.file, cert, key }, nil, uplink.Up, "", ""},
		{"none where one is wanted", "mqtts", guarded.address, "cloud.test", trust(ca), nil, uplink.Down, "", "uplink.cert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, port, err := net.SplitHostPort(c.address)
			if err != nil {
				t.Fatal(err)
			}
			cfg := config()
			cfg.URLs, cfg.ClientID = []string{c.scheme + "://" + c.host + ":" + port}, strings.ReplaceAll(c.name, " ", "-")
			if c.set != nil {
				c.set(&cfg)
			}
			u, _ := startReal(t, cfg, ourBroker(t), func(d *uplink.Deps) { d.Floor = c.floor })
			var s uplink.Status
			eventually(t, soon, "the first try is over", func() bool {
				s = u.Status()
				return s.State != uplink.Off && (s.State != uplink.Down || s.Text != "connecting for the first time")
			})
			if s.State != c.state || s.Code != c.code || !strings.Contains(s.Text, c.text) {
				t.Errorf("state %s, code %q, text %q; want %s, %q, …%s…", s.State, s.Code, s.Text, c.state, c.code, c.text)
			}
		})
	}
}
