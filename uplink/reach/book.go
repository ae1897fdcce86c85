// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	mostTried = 8                // addresses in one try
	mostGood  = 4                // addresses of one name that are kept since they led to a session
	grudge    = 10 * time.Minute // for so long an address that failed comes after the others
)

// endpoint is where TCP may lead.
type endpoint struct {
	host string
	addr netip.Addr // of the host
	num  uint16     // the port
}

func (e endpoint) port() netip.AddrPort { return netip.AddrPortFrom(e.addr, e.num) }

// book remembers where names led, so that a link survives a name service that does not.
type book struct {
	file string // ""; it is kept nowhere

	mu       sync.Mutex
	kept     []byte // what is in the file
	hosts    map[string]*place
	services map[string][]service
}

// place is what is known about one host.
type place struct {
	Known  []netip.Addr `json:"known"` // what the name service said last
	Good   []netip.Addr `json:"good"`  // which carried a session, the last one first
	failed map[netip.Addr]failed
	used   bool // by this process
}

// service is one SRV record, as far as it is used.
type service struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

type failed struct {
	times int
	last  time.Time
}

// memory is the form of the file.
type memory struct {
	Hosts    map[string]*place    `json:"hosts"`
	Services map[string][]service `json:"services,omitempty"`
}

// openBook reads what an earlier run kept. A file that is damaged or missing is an empty one: it only saves time.
func openBook(file string) *book {
	b := &book{file: file, hosts: map[string]*place{}, services: map[string][]service{}}
	if file == "" {
		return b
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		return b
	}
	b.kept = kept
	hosts, services := readMemory(kept)
	for name, p := range hosts {
		b.hosts[name] = p
	}
	for name, s := range services {
		b.services[name] = s
	}
	return b
}

// readMemory takes from a file what can be used.
func readMemory(kept []byte) (map[string]*place, map[string][]service) {
	var m memory
	if err := json.Unmarshal(kept, &m); err != nil {
		return nil, nil
	}
	for name, p := range m.Hosts {
		if p == nil {
			delete(m.Hosts, name)
			continue
		}
		p.failed = map[netip.Addr]failed{}
		unusable := func(a netip.Addr) bool { return !a.IsValid() }
		p.Known = slices.DeleteFunc(p.Known[:min(len(p.Known), 64)], unusable)
		p.Good = slices.DeleteFunc(p.Good[:min(len(p.Good), mostGood)], unusable)
	}
	for name, found := range m.Services {
		m.Services[name] = slices.DeleteFunc(found, func(s service) bool { return s.Host == "" || s.Port == 0 })
	}
	return m.Hosts, m.Services
}

// at returns what is known about a host; b.mu is held.
func (b *book) at(host string) *place {
	p := b.hosts[host]
	if p == nil {
		p = &place{failed: map[netip.Addr]failed{}}
		b.hosts[host] = p
	}
	p.used = true
	return p
}

// knows says whether there is an address for a host without the name service.
func (b *book) knows(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.at(host)
	return len(p.Known)+len(p.Good) > 0
}

// learn notes the addresses of a host that the name service told, of one family or both.
func (b *book) learn(host string, found []netip.Addr, v4, v6 bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.at(host)
	known := []netip.Addr{}
	for _, a := range found {
		if a = a.Unmap(); !slices.Contains(known, a) {
			known = append(known, a)
		}
	}
	for _, a := range p.Known {
		if told := a.Is4() && v4 || a.Is6() && v6; !told && !slices.Contains(known, a) {
			known = append(known, a)
		}
	}
	slices.SortStableFunc(known, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() }) // IPv6 first (RFC 8305, 4)
	p.Known = known
}

// order returns the addresses of a host in the order to try them: the one that carried the last session, then what the
// name service says, then what carried one earlier; those that failed lately after the others; the families in turn.
func (b *book) order(host string) []netip.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.at(host)
	first := min(len(p.Good), 1)
	var left []netip.Addr
	for _, a := range slices.Concat(p.Good[:first], p.Known, p.Good[first:]) {
		if !slices.Contains(left, a) {
			left = append(left, a)
		}
	}
	now := time.Now()
	slices.SortStableFunc(left, func(x, y netip.Addr) int { return p.fails(x, now) - p.fails(y, now) })
	var out []netip.Addr
	for len(left) > 0 && len(out) < mostTried {
		i := 0
		if len(out) > 0 {
			last := out[len(out)-1].Is4()
			i = max(0, slices.IndexFunc(left, func(a netip.Addr) bool {
				return a.Is4() != last && p.fails(a, now) == p.fails(left[0], now)
			}))
		}
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}

// fails is how often an address failed lately.
func (p *place) fails(a netip.Addr, now time.Time) int {
	f := p.failed[a]
	if now.Sub(f.last) > grudge {
		return 0
	}
	return f.times
}

// last puts those endpoints that failed lately after the others.
func (b *book) last(ends []endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	slices.SortStableFunc(ends, func(x, y endpoint) int {
		return b.at(x.host).fails(x.addr, now) - b.at(y.host).fails(y.addr, now)
	})
}

// failed notes that an endpoint let a connection in and then was of no use, or let none in.
func (b *book) failed(e endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, now := b.at(e.host), time.Now()
	p.failed[e.addr] = failed{times: p.fails(e.addr, now) + 1, last: now}
	for a, f := range p.failed {
		if now.Sub(f.last) > grudge {
			delete(p.failed, a)
		}
	}
}

// forgive forgets that an endpoint failed.
func (b *book) forgive(e endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.at(e.host).failed, e.addr)
}

// worked notes that an endpoint carried a session, and keeps that.
func (b *book) worked(e endpoint) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.at(e.host)
	delete(p.failed, e.addr)
	p.Good = slices.DeleteFunc(p.Good, func(a netip.Addr) bool { return a == e.addr })
	p.Good = slices.Insert(p.Good, 0, e.addr)
	p.Good = p.Good[:min(len(p.Good), mostGood)]
	return b.keep()
}

// keep writes the file if it would be another; b.mu is held.
func (b *book) keep() error {
	if b.file == "" {
		return nil
	}
	m := memory{Hosts: map[string]*place{}, Services: b.services}
	for name, p := range b.hosts {
		if _, err := netip.ParseAddr(name); err != nil && p.used && len(p.Good) > 0 {
			m.Hosts[name] = p
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("keep the addresses of the cloud: %w", err)
	}
	if bytes.Equal(text, b.kept) || len(m.Hosts) == 0 {
		return nil
	}
	if err := replace(b.file, text); err != nil {
		return fmt.Errorf("keep the addresses of the cloud: %w", err)
	}
	b.kept = text
	return nil
}

// replace puts another content into a file, whole or not at all. It does not wait for the disk: what a power cut may take
// away is asked for again.
func replace(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// servicesOf returns the SRV records that are known.
func (b *book) servicesOf(name string) []service {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.services[name])
}

func (b *book) learnServices(name string, found []service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.services[name] = found
}
