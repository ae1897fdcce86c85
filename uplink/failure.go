// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// failure is why there is no session, with a code and what to do.
type failure struct {
	code string // "": none is for that
	text string
	err  error // what was seen; nil: the text says all
}

func (f *failure) Error() string {
	s := f.text
	if f.code != "" {
		s += " (" + f.code + ")"
	}
	if f.err != nil {
		s += ": " + f.err.Error()
	}
	return s
}

func (f *failure) Unwrap() error { return f.err }

// told returns the code and the text of an error for the status.
func told(err error) (code, text string) {
	var f *failure
	if errors.As(err, &f) {
		return f.code, f.text
	}
	return "", err.Error()
}

// explain finds out why a line that was let in did not come as far as a session.
func (u *Uplink) explain(ctx context.Context, l *line, err error) error {
	var f *failure
	if errors.As(err, &f) || ctx.Err() != nil {
		return err
	}
	if l.target.tls {
		if f := u.explainTLS(l.target, err); f != nil {
			return f
		}
	}
	first := l.peek.bytes()
	switch {
	case !l.target.tls && tlsRecord(first):
		return &failure{"E305", fmt.Sprintf("%s speaks TLS; write mqtts:// for this port", l.target), err}
	case !l.target.tls && string(first) == "HTTP/":
		return &failure{"E305", plainInstead(l.target, first), err}
	case l.target.tls && len(first) > 0 && hungUp(err) && u.cfg.Cert == "":
		// A server that misses our certificate tells so in an alert, which its reset may overtake (TLS 1.3).
		return &failure{"", fmt.Sprintf("%s hung up before it answered; if it wants a certificate of ours, set uplink.cert and uplink.key", l.target), err}
	case len(first) == 0 && hungUp(err):
		if other := u.probe(ctx, l); other != nil {
			return other
		}
	}
	return fmt.Errorf("speak with %s: %w", l.target, err)
}

// tlsRecord says whether b begins like an alert or a handshake record of TLS (RFC 8446, 5.1).
func tlsRecord(b []byte) bool {
	return len(b) > 1 && (b[0] == 21 || b[0] == 22) && b[1] == 3
}

// hungUp says whether the peer ended the connection, as many do with what they don't understand.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

const (
	probeTime  = 3 * time.Second
	probeAgain = time.Hour
)

// probed is what a probe of one target found; said is nil when it found nothing.
type probed struct {
	at   time.Time
	said error
}

// probe tries, at most once an hour, whether a server that hung up without a word speaks the other one of TLS and plain
// MQTT. What it sends holds nothing of ours.
func (u *Uplink) probe(ctx context.Context, l *line) error {
	p := u.probes[l.target]
	if p != nil && time.Since(p.at) < probeAgain {
		return p.said
	}
	p = &probed{at: time.Now()}
	u.probes[l.target] = p
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := u.deps.Dial(ctx, netip.AddrPortFrom(l.address, l.target.port))
	if err != nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { u.drop(c) })
	defer stop()
	defer u.drop(c)
	switch {
	case l.target.tls && answersMQTT(c):
		p.said = &failure{"E305", plainInstead(l.target, nil), nil}
	case !l.target.tls && answersTLS(ctx, c):
		p.said = &failure{"E305", fmt.Sprintf("%s speaks TLS; write mqtts:// for this port", l.target), nil}
	}
	return p.said
}

// drop closes a connection that is of no use any more.
func (u *Uplink) drop(c net.Conn) {
	if err := closed(c); err != nil {
		u.log.Debug("a connection to the cloud", "err", err)
	}
}

// answersMQTT sends a CONNECT of 3.1.1 without a name and says whether a CONNACK comes.
func answersMQTT(c net.Conn) bool {
	hello := "\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
	if _, err := io.WriteString(c, hello); err != nil {
		return false
	}
	var answer [4]byte
	_, err := io.ReadFull(c, answer[:])
	return err == nil && answer[0] == 0x20 && answer[1] == 2
}

// answersTLS says whether the peer takes part in a TLS handshake, as far as a first record of its own.
func answersTLS(ctx context.Context, c net.Conn) bool {
	p := &peek{Conn: c}
	// Nothing is sent on this connection but the hello, so there is nothing that a certificate would have to vouch for.
	err := tls.Client(p, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return err == nil || tlsRecord(p.bytes())
}
