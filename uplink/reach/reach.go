// SPDX-License-Identifier: Apache-2.0

// Package reach opens a connection to the broker in the cloud, by whatever way leads there, and tells each step of it.
//
// The steps are: its name is looked up, TCP is opened to the first address that answers, a proxy is asked to lead on, TLS
// and WebSocket are spoken where the address says so. What comes out is a connection on which MQTT can be spoken.
package reach

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Config is how the broker is reached. Files are read anew at each connection, so that a renewed certificate needs no
// restart.
type Config struct {
	CA        string                 // PEM file; "": the system's authorities
	Cert, Key string                 // PEM files of our certificate; "": none
	ALPN      string                 // what TLS offers to speak; "": nothing
	Proxy     func() ([]byte, error) // the address of an HTTP proxy, read anew at each connection; nil: none
}

// Deps is what a Dialer needs from its surroundings. The zero value is the system's network and no log.
type Deps struct {
	Log   *slog.Logger
	Floor func() time.Time // a time that has certainly passed, for certificates; nil: none is known
	// Dial opens a TCP connection; nil: as the system does.
	Dial func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
	// Resolve looks up the addresses of a host; network is "ip4" or "ip6". nil: the system's resolver.
	Resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// ResolveSRV looks up the SRV records of _service._tcp.domain, in the order of RFC 2782. nil: the system's resolver.
	ResolveSRV func(ctx context.Context, service, domain string) ([]*net.SRV, error)
	// Shown is called when a server has shown its certificates, which were valid. It must not block. nil: nobody waits.
	Shown func()
	// Memory is a file that keeps over restarts where names led; "": none.
	Memory string
}

// Dialer opens connections to the broker. Open, Explain and what they return belong to one goroutine at a time.
type Dialer struct {
	cfg    Config
	deps   Deps
	log    *slog.Logger
	book   *book
	files  *files
	probes map[Target]*probed

	mu      sync.Mutex
	servers []Certificate // those that the server showed last
}

// New makes a dialer.
func New(cfg Config, deps Deps) *Dialer {
	d := &Dialer{cfg: cfg, deps: deps, log: deps.Log, files: &files{cfg: cfg}, probes: map[Target]*probed{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.deps.Dial == nil {
		d.deps.Dial = func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
		}
	}
	if d.deps.Resolve == nil {
		d.deps.Resolve = net.DefaultResolver.LookupNetIP
	}
	if d.deps.ResolveSRV == nil {
		d.deps.ResolveSRV = func(ctx context.Context, service, domain string) ([]*net.SRV, error) {
			_, found, err := net.DefaultResolver.LookupSRV(ctx, service, "tcp", domain)
			return found, err
		}
	}
	d.book = openBook(deps.Memory)
	return d
}

// Step is one thing that was done on the way to the broker.
type Step struct {
	Name string        // "resolve", "tcp", "proxy", "tls", "websocket", "mqtt", "round trip"
	Text string        // what came of it
	Took time.Duration // by the monotonic clock
	Err  error         // why it did not work, a [*Failure] where a user can do something; nil: it did
}

// Conn is a connection to the broker before MQTT is spoken on it.
type Conn struct {
	net.Conn          // what MQTT is spoken on
	Raw      net.Conn // the TCP connection beneath
	Target   Target

	dialer *Dialer
	place  endpoint // whom Raw leads to
	to     far      // the broker itself
	peek   *peek    // what came first
}

// Open connects to the target. Each step is told as it ends; told may be nil. The error is a [*Failure] where a user can
// do something.
func (d *Dialer) Open(ctx context.Context, t Target, told func(Step)) (*Conn, error) {
	o := &opening{Dialer: d, target: t, told: told}
	if d.cfg.Proxy != nil {
		var err error
		if o.proxy, err = d.proxy(); err != nil {
			return nil, o.step("proxy", time.Now(), "", err)
		}
	}
	c, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.climb(ctx, c); err != nil {
		c.Failed()
		return nil, errors.Join(err, closed(c.Raw))
	}
	return c, nil
}

// opening is one call of Open.
type opening struct {
	*Dialer
	target Target
	proxy  *proxy // nil: none
	told   func(Step)
}

// step tells of a step that began at that time, and returns its error.
func (o *opening) step(name string, began time.Time, text string, err error) error {
	if o.told != nil {
		o.told(Step{Name: name, Text: text, Took: time.Since(began), Err: err})
	}
	return err
}

// connect opens TCP, to the broker or to the proxy.
func (o *opening) connect(ctx context.Context) (*Conn, error) {
	began := time.Now()
	to, ends, err := o.find(ctx)
	if err != nil {
		return nil, o.step("resolve", began, "", err)
	}
	if !(len(ends) == 1 && ends[0].host == ends[0].addr.String()) { // else there was no name
		o.step("resolve", began, listed(ends), nil)
	}
	began = time.Now()
	raw, end, err := o.race(ctx, ends)
	if err != nil {
		return nil, o.step("tcp", began, "", o.unreached(err))
	}
	o.step("tcp", began, end.port().String(), nil)
	if o.proxy == nil {
		to = far{end.host, end.num}
	}
	p := &peek{Conn: raw}
	return &Conn{Conn: p, Raw: raw, peek: p, place: end, Target: o.target, dialer: o.Dialer, to: to}, nil
}

// climb speaks what is above TCP.
func (o *opening) climb(ctx context.Context, c *Conn) error {
	if o.proxy != nil {
		began := time.Now()
		err := o.proxy.lead(ctx, c)
		if err := o.step("proxy", began, o.proxy.address(), err); err != nil {
			return err
		}
	}
	if o.target.TLS() {
		began := time.Now()
		text, err := o.secure(ctx, c)
		if err != nil {
			err = o.Explain(ctx, c, err)
		}
		if err := o.step("tls", began, text, err); err != nil {
			return err
		}
	}
	if o.target.WebSocket() {
		began := time.Now()
		if err := o.step("websocket", began, o.target.Path, o.upgrade(ctx, c)); err != nil {
			return err
		}
	}
	return nil
}

// Worked notes that this connection came as far as a session.
func (c *Conn) Worked() {
	c.dialer.book.forgive(endpoint{host: c.to.host})
	if err := c.dialer.book.worked(c.place); err != nil {
		c.dialer.log.Debug("the addresses of the cloud are not kept", "err", err)
	}
}

// Failed notes that this connection was of no use: the address is tried after others then, or the host where a proxy
// leads there.
func (c *Conn) Failed() {
	if c.place.host != c.to.host {
		c.dialer.book.failed(endpoint{host: c.to.host})
		return
	}
	c.dialer.book.failed(c.place)
}

// closed closes c and says what went wrong doing it, if that matters to anybody.
func closed(c net.Conn) error {
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func listed(ends []endpoint) string {
	var b strings.Builder
	host := ""
	for _, e := range ends {
		switch {
		case e.host != host && host != "":
			b.WriteString("; " + e.host + ": ")
		case e.host != host:
			b.WriteString(e.host + ": ")
		default:
			b.WriteString(", ")
		}
		host = e.host
		b.WriteString(e.addr.String())
	}
	return b.String()
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
