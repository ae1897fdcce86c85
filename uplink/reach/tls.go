// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const handshakeTime = 10 * time.Second

// secure speaks TLS on a connection. The text says what came of it.
func (o *opening) secure(ctx context.Context, c *Conn) (text string, err error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: certified(o.target, c.to.host), Time: o.Now}
	if o.cfg.ALPN != "" {
		cfg.NextProtos = []string{o.cfg.ALPN}
	}
	if cfg.RootCAs, err = o.files.authorities(); err != nil {
		return "", err
	}
	if cfg.Certificates, err = o.files.certificates(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	t := tls.Client(c.Conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer to TLS in %v: %w", handshakeTime, err)
		}
		return "", err
	}
	state := t.ConnectionState()
	o.shown(state)
	c.Conn = t
	text = fmt.Sprintf("%s, certificate of %s until %s", tls.VersionName(state.Version), cfg.ServerName, day(state.PeerCertificates[0].NotAfter))
	if state.NegotiatedProtocol != "" {
		text += ", ALPN " + state.NegotiatedProtocol
	}
	return text, nil
}

// certified is the name that the certificate must have. A host that SRV records name vouches for the domain only where it
// is below it: these records could come from anybody.
func certified(t Target, host string) string {
	below := strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(t.Host))
	if t.SRV() && !below {
		return t.Host
	}
	return host
}

// Now is the time for certificates: a board without a battery starts years in the past, but not before the time of which
// the floor is sure.
func (d *Dialer) Now() time.Time {
	now := time.Now()
	if d.deps.Floor != nil {
		if floor := d.deps.Floor(); floor.After(now) {
			return floor
		}
	}
	return now
}

// explainTLS turns an error of a handshake into what a user can do about it; nil: it is none of those.
func (d *Dialer) explainTLS(c *Conn, err error) *Failure {
	t := c.Target
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return d.explainTime(t, invalid.Cert, err)
	case errors.As(err, &authority):
		return &Failure{"E303", fmt.Sprintf("the certificate of %s is not signed by a CA that we trust; set uplink.ca to the CA's certificate, or check that nobody is in between (a captive portal?)", t), err}
	case errors.As(err, &name):
		return &Failure{"E304", fmt.Sprintf("the certificate of %s is for another host; use the name that is in it in uplink.url, or check that nobody is in between (a captive portal?)", t), err}
	case errors.As(err, &record):
		return &Failure{"E305", plainInstead(t, record.RecordHeader[:]), err}
	case errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "no application protocol"):
		return &Failure{"", fmt.Sprintf("%s does not speak the protocol %q of uplink.alpn; leave it out, or set it to what the server wants", t, d.cfg.ALPN), err}
	case errors.As(err, &op) && op.Op == "remote error": // an alert
		return &Failure{"", fmt.Sprintf("%s refuses TLS with us (%v); if it wants a certificate of ours, set uplink.cert and uplink.key to one that it knows", t, op.Err), err}
	}
	return nil
}

func (d *Dialer) explainTime(t Target, c *x509.Certificate, err error) *Failure {
	now := d.Now().UTC()
	if now.Before(c.NotBefore) {
		return &Failure{"E301", fmt.Sprintf("the clock is wrong: it says %s, but the certificate of %s is valid from %s; set the clock or let it be synchronised",
			now.Format("2006-01-02 15:04"), t, day(c.NotBefore)), err}
	}
	return &Failure{"E302", fmt.Sprintf("the certificate of %s (%s) expired on %s, and this clock says %s; whoever runs the server must renew it, unless the clock is wrong: then set it",
		t, c.Subject.CommonName, day(c.NotAfter), day(now)), err}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
