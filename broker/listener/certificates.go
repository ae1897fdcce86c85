// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// Files name PEM files.
type Files struct {
	Cert, Key string
	ClientCA  string // "": clients are not asked for certificates
}

// Material is what stood in the files.
type Material struct{ config *tls.Config }

// Read reads the files. The error tells which, and why it cannot be used; it wraps [ErrCertificate].
func (f Files) Read() (*Material, error) {
	cert, err := readFile("certificate", f.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("key", f.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, unusable(fmt.Errorf("%s with the key %s: %w", f.Cert, f.Key, err))
	}
	// A session that is resumed is not verified as a new one is, against the authorities and the clock of the moment.
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	if f.ClientCA == "" {
		return &Material{config}, nil
	}
	authorities, err := readFile("client authorities", f.ClientCA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, unusable(fmt.Errorf("%s has no certificate in PEM", f.ClientCA))
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven // who has none may have a password
	return &Material{config}, nil
}

func readFile(what, path string) ([]byte, error) {
	if path == "" {
		return nil, unusable(fmt.Errorf("no %s is named", what))
	}
	p, err := os.ReadFile(path)
	if err != nil {
		return nil, unusable(fmt.Errorf("read the %s: %w", what, err))
	}
	return p, nil
}

func unusable(err error) error {
	return fmt.Errorf("%w: %w: mend the file or its name in [broker.tls] (E411)", ErrCertificate, err)
}

// Certificates are shown to the clients of all listeners that have TLS. They may be replaced at any time.
type Certificates struct{ now atomic.Pointer[tls.Config] }

// NewCertificates returns certificates that are shown from the start.
func NewCertificates(m *Material) *Certificates {
	c := &Certificates{}
	c.Use(m)
	return c
}

// Use shows others in handshakes from now on. Connections that stand are not touched.
func (c *Certificates) Use(m *Material) { c.now.Store(m.config) }

// secured is a connection over TLS.
type secured struct {
	*tls.Conn
	s    *socket
	peer *x509.Certificate
}

// secure does the handshake of TLS.
func secure(s *socket, certs *Certificates) (*secured, error) {
	c := tls.Server(s, certs.now.Load())
	if err := c.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	t := &secured{Conn: c, s: s}
	if state := c.ConnectionState(); len(state.VerifiedChains) > 0 {
		t.peer = state.PeerCertificates[0]
	}
	return t, nil
}

// PeerCertificate is the client's certificate, verified; nil if it has shown none.
func (c *secured) PeerCertificate() *x509.Certificate { return c.peer }

// Close is [net.Conn].
func (c *secured) Close() error {
	c.s.end()
	return c.Conn.Close()
}

// CloseRead makes the end of the input follow what has been received.
func (c *secured) CloseRead() error { return c.s.CloseRead() }

// CloseWrite says that no more comes.
func (c *secured) CloseWrite() error {
	c.s.end()
	return errors.Join(c.Conn.CloseWrite(), c.s.CloseWrite())
}
