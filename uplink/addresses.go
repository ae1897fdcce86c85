// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	resolveTime = 5 * time.Second // for the name service, when no address is known
	refreshTime = 2 * time.Second // for it, when one is: a broken name service must not keep us from a cloud that we know
	mostTried   = 8               // addresses in one try
)

// book remembers where the cloud's names led, so that a link survives a name service that does not.
type book struct {
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	hosts   map[string]*place
}

type place struct {
	known  []netip.Addr // what the name service said last
	good   netip.Addr   // which accepted a session last
	failed map[netip.Addr]int
}

func newBook(resolve func(context.Context, string) ([]netip.Addr, error)) *book {
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return &book{resolve: resolve, hosts: map[string]*place{}}
}

func (b *book) at(host string) *place {
	p := b.hosts[host]
	if p == nil {
		p = &place{failed: map[netip.Addr]int{}}
		b.hosts[host] = p
	}
	return p
}

// look returns the addresses of a host in the order to try them: the last good one, then those that failed least, both
// families in turn. When the name service fails or answers nothing, it returns those that were known.
func (b *book) look(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	p := b.at(host)
	limit := resolveTime
	if len(p.known) > 0 || p.good.IsValid() {
		limit = refreshTime
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found, err := b.resolve(within, host)
	if err == nil && len(found) > 0 {
		p.learn(found)
	}
	if ordered := p.order(); len(ordered) > 0 {
		return ordered, nil
	}
	if err == nil {
		err = fmt.Errorf("the name service knows no address")
	}
	return nil, fmt.Errorf("look up %s: %w", host, err)
}

func (p *place) learn(found []netip.Addr) {
	p.known = nil
	for _, a := range found {
		if a = a.Unmap(); !slices.Contains(p.known, a) {
			p.known = append(p.known, a)
		}
	}
	for a := range p.failed {
		if !slices.Contains(p.known, a) {
			delete(p.failed, a)
		}
	}
}

func (p *place) order() []netip.Addr {
	left := slices.Clone(p.known)
	slices.SortStableFunc(left, func(a, b netip.Addr) int { return p.failed[a] - p.failed[b] })
	var out []netip.Addr
	if p.good.IsValid() { // also when the name service has another opinion by now: it comes first, not alone
		out = append(out, p.good)
		left = slices.DeleteFunc(left, func(a netip.Addr) bool { return a == p.good })
	}
	for len(left) > 0 && len(out) < mostTried {
		i := 0
		if len(out) > 0 {
			last := out[len(out)-1].Is4()
			i = max(0, slices.IndexFunc(left, func(a netip.Addr) bool { return a.Is4() != last && p.failed[a] == p.failed[left[0]] }))
		}
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}

// worked notes that an address accepted a session.
func (b *book) worked(host string, a netip.Addr) {
	p := b.at(host)
	p.good = a
	delete(p.failed, a)
}

// failed notes that an address let a connection in and then was of no use, or let none in.
func (b *book) failed(host string, a netip.Addr) {
	p := b.at(host)
	p.failed[a]++
	if p.good == a {
		p.good = netip.Addr{}
	}
}
