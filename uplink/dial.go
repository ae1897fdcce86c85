// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	dialTime = 5 * time.Second
	headOf   = 300 * time.Millisecond // an address gets this much before the next one is tried beside it
)

// line is a connection to the cloud before MQTT is spoken on it.
type line struct {
	net.Conn            // what MQTT is spoken on
	raw      net.Conn   // what is beneath TLS
	peek     *peek      // what came first
	address  netip.Addr // of the peer
	target   target
}

// dial connects to the target, over TLS where it asks for that. The error is a *failure where a user can do something.
func (u *Uplink) dial(ctx context.Context, t target) (*line, error) {
	addrs, err := u.book.look(ctx, t.host)
	if err != nil {
		return nil, err
	}
	raw, a, err := u.race(ctx, addrs, t)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t, err)
	}
	p := &peek{Conn: raw}
	l := &line{Conn: p, raw: raw, peek: p, address: a, target: t}
	if !t.tls {
		return l, nil
	}
	if l.Conn, err = u.secure(ctx, l); err != nil {
		u.book.failed(t.host, a)
		return nil, errors.Join(u.explain(ctx, l, err), closed(raw))
	}
	return l, nil
}

// race connects to the first address that answers. Each gets a head start over the next one, so that one that swallows
// everything (a broken IPv6, say) costs little, and the whole is given up after five seconds.
func (u *Uplink) race(ctx context.Context, addrs []netip.Addr, t target) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	type result struct {
		conn net.Conn
		addr netip.Addr
		err  error
	}
	results := make(chan result, len(addrs)) // never full: each address sends once
	var runners sync.WaitGroup
	next, running := 0, 0
	start := func() {
		a := addrs[next]
		next, running = next+1, running+1
		runners.Go(func() {
			c, err := u.deps.Dial(ctx, netip.AddrPortFrom(a, t.port))
			results <- result{c, a, err}
		})
	}
	var winner result
	var faults []error
	start()
	head := time.NewTimer(headOf)
	defer head.Stop()
	for winner.conn == nil && running > 0 {
		select {
		case <-head.C:
			if next < len(addrs) {
				start()
				head.Reset(headOf)
			}
		case r := <-results:
			running--
			if r.err == nil {
				winner = r
				break
			}
			u.book.failed(t.host, r.addr)
			faults = append(faults, r.err)
			if next < len(addrs) && ctx.Err() == nil {
				start()
				head.Reset(headOf)
			}
		}
	}
	cancel()
	runners.Wait()
	close(results)
	for r := range results {
		if r.err == nil {
			faults = append(faults, closed(r.conn))
		}
	}
	if winner.conn == nil {
		return nil, netip.Addr{}, errors.Join(faults...)
	}
	return winner.conn, winner.addr, nil
}

// closed closes c and says what went wrong doing it, if that matters to anybody.
func closed(c net.Conn) error {
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the connection: %w", err)
	}
	return nil
}

// peek remembers the first bytes that came: they tell what the peer speaks when it is not what we do.
type peek struct {
	net.Conn
	mu    sync.Mutex
	first []byte
}

func (p *peek) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 {
		p.mu.Lock()
		if room := 5 - len(p.first); room > 0 {
			p.first = append(p.first, b[:min(room, n)]...)
		}
		p.mu.Unlock()
	}
	return n, err
}

// bytes returns the first bytes that came, at most five.
func (p *peek) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}
