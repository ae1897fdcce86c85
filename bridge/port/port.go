// SPDX-License-Identifier: Apache-2.0

// Package port is where the bytes of a device come from and go to: a UART, a TCP address, a program, a capture or a
// simulator, opened by the name that the configuration gives.
//
// A port keeps no bytes of its own: what nobody reads waits in the kernel's buffer.
package port

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Port is an open port. Read and Write return an error that wraps os.ErrDeadlineExceeded at a deadline, os.ErrClosed
// or net.ErrClosed after Close, and any other, io.EOF among them, when the port is gone. Close unblocks both and waits
// for no peer.
type Port interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Request says which port to open.
type Request struct {
	Name  string      // /dev/…, usb:VID:PID[:SERIAL][@PORT-PATH], tcp://HOST:PORT, exec:COMMAND, replay:FILE or sim
	Mode  Mode        // of a UART
	RS485 RS485       // how a UART's line is turned round; "": it is not
	Peer  func() Peer // makes the far end of "sim"; nil: there is none
	For   string      // the device or bus that opens it, by which Tap finds it
}

// openTimeout is how long opening a port may take: a driver in the kernel can hang for ever.
const openTimeout = 5 * time.Second

// System opens ports on this machine. It must be made by New.
type System struct {
	root string // of sysfs, /proc and /dev
	log  *slog.Logger
	open func(name string, m Mode) (Port, error) // a UART by its path

	drivers drivers // of ttys

	mu      sync.Mutex
	hanging map[string]bool // paths of which an open has not come back
	changed chan struct{}   // closed at the next event

	taps taps
}

// New returns the machine's ports. root is put before the paths of sysfs and /proc, "" on a real system.
func New(root string, log *slog.Logger) *System {
	s := &System{root: root, log: log, hanging: map[string]bool{}, changed: make(chan struct{}), drivers: kernel{}}
	s.open = s.openUART
	return s
}

// Open opens a port. It waits at most some seconds, whatever the port does. An error is an [*Error] unless ctx ended.
func (s *System) Open(ctx context.Context, r Request) (Port, error) {
	if err := CheckName(r.Name); err != nil {
		return nil, &Error{Code: Missing, Port: r.Name, Text: err.Error()}
	}
	p, err := s.openNamed(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.taps.wrap(r.For, p), nil
}

// openNamed opens what the name means.
func (s *System) openNamed(ctx context.Context, r Request) (Port, error) {
	if r.Name == Sim {
		if r.Peer == nil {
			return nil, &Error{Code: Missing, Port: r.Name, Text: "this driver has no simulator", Do: "name a real port"}
		}
		return newSim(r.Peer()), nil
	}
	if address, ok := strings.CutPrefix(r.Name, tcpScheme); ok {
		return dialTCP(ctx, r.Name, address)
	}
	if command, ok := strings.CutPrefix(r.Name, execScheme); ok {
		return s.start(r.Name, command, r.For)
	}
	if file, ok := strings.CutPrefix(r.Name, replayScheme); ok {
		return replay(r.Name, file)
	}
	path := r.Name
	if strings.HasPrefix(path, usbScheme) {
		var err error
		if path, err = s.findUSB(r.Name); err != nil {
			return nil, err
		}
	}
	p, err := s.openBounded(ctx, r.Name, path, r.Mode)
	u, isUART := p.(*uart)
	if err != nil || !isUART {
		return p, err
	}
	turned, err := turnRound(s.drivers, u, r, s.onUSB(path))
	if err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return turned, nil
}

// openBounded opens a UART without waiting for one that hangs: that one is closed when it comes back, and not tried
// again before.
func (s *System) openBounded(ctx context.Context, name, path string, m Mode) (Port, error) {
	type opened struct {
		port Port
		err  error
	}
	s.mu.Lock()
	if s.hanging[path] {
		s.mu.Unlock()
		return nil, hangs(name, nil)
	}
	s.hanging[path] = true
	s.mu.Unlock()
	result := make(chan opened) // unbuffered: a port is handed over or stays the goroutine's
	waited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	go func() {
		p, err := s.open(path, m)
		s.mu.Lock()
		delete(s.hanging, path)
		s.mu.Unlock()
		select {
		case result <- opened{p, err}:
		case <-waited.Done():
			if p == nil {
				return
			}
			if err := p.Close(); err != nil {
				s.log.Debug("closing a port that came too late", "port", name, "err", err)
			}
		}
	}()
	select {
	case o := <-result:
		if o.err != nil {
			return nil, named(o.err, name)
		}
		return o.port, nil
	case <-waited.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, hangs(name, waited.Err())
	}
}
