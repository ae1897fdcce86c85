// SPDX-License-Identifier: Apache-2.0

package port

import (
	"os"
	"sync"
	"time"
)

// Peer is the device's side of a simulated wire. Its methods are not called at the same time.
type Peer interface {
	// Tick appends to out what the device sends by itself now, and says when to call it next; the zero time: only
	// after Receive.
	Tick(now time.Time, out []byte) ([]byte, time.Time)
	// Receive takes bytes that were written to the device and appends what it answers.
	Receive(p []byte, now time.Time, out []byte) []byte
}

// simBuffer is how many bytes the peer's side of the wire holds, as a tty would. What a peer sends beyond is lost.
const simBuffer = 4096

// sim is a wire with a peer at its end. The peer runs in Read and Write, so that nothing runs while nobody looks.
type sim struct {
	mu       sync.Mutex
	peer     Peer
	next     time.Time // when to tick; zero: not by itself
	buf      []byte    // sent by the peer, not read
	out      []byte    // the peer's scratch
	closed   bool
	deadline time.Time
	wake     chan struct{} // holds one: something changed that Read waits for
}

func newSim(p Peer) *sim {
	return &sim{peer: p, next: time.Now(), wake: make(chan struct{}, 1)}
}

// Read waits for the peer to speak.
func (s *sim) Read(p []byte) (int, error) {
	for {
		n, wait, err := s.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		var due <-chan time.Time
		if wait >= 0 {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-s.wake:
		}
	}
}

// take reads what is there, else says how long to wait; negative: until woken.
func (s *sim) take(p []byte) (n int, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, 0, os.ErrClosed
	}
	now := time.Now()
	if !s.next.IsZero() && !now.Before(s.next) {
		s.tick(now)
	}
	if len(s.buf) > 0 {
		n = copy(p, s.buf)
		s.buf = s.buf[n:]
		return n, 0, nil
	}
	if !s.deadline.IsZero() && !now.Before(s.deadline) {
		return 0, 0, os.ErrDeadlineExceeded
	}
	wait = -1
	for _, t := range []time.Time{s.next, s.deadline} {
		if d := t.Sub(now); !t.IsZero() && (wait < 0 || d < wait) {
			wait = max(d, 0)
		}
	}
	return 0, wait, nil
}

func (s *sim) tick(now time.Time) {
	s.out, s.next = s.peer.Tick(now, s.out[:0])
	s.keep()
}

func (s *sim) keep() {
	s.buf = append(s.buf, s.out[:min(len(s.out), simBuffer-len(s.buf))]...)
}

// Write gives the bytes to the peer, which takes them at once.
func (s *sim) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, os.ErrClosed
	}
	now := time.Now()
	s.out = s.peer.Receive(p, now, s.out[:0])
	s.keep()
	s.tick(now)
	s.stir()
	return len(p), nil
}

// Close ends a Read that waits.
func (s *sim) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.closed = true
	s.stir()
	return nil
}

// SetReadDeadline is for the Read that waits, too.
func (s *sim) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	s.stir()
	return nil
}

// SetWriteDeadline does nothing: no Write waits.
func (s *sim) SetWriteDeadline(time.Time) error { return nil }

func (s *sim) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
