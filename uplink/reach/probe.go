// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

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
func (d *Dialer) probe(ctx context.Context, l *Conn) error {
	if l.place.host != l.to.host { // the proxy would have to be asked again
		return nil
	}
	p := d.probes[l.Target]
	if p != nil && time.Since(p.at) < probeAgain {
		return p.said
	}
	p = &probed{at: time.Now()}
	d.probes[l.Target] = p
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := d.deps.Dial(ctx, l.place.port())
	if err != nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { d.drop(c) })
	defer stop()
	defer d.drop(c)
	switch {
	case l.Target.TLS() && !l.Target.WebSocket() && answersMQTT(c): // a web server would have answered TLS with HTTP

		p.said = &Failure{"E305", plainInstead(l.Target, nil), nil}
	case !l.Target.TLS() && answersTLS(ctx, c):
		p.said = &Failure{"E305", fmt.Sprintf("%s speaks TLS; write %s for this port", l.Target, l.Target.secured()), nil}
	}
	return p.said
}

// drop closes a connection that is of no use any more.
func (d *Dialer) drop(c net.Conn) {
	if err := closed(c); err != nil {
		d.log.Debug("a connection to the cloud", "err", err)
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
