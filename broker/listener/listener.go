// SPDX-License-Identifier: Apache-2.0

// Package listener opens what clients connect to, and tells who is at the other end: TCP, TLS, WebSockets over either,
// and Unix sockets. It does not know what is spoken.
//
// Accept returns what has connected and waits for none of its bytes. [Listener.Handshake] is what TLS and WebSockets need
// before anything can be said; it is called by whoever serves that one connection, so that a slow one delays nobody.
//
// Close and CloseWrite of the connections never wait for the peer, whatever another goroutine does with them.
package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Options are what listeners need beside their address.
type Options struct {
	Certificates *Certificates   // of tls and wss
	Origins      func() []string // of pages that may use ws and wss, besides those of this machine; nil: none
}

// Listener is a [net.Listener]. Its connections are ready for Handshake, not for use.
type Listener struct {
	net.Listener
	address Address
	opts    Options
	buffers sync.Pool // of who writes to a WebSocket
}

// Open listens on an address of [Parse]. The error tells the address and what to do; it wraps [ErrInUse] (E401).
func Open(ctx context.Context, addr string, opts Options) (*Listener, error) {
	a, err := Parse(addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if a.Secure() && opts.Certificates == nil {
		return nil, fmt.Errorf("listen on %s: %w: [broker.tls] names none (E411)", addr, ErrCertificate)
	}
	var nl net.Listener
	if a.Scheme == "unix" {
		nl, err = listenUnix(ctx, a.Path)
	} else {
		var lc net.ListenConfig
		nl, err = lc.Listen(ctx, "tcp", a.Host)
	}
	if err != nil {
		return nil, explain(addr, err)
	}
	if a.Host != "" {
		if _, port, err := net.SplitHostPort(nl.Addr().String()); err == nil {
			host, _, _ := net.SplitHostPort(a.Host) //nolint:errcheck // Parse has checked it
			a.Host = net.JoinHostPort(host, port)
		}
	}
	return &Listener{Listener: nl, address: a, opts: opts}, nil
}

// explain says what to do about an error of listening.
func explain(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, ErrInUse):
		return fmt.Errorf("listen on %s: %w by another program: stop it, or give [broker] listen another address (E401)", addr, ErrInUse)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("listen on %s: %w: use a port above 1023 or a directory of the gateway's own, or give it the right (E412)", addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: %w: this machine has no such address; \":PORT\" means all it has (E412)", addr, err)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("listen on %s: %w: make the directory first (E412)", addr, err)
	}
	return fmt.Errorf("listen on %s: %w (E412)", addr, err)
}

// String is the listener's address as the configuration has it, with the port that it got.
func (l *Listener) String() string { return l.address.String() }

// Accept is [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if u, ok := nc.(*net.UnixConn); ok {
		return newLocal(u), nil
	}
	return nc, nil
}

// Handshake makes what Accept has returned ready for use, by a moment, which stays the deadline of the connection. After
// an error the caller closes nc. What it returns has, as far as it is known, PeerCertificate or PeerUID.
func (l *Listener) Handshake(nc net.Conn, by time.Time) (net.Conn, error) {
	if err := nc.SetDeadline(by); err != nil {
		return nil, fmt.Errorf("set the deadline of a handshake: %w", err)
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok || !l.address.Secure() && !l.address.web() {
		return nc, nil
	}
	s := &socket{TCPConn: tcp}
	var c carrier = s
	if l.address.Secure() {
		t, err := secure(s, l.opts.Certificates)
		if err != nil {
			return nil, err
		}
		c = t
	}
	if l.address.web() {
		return l.upgrade(c, s)
	}
	return c, nil
}
