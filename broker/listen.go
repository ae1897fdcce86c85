// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"edged/broker/listener"
)

// Errors that Listen's wrap.
var (
	ErrAddressInUse = listener.ErrInUse       // another program has the address
	ErrCertificate  = listener.ErrCertificate // [broker.tls] names files that cannot be used
)

// Listen opens the listeners of the configuration, all or none, and accepts connections from now on, until the Run that
// is under way ends.
func (b *Broker) Listen(ctx context.Context) error {
	opts := listener.Options{Origins: func() []string { return *b.origins.Load() }}
	if b.cfg.secure() {
		m, err := b.cfg.TLS.files().Read()
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		opts.Certificates = listener.NewCertificates(m)
	}
	var all []*listener.Listener
	for _, addr := range b.cfg.Listen {
		l, err := listener.Open(ctx, addr, opts)
		if err != nil {
			for _, l := range all {
				err = errors.Join(err, l.Close())
			}
			return err
		}
		all = append(all, l)
	}
	b.mu.Lock()
	b.certificates = opts.Certificates
	b.listeners = append(b.listeners, all...)
	stopping := b.stopping
	b.mu.Unlock()
	if stopping {
		return errors.Join(errors.New("listen: the broker is stopping"), b.closeListeners())
	}
	for _, l := range all {
		b.workers.Go(func() { b.accept(ctx, l) })
	}
	return nil
}

// secure tells whether a listener shows a certificate.
func (c *Config) secure() bool {
	return slices.ContainsFunc(c.Listen, func(addr string) bool {
		a, err := listener.Parse(addr)
		return err == nil && a.Secure()
	})
}

func (t TLS) files() listener.Files {
	return listener.Files{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA}
}

// readCertificates reads the files of [broker.tls] again, if a listener shows what is in them and is to go on with it.
// Handshakes show it once use is called.
func (b *Broker) readCertificates(cfg Config) (use func(), err error) {
	b.mu.Lock()
	certs := b.certificates
	b.mu.Unlock()
	if certs == nil || !cfg.secure() {
		return func() {}, nil
	}
	m, err := cfg.TLS.files().Read()
	if err != nil {
		return nil, err
	}
	return func() { certs.Use(m) }, nil
}

func (b *Broker) closeListeners() (err error) {
	b.mu.Lock()
	all := b.listeners
	b.listeners = nil
	b.mu.Unlock()
	for _, l := range all {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Addrs are the addresses that are listened on, in the order of the configuration. [Broker.Status] tells them with schemes.
func (b *Broker) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []net.Addr
	for _, l := range b.listeners {
		all = append(all, l.Addr())
	}
	return all
}

// ErrStopping is what Dial returns once Run's context has ended.
var ErrStopping = errors.New("the broker is stopping")

// Dial gives a connection to the broker in memory. It enters through the same door as any other, with the rights of id,
// and its CONNECT must bear id's client identifier. Either side's writes wait when the other has not read 64 KiB.
func (b *Broker) Dial(id Identity) (net.Conn, error) {
	b.mu.Lock()
	stopping := b.stopping
	b.mu.Unlock()
	if stopping {
		return nil, fmt.Errorf("dial as %q: %w", id.ClientID, ErrStopping)
	}
	who := b.auth.Admit(id)
	b.router.Forget()
	ours, theirs := newPipe()
	c := newConn(b, ours, &who, nil)
	b.workers.Go(func() { b.serve(context.Background(), c) })
	return theirs, nil
}
