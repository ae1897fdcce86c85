// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how many bytes one side of a pipe may be ahead of the other's reading.
const pipeBuffer = 64 << 10

// newPipe returns the two ends of a connection in memory. Unlike those of net.Pipe they have a buffer each way, so that
// two sides that write at the same time do not wait for each other for ever.
func newPipe() (a, b *pipeEnd) {
	there, back := newStream(), newStream()
	return &pipeEnd{in: back, out: there}, &pipeEnd{in: there, out: back}
}

// stream is one direction of a pipe.
type stream struct {
	mu           sync.Mutex
	change       chan struct{} // closed and replaced at every change that somebody may wait for
	buf          []byte
	writerClosed bool
	readerClosed bool
}

func newStream() *stream { return &stream{change: make(chan struct{})} }

// changed wakes who waits. s.mu is held.
func (s *stream) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// pipeEnd is one end of a pipe, a [net.Conn].
type pipeEnd struct {
	in, out     *stream
	read, write deadline
}

// Read is [net.Conn].
func (p *pipeEnd) Read(b []byte) (n int, err error) {
	for {
		expired := p.read.expired()
		s := p.in
		s.mu.Lock()
		switch {
		case s.readerClosed:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case isClosed(expired):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0 || len(b) == 0:
			n = copy(b, s.buf)
			s.take(n)
			s.mu.Unlock()
			return n, nil
		case s.writerClosed:
			s.mu.Unlock()
			return 0, io.EOF
		}
		change := s.change
		s.mu.Unlock()
		select {
		case <-change:
		case <-expired:
		}
	}
}

// take removes the first n bytes. s.mu is held.
func (s *stream) take(n int) {
	if n == 0 {
		return
	}
	full := len(s.buf) >= pipeBuffer
	if s.buf = s.buf[:copy(s.buf, s.buf[n:])]; len(s.buf) == 0 && cap(s.buf) > keepSpare {
		s.buf = nil
	}
	if full {
		s.changed()
	}
}

// Write is [net.Conn].
func (p *pipeEnd) Write(b []byte) (n int, err error) {
	for {
		expired := p.write.expired()
		s := p.out
		s.mu.Lock()
		switch {
		case s.writerClosed:
			s.mu.Unlock()
			return n, net.ErrClosed
		case s.readerClosed:
			s.mu.Unlock()
			return n, io.ErrClosedPipe
		case isClosed(expired):
			s.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		}
		k := s.put(b)
		n, b = n+k, b[k:]
		change := s.change
		s.mu.Unlock()
		if len(b) == 0 {
			return n, nil
		}
		select {
		case <-change:
		case <-expired:
		}
	}
}

// TryWrite writes what fits at once.
func (p *pipeEnd) TryWrite(b []byte) int {
	s := p.out
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writerClosed || s.readerClosed {
		return 0
	}
	return s.put(b)
}

// put appends what fits. s.mu is held.
func (s *stream) put(b []byte) int {
	k := min(len(b), pipeBuffer-len(s.buf))
	if k > 0 {
		empty := len(s.buf) == 0
		s.buf = append(s.buf, b[:k]...)
		if empty {
			s.changed()
		}
	}
	return max(k, 0)
}

// Close is [net.Conn]. What was written before can still be read by the other side.
func (p *pipeEnd) Close() error {
	p.out.mu.Lock()
	if !p.out.writerClosed {
		p.out.writerClosed = true
		p.out.changed()
	}
	p.out.mu.Unlock()
	p.in.mu.Lock()
	if !p.in.readerClosed {
		p.in.readerClosed, p.in.buf = true, nil
		p.in.changed()
	}
	p.in.mu.Unlock()
	p.read.set(time.Time{})
	p.write.set(time.Time{})
	return nil
}

// CloseRead ends the input after what is in the buffer.
func (p *pipeEnd) CloseRead() error {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	if !p.in.writerClosed {
		p.in.writerClosed = true
		p.in.changed()
	}
	return nil
}

// inMemory is the address of both ends of a pipe.
type inMemory struct{}

func (inMemory) Network() string { return "memory" }
func (inMemory) String() string  { return "in-memory" }

// LocalAddr is [net.Conn].
func (p *pipeEnd) LocalAddr() net.Addr { return inMemory{} }

// RemoteAddr is [net.Conn].
func (p *pipeEnd) RemoteAddr() net.Addr { return inMemory{} }

// SetDeadline is [net.Conn].
func (p *pipeEnd) SetDeadline(t time.Time) error {
	p.read.set(t)
	p.write.set(t)
	return nil
}

// SetReadDeadline is [net.Conn].
func (p *pipeEnd) SetReadDeadline(t time.Time) error {
	p.read.set(t)
	return nil
}

// SetWriteDeadline is [net.Conn].
func (p *pipeEnd) SetWriteDeadline(t time.Time) error {
	p.write.set(t)
	return nil
}

// deadline is a channel that is closed when the time has come. Setting another also wakes who waits for the old one.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{} // nil: never
}

func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.done == nil || isClosed(d.done) {
		d.done = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		close(d.done)
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // else another deadline was set meanwhile
			close(d.done)
			d.timer = nil
		}
	})
	d.timer = timer
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
