// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// servedWithin is the promise to a good client: from its PUBLISH until the message is back.
const servedWithin = 250 * time.Millisecond

// probeEvery is how often a good client is tried.
const probeEvery = 10 * time.Millisecond

// span is a piece of time.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// witness is a good client that publishes to itself all the time, and an echo in the test's own process that tells how
// late this machine is by itself at the same time. The broker's process has to be woken as well, so twice that is no
// fault of the broker's.
type witness struct {
	mu     sync.Mutex
	trips  []span
	echoes []span
	failed error
}

// watch starts the good client. It is stopped at the end of the test, at which it must be alive.
func (e *target) watch(t *testing.T) *witness {
	t.Helper()
	w := &witness{}
	c := e.must(t, clean(4, "good"))
	if _, err := c.subscribe(1, 1, "good"); err != nil {
		t.Fatal(err)
	}
	near, far := echo(t)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { w.fail(ctx, w.serve(ctx, c)) })
	all.Go(func() { w.fail(ctx, w.compare(ctx, near)) })
	t.Cleanup(func() {
		cancel()
		c.drop()
		closed(t, near.Close())
		closed(t, far.Close())
		all.Wait()
	})
	return w
}

func (w *witness) fail(ctx context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() == nil && w.failed == nil {
		w.failed = err
	}
}

// serve publishes and receives, one message after the other.
func (w *witness) serve(ctx context.Context, c *client) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for n := uint16(1); ; n = max(n+1, 1) {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		from := time.Now()
		if err := c.publish("good", binary.BigEndian.AppendUint16(nil, n), 1, n, false); err != nil {
			return err
		}
		for back, acked := false, false; !back || !acked; {
			h, body, err := c.packet(patience)
			if err != nil {
				return err
			}
			switch h >> 4 {
			case wire.Publish: // topic "good", an identifier, n
				back = true
				w.add(&w.trips, from)
				if err := c.send(wire.AppendAck(nil, wire.Puback, binary.BigEndian.Uint16(body[6:]), 0, 4)); err != nil {
					return err
				}
			case wire.Puback:
				acked = true
			default:
				return errors.New("the good client got something strange")
			}
		}
	}
}

func (w *witness) add(list *[]span, from time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, span{from, time.Now()})
}

// echo is a connection whose other side sends back what comes.
func echo(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, l.Close()) }()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := io.Copy(far, far); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Log(err)
		}
	}()
	return near, far
}

func (w *witness) compare(ctx context.Context, nc net.Conn) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var b [1]byte
	for {
		from := time.Now()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := nc.Write(b[:]); err != nil {
			return err
		}
		if _, err := io.ReadFull(nc, b[:]); err != nil {
			return err
		}
		w.add(&w.echoes, from)
	}
}

// verdict is how the good client fared.
type verdict struct {
	trips       int
	worst, late time.Duration // the worst round trip, and the worst by which the broker was late
	failed      error
}

// take returns what was seen since the last call.
func (w *witness) take() verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := verdict{trips: len(w.trips), failed: w.failed}
	for _, s := range w.trips {
		v.worst = max(v.worst, s.length())
		v.late = max(v.late, s.length()-2*w.machine(s))
	}
	w.trips, w.echoes = nil, nil
	return v
}

// machine is by how much this machine was late by itself in that time.
func (w *witness) machine(s span) (late time.Duration) {
	for _, x := range w.echoes {
		if x.from.Before(s.to) && x.to.After(s.from) {
			late = max(late, x.length()-probeEvery)
		}
	}
	return late
}
