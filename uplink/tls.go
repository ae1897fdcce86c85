// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const handshakeTime = 10 * time.Second

// secure speaks TLS on a line. Files are read each time, so that a renewed certificate needs no restart.
func (u *Uplink) secure(ctx context.Context, l *line) (net.Conn, error) {
	cfg, err := u.tlsConfig(l.target.host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	c := tls.Client(l.Conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (u *Uplink) tlsConfig(host string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, Time: u.now}
	if u.cfg.CA != "" {
		pem, err := os.ReadFile(u.cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("read uplink.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &failure{"E303", u.cfg.CA + " holds no certificate; uplink.ca must name a file with the CA's certificate in PEM", nil}
		}
	}
	if u.cfg.Cert != "" {
		pair, err := tls.LoadX509KeyPair(u.cfg.Cert, u.cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("read uplink.cert and uplink.key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// now is the time for certificates: a board without a battery starts years in the past, but not before the time of which
// the floor is sure.
func (u *Uplink) now() time.Time {
	now := time.Now()
	if u.deps.Floor != nil {
		if floor := u.deps.Floor(); floor.After(now) {
			return floor
		}
	}
	return now
}

// explainTLS turns an error of a handshake into what a user can do about it; nil: it is none of those.
func (u *Uplink) explainTLS(t target, err error) *failure {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return u.explainTime(t, invalid.Cert, err)
	case errors.As(err, &authority):
		return &failure{"E303", fmt.Sprintf("the certificate of %s is not signed by a CA that we trust; set uplink.ca to the CA's certificate", t), err}
	case errors.As(err, &name):
		return &failure{"E304", fmt.Sprintf("the certificate of %s is for another host; use the name that is in it in uplink.url, or check that nobody is in between", t), err}
	case errors.As(err, &record):
		return &failure{"E305", plainInstead(t, record.RecordHeader[:]), err}
	case errors.As(err, &op) && op.Op == "remote error": // an alert
		return &failure{"", fmt.Sprintf("%s refuses TLS with us (%v); if it wants a certificate of ours, set uplink.cert and uplink.key to one that it knows", t, op.Err), err}
	}
	return nil
}

func (u *Uplink) explainTime(t target, c *x509.Certificate, err error) *failure {
	const day = "2006-01-02"
	now := u.now().UTC()
	if now.Before(c.NotBefore) {
		return &failure{"E301", fmt.Sprintf("the clock is wrong: it says %s, but the certificate of %s is valid from %s; set the clock or let it be synchronised",
			now.Format("2006-01-02 15:04"), t, c.NotBefore.UTC().Format(day)), err}
	}
	return &failure{"E302", fmt.Sprintf("the certificate of %s (%s) expired on %s, and this clock says %s; whoever runs the server must renew it",
		t, c.Subject.CommonName, c.NotAfter.UTC().Format(day), now.Format(day)), err}
}

// plainInstead is the text for a server that answers TLS with something else.
func plainInstead(t target, first []byte) string {
	if string(first) == "HTTP/" {
		return fmt.Sprintf("%s answers like a web server: a wrong port, or a captive portal that wants a login in this network", t)
	}
	return fmt.Sprintf("%s does not speak TLS; write mqtt:// for this port, or use the TLS port (8883 as a rule)", t)
}
