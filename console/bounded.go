// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net"
	"sync"
)

// bounded is a listener that accepts no connection while as many are open as there are places. Those that come meanwhile
// wait in the kernel, which refuses them once its queue is full.
type bounded struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept is [net.Listener].
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	nc, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &placed{Conn: nc, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// Close is [net.Listener].
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// placed is a connection that gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close is [net.Conn].
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}
