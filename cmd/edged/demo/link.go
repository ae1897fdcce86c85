// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
)

// link is the way between the gateway and the pretend cloud: a TCP relay that can be cut, as a modem that loses its
// network, and mended.
type link struct {
	log    *slog.Logger
	to     string
	listen net.Listener

	mu    sync.Mutex
	up    bool
	conns map[net.Conn]struct{}
	pipes sync.WaitGroup
}

// newLink makes a relay to an address, up, on a free port of loopback.
func newLink(to string, log *slog.Logger) (*link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the link to the pretend cloud: %w", err)
	}
	return &link{log: log, to: to, listen: l, up: true, conns: map[net.Conn]struct{}{}}, nil
}

// address is where the gateway finds the cloud.
func (l *link) address() string { return l.listen.Addr().String() }

// run relays until ctx ends.
func (l *link) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { l.close(l.listen); l.cut() })
	defer stop()
	for {
		c, err := l.listen.Accept()
		if err != nil {
			l.pipes.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on the link: %w", err)
		}
		l.pipes.Go(func() { l.relay(ctx, c) })
	}
}

// relay carries one connection both ways.
func (l *link) relay(ctx context.Context, c net.Conn) {
	defer l.close(c)
	if !l.keep(c) {
		return
	}
	defer l.forget(c)
	var d net.Dialer
	cloud, err := d.DialContext(ctx, "tcp", l.to)
	if err != nil {
		l.log.Debug("the pretend cloud doesn't answer", "err", err)
		return
	}
	defer l.close(cloud)
	if !l.keep(cloud) {
		return
	}
	defer l.forget(cloud)
	var both sync.WaitGroup
	both.Go(func() { l.copy(cloud, c) })
	both.Go(func() { l.copy(c, cloud) })
	both.Wait()
}

func (l *link) copy(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
		l.log.Debug("relay", "err", err)
	}
	l.close(to)
	l.close(from)
}

func (l *link) close(c io.Closer) {
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		l.log.Debug("close", "err", err)
	}
}

// keep notes a connection that a cut has to end; false while the link is cut.
func (l *link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		l.conns[c] = struct{}{}
	}
	return l.up
}

func (l *link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// cut ends every connection and lets none through until mend.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = false
	for c := range l.conns {
		l.close(c)
	}
}

// mend lets connections through.
func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = true
}
