// SPDX-License-Identifier: Apache-2.0

package port

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"edged/bridge/port/capture"
)

// tapWaiting is how many pieces wait for who listens to a port; those beyond are lost to it, the port goes on.
const tapWaiting = 256

// taps are those who listen to what goes over ports that others use.
type taps struct {
	any atomic.Int64 // how many

	mu  sync.Mutex
	all map[chan capture.Piece]string // for whom the port was opened
}

// Tap lets the caller hear what goes over the port of that device or bus, from now on and over every opening of it,
// until stop is called. Who does not keep up misses pieces.
func (s *System) Tap(who string) (pieces <-chan capture.Piece, stop func()) {
	return s.taps.add(who)
}

func (t *taps) add(who string) (pieces <-chan capture.Piece, stop func()) {
	ch := make(chan capture.Piece, tapWaiting)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[chan capture.Piece]string{}
	}
	t.all[ch] = who
	t.any.Add(1)
	return ch, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, there := t.all[ch]; there {
			delete(t.all, ch)
			t.any.Add(-1)
		}
	}
}

// wrap lets what goes over a port be heard; it costs nothing while nobody listens.
func (t *taps) wrap(who string, p Port) Port {
	if who == "" {
		return p
	}
	return &tapped{p, t, who}
}

func (t *taps) tell(who string, sent bool, p []byte) {
	if t.any.Load() == 0 || len(p) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for ch, wanted := range t.all {
		if wanted != who {
			continue
		}
		select {
		case ch <- capture.Piece{At: time.Now(), Sent: sent, Bytes: bytes.Clone(p)}:
		default:
		}
	}
}

// tapped is a port to which others may listen.
type tapped struct {
	Port
	taps *taps
	who  string
}

// Read reads from the port.
func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Port.Read(p)
	t.taps.tell(t.who, false, p[:n])
	return n, err
}

// Write writes to the port.
func (t *tapped) Write(p []byte) (int, error) {
	n, err := t.Port.Write(p)
	t.taps.tell(t.who, true, p[:n])
	return n, err
}
