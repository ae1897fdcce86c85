// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ErrAddressInUse is wrapped by the error of Listen when another program has the address.
var ErrAddressInUse = errors.New("the address is in use")

type listener = net.Listener

// Listen opens the listeners of the configuration, all or none, and accepts connections from now on, until the Run that
// is under way ends.
func (b *Broker) Listen(ctx context.Context) error {
	var all []listener
	for _, addr := range b.cfg.Listen {
		l, err := open(ctx, addr)
		if err != nil {
			for _, l := range all {
				err = errors.Join(err, l.Close())
			}
			return err
		}
		all = append(all, l)
	}
	b.mu.Lock()
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

func open(ctx context.Context, addr string) (listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: %w by another program: stop it, or give [broker] listen another port (E401)", addr, ErrAddressInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
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

// Addrs are the addresses that are listened on, in the order of the configuration.
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
	c := newConn(b, ours, &who)
	b.workers.Go(func() { b.serve(context.Background(), c) })
	return theirs, nil
}
