// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Failure is why the broker is not reached, with a code and what to do.
type Failure struct {
	Code string // "": none is for that
	Text string // what is wrong, and what to do
	Err  error  // what was seen; nil: the text says all
}

// Error is [error].
func (f *Failure) Error() string {
	s := f.Text
	if f.Code != "" {
		s += " (" + f.Code + ")"
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap is for [errors.Is].
func (f *Failure) Unwrap() error { return f.Err }

// Explain finds out why a connection that was let in did not come as far as a session.
func (d *Dialer) Explain(ctx context.Context, c *Conn, err error) error {
	var f *Failure
	if errors.As(err, &f) || ctx.Err() != nil {
		return err
	}
	if c.Target.TLS() {
		if f := d.explainTLS(c, err); f != nil {
			return f
		}
	}
	first := c.peek.bytes()
	switch {
	case !c.Target.TLS() && tlsRecord(first):
		return &Failure{"E305", fmt.Sprintf("%s speaks TLS; write %s for this port", c.Target, c.Target.secured()), err}
	case !c.Target.TLS() && !c.Target.WebSocket() && string(first) == "HTTP/":
		return &Failure{"E305", plainInstead(c.Target, first), err}
	case c.Target.TLS() && len(first) > 0 && HungUp(err) && d.cfg.Cert == "":
		// A server that misses our certificate tells so in an alert, which its reset may overtake (TLS 1.3).
		return &Failure{"", fmt.Sprintf("%s hung up before it answered; if it wants a certificate of ours, set uplink.cert and uplink.key", c.Target), err}
	case len(first) == 0 && HungUp(err):
		if other := d.probe(ctx, c); other != nil {
			return other
		}
	}
	return fmt.Errorf("speak with %s: %w", c.Target, err)
}

// HungUp says whether err means that the peer ended the connection, as many do with what they don't understand.
func HungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// tlsRecord says whether b begins like an alert or a handshake record of TLS (RFC 8446, 5.1).
func tlsRecord(b []byte) bool {
	return len(b) > 1 && (b[0] == 21 || b[0] == 22) && b[1] == 3
}

// plainInstead is the text for a server that answers TLS, or plain MQTT, with something else.
func plainInstead(t Target, first []byte) string {
	switch {
	case string(first) == "HTTP/" && t.WebSocket():
		return fmt.Sprintf("%s answers without TLS: write %s for this port, or log in where a captive portal of this network wants that", t, t.plain())
	case string(first) == "HTTP/":
		return fmt.Sprintf("%s answers like a web server: a wrong port (MQTT in a WebSocket is ws:// or wss://), or a captive portal that wants a login in this network", t)
	case t.WebSocket():
		return fmt.Sprintf("%s does not speak TLS; write %s for this port, or use the TLS port (443 as a rule)", t, t.plain())
	}
	return fmt.Sprintf("%s does not speak TLS; write %s for this port, or use the TLS port (8883 as a rule)", t, t.plain())
}
