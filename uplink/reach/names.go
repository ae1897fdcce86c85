// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	resolveTime = 5 * time.Second       // for the name service, when no address is known
	refreshTime = 2 * time.Second       // for it, when one is: a broken name service must not keep us from a cloud that we know
	otherFamily = 50 * time.Millisecond // the second of A and AAAA is waited for after the first (RFC 8305, 3)
	mostHosts   = 4                     // that SRV records name, in one try
)

// far is the broker as its proxy is told about it, and as its certificate names it.
type far struct {
	host string
	port uint16
}

// find tells where TCP may lead: to the proxy, to the target, or to the hosts that SRV records name. to is the broker
// itself where the way leads through a proxy.
func (o *opening) find(ctx context.Context) (to far, ends []endpoint, err error) {
	hosts := []service{{o.target.Host, o.target.Port}}
	if o.target.SRV() {
		if hosts, err = o.services(ctx); err != nil {
			return to, nil, err
		}
	}
	if o.proxy == nil {
		ends, err = o.lookAll(ctx, hosts)
		return to, ends, err
	}
	// The proxy finds the broker's address; of several hosts each has its turn.
	candidates := make([]endpoint, len(hosts))
	for i, h := range hosts {
		candidates[i] = endpoint{host: h.Host, num: h.Port}
	}
	o.book.last(candidates)
	ends, err = o.lookAll(ctx, []service{{o.proxy.host, o.proxy.port}})
	return far{candidates[0].host, candidates[0].num}, ends, err
}

// services asks for the SRV records of the target, in the order of RFC 2782: by priority, at random by weight. When the
// name service does not answer, they are those that were known.
func (o *opening) services(ctx context.Context) ([]service, error) {
	name := "_" + o.target.service() + "._tcp." + o.target.Host
	known := o.book.servicesOf(name)
	ctx, cancel := context.WithTimeout(ctx, limit(len(known) > 0))
	defer cancel()
	records, err := o.deps.ResolveSRV(ctx, o.target.service(), o.target.Host)
	var found []service
	for _, r := range records {
		host := strings.TrimSuffix(r.Target, ".")
		if host != "" && r.Port != 0 && len(found) < mostHosts {
			found = append(found, service{host, r.Port})
		}
	}
	switch {
	case len(found) > 0:
		o.book.learnServices(name, found)
		return found, nil
	case err == nil && len(records) > 0: // "." stands for: not here (RFC 2782)
		return nil, &Failure{"E306", fmt.Sprintf("%s says by its SRV records %s that it has no such broker; ask whoever runs it for the address", o.target.Host, name), nil}
	case len(known) > 0:
		return known, nil
	}
	return nil, unknown("the SRV records "+name, err)
}

func limit(known bool) time.Duration {
	if known {
		return refreshTime
	}
	return resolveTime
}

// lookAll looks all hosts up at once and returns their addresses in the order of the hosts. The error is that of the first
// where no host has an address.
func (o *opening) lookAll(ctx context.Context, hosts []service) ([]endpoint, error) {
	ends := make([][]endpoint, len(hosts))
	faults := make([]error, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() {
			var addrs []netip.Addr
			addrs, faults[i] = o.look(ctx, h.Host)
			for _, a := range addrs {
				ends[i] = append(ends[i], endpoint{h.Host, a, h.Port})
			}
		})
	}
	all.Wait()
	var out []endpoint
	for i := range ends {
		out = append(out, ends[i]...)
	}
	if len(out) == 0 {
		return nil, faults[0]
	}
	if len(hosts) > 1 {
		o.book.last(out)
	}
	return out[:min(len(out), mostTried)], nil
}

// look returns the addresses of a host in the order to try them. When the name service fails or answers nothing, they are
// those that were known.
func (d *Dialer) look(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	err := d.ask(ctx, host)
	if ordered := d.book.order(host); len(ordered) > 0 {
		if err != nil {
			d.log.Debug("the name service does not help; addresses that were known are tried", "host", host, "err", err)
		}
		return ordered, nil
	}
	return nil, unknown(host, err)
}

// answer is what the name service said about one family of addresses.
type answer struct {
	found []netip.Addr
	v4    bool
	err   error
}

// ask asks the name service for both families of addresses at once. The second answer is waited for only a little once
// there is one: some name services never give it.
func (d *Dialer) ask(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, limit(d.book.knows(host)))
	answers := make(chan answer, 2) // never full: each family answers once
	var asking sync.WaitGroup
	for _, v4 := range []bool{false, true} {
		asking.Go(func() {
			network := "ip6"
			if v4 {
				network = "ip4"
			}
			found, err := d.deps.Resolve(ctx, network, host)
			answers <- answer{found, v4, err}
		})
	}
	defer asking.Wait()
	defer cancel()
	var faults []error
	enough := time.NewTimer(resolveTime + time.Second) // beyond the context's
	defer enough.Stop()
	for range 2 {
		select {
		case a := <-answers:
			none := notFound(a.err)
			if a.err == nil || none {
				d.book.learn(host, a.found, a.v4, !a.v4)
			}
			if a.err != nil {
				faults = append(faults, a.err)
			}
			if len(a.found) > 0 {
				enough.Reset(otherFamily)
			}
		case <-enough.C:
			return nil
		}
	}
	if len(faults) < 2 {
		return nil
	}
	if notFound(faults[0]) {
		return faults[1]
	}
	return faults[0]
}

// notFound says whether the name service answered that there is nothing.
func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// unknown is the failure to look something up.
func unknown(what string, err error) *Failure {
	var dns *net.DNSError
	switch {
	case err == nil || notFound(err):
		return &Failure{"E306", fmt.Sprintf("the name service knows no address of %s; check the name in uplink.url", what), err}
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &dns) && dns.IsTimeout:
		return &Failure{"E306", fmt.Sprintf("the name service did not answer when asked for %s; check the network's DNS (/etc/resolv.conf)", what), err}
	}
	return &Failure{"E306", fmt.Sprintf("the name service failed when asked for %s; check the network's DNS (/etc/resolv.conf)", what), err}
}
