// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Bounds of the brake.
const (
	firstDelay  = 250 * time.Millisecond // after the first failure, doubled by each that follows
	longDelay   = 4 * time.Second
	forgive     = 10 * time.Minute // after the last failure
	maxWaiting  = 8                // logins that wait at an address that has failed; more are turned away
	maxBraked   = 1024             // addresses that are remembered beside those that wait
	failuresMax = 16
)

// brake lets the logins of one address be looked at one after the other, and, after a failure, at a distance that grows.
// So guessing takes long and a flood from one address takes no more than its turn of the time that hashes need, while
// other addresses wait for nobody.
type brake struct {
	mu     sync.Mutex
	places map[string]*place
}

// place is one address.
type place struct {
	key  string
	turn chan struct{} // holds one: somebody's login is looked at

	// guarded by brake.mu
	here     int // logins
	failures int
	next     time.Time // when the next login may be looked at
	last     time.Time // failure
}

// enter takes a login in. It is false when too many wait already.
func (b *brake) enter(key string) (p *place, ok bool) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	p = b.places[key]
	if p == nil {
		b.makeRoom(now)
		p = &place{key: key, turn: make(chan struct{}, 1)}
		if b.places == nil {
			b.places = map[string]*place{}
		}
		b.places[key] = p
	}
	p.forget(now)
	if p.failures > 0 && p.here >= maxWaiting {
		return nil, false
	}
	p.here++
	return p, true
}

// forget forgives what is long ago.
func (p *place) forget(now time.Time) {
	if p.failures > 0 && now.Sub(p.last) > forgive {
		p.failures, p.next = 0, time.Time{}
	}
}

// makeRoom keeps the number of places bounded: those where nobody is and whose last failure is oldest go.
func (b *brake) makeRoom(now time.Time) {
	if len(b.places) < maxBraked {
		return
	}
	oldest := ""
	for key, p := range b.places {
		switch {
		case p.here > 0:
			continue
		case p.failures == 0 || now.Sub(p.last) > forgive:
			delete(b.places, key)
		case oldest == "" || p.last.Before(b.places[oldest].last):
			oldest = key
		}
	}
	if len(b.places) >= maxBraked && oldest != "" {
		delete(b.places, oldest)
	}
}

// leave lets a login out again.
func (b *brake) leave(p *place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.here--; p.here == 0 && p.failures == 0 {
		delete(b.places, p.key)
	}
}

// wait waits for the login's turn; end it with done.
func (p *place) wait(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *place) done() { <-p.turn }

// pause waits until the place's next login may be looked at. It is the login's turn.
func (b *brake) pause(ctx context.Context, p *place) error {
	b.mu.Lock()
	d := time.Until(p.next)
	b.mu.Unlock()
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed notes a failure.
func (b *brake) failed(p *place) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	p.failures++
	p.last = now
	p.next = now.Add(min(firstDelay<<min(p.failures-1, failuresMax), longDelay))
}

// place is what counts as one address: all of loopback, an account on Unix sockets, and an IPv6 network of 64 bits, within
// which a host has as many addresses as it likes.
func (c *Credentials) place() string {
	if c.HasUID {
		return "account " + strconv.Itoa(c.UID)
	}
	return placeOf(c.Address)
}

func placeOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	switch {
	case ip.IsLoopback():
		return "loopback"
	case ip.Is6():
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
