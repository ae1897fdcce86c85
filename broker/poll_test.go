// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"testing"
	"time"
)

// tcp gives a connection whose other end is the test's, which never says anything.
func tcp(t *testing.T, b *Broker) *conn {
	t.Helper()
	nc, _ := tcpPair(t)
	return newConn(b, nc, nil, nil)
}

func waitsFor(t *testing.T, what string, f func()) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		f()
	}()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// A connection that is closed while the poller takes it over is closed, and keeps nobody waiting.
func TestClosedWhileTakenOver(t *testing.T) {
	b := opened(t)
	for range 200 {
		c := tcp(t, b)
		var both sync.WaitGroup
		b.poller.mu.Lock() // so that add is under way when close comes
		adding := make(chan struct{})
		taken := false
		both.Go(func() {
			close(adding)
			taken = b.poller.add(c)
		})
		<-adding
		both.Go(c.close)
		b.poller.mu.Unlock()
		waitsFor(t, "taking a connection over that is closed", both.Wait)
		if !taken {
			b.part(t.Context(), c)
		}
	}
	if err := b.poller.close(); err != nil {
		t.Error(err)
	}
	waitsFor(t, "the poller", b.workers.Wait)
}

// A first client that comes while the broker stops is not watched, and nothing stays behind that waits for it.
func TestFirstTakenOverTooLate(t *testing.T) {
	b := opened(t)
	if err := b.poller.close(); err != nil {
		t.Error(err)
	}
	c := tcp(t, b)
	if b.poller.add(c) {
		t.Error("a poller that is over took a connection")
	}
	c.close()
	b.part(t.Context(), c)
	waitsFor(t, "the poller", b.workers.Wait)
}
