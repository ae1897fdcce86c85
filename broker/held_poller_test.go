// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"testing"
	"time"

	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// Whoever was made to wait is not closed for what it could not say meanwhile, at the moment at which it is read from again.
func TestWhoIsLetGoHasItsTimeAgain(t *testing.T) {
	b := opened(t)
	c, _ := pair(t, b)
	c.admitted, c.keepAlive = true, time.Hour
	b.conns[c] = struct{}{}
	ended := func() bool {
		b.sweepConns(0)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.closed
	}
	silent := func() {
		c.lastRead.Store(b.ticks() - int64(2*time.Hour))
		c.unsent.Store(int32(idleLooks))
	}
	silent()
	f := c.heldBy(t.Context(), func(context.Context) error {
		if !c.held.Load() || ended() {
			t.Error("it was closed while it was held")
		}
		return nil
	})
	if f != nil || c.held.Load() || c.unsent.Load() != 0 || ended() {
		t.Errorf("let go: %v, held %v, %d looks, ended %v", f, c.held.Load(), c.unsent.Load(), ended())
	}
	if silent(); !ended() {
		t.Error("one that says nothing for two hours is not closed")
	}
}

// The goroutine that reads for many clients is not held by a disk that takes no more from one moment to the next, after it
// was asked.
func TestPollerIsNeverHeld(t *testing.T) {
	disk := journaltest.New()
	disk.SetLimit(1) // full from the start, so that the journal is crowded
	b, err := Open(Defaults(), "state", nil, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if !b.journal.Crowded() {
		t.Fatal("a journal without room is not crowded")
	}
	c := &conn{b: b, scratch: &b.poller.scratch}
	publish := wire.AppendPublish(nil, &wire.Message{Topic: "t"}, 4, 1, 1, false, true, nil, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if f := c.hold(ctx, nil, publish[0], publish[2:]); f != nil {
		t.Errorf("the poller was held: %v", f)
	}
	c.scratch = &publication{}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f := c.hold(ctx, nil, publish[0], publish[2:]); f == nil {
		t.Error("a reader of its own was not held")
	}
}
