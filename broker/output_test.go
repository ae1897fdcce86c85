// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// Whoever flushes for a session that waits for memory does not try again and again until there is some.
func TestFlushDoesNotSpinWhileMemoryIsFull(t *testing.T) {
	b := opened(t)
	c, _ := pair(t, b)
	written := 0
	c.tryOut = func(p []byte) int {
		written += len(p)
		return len(p)
	}
	s := session.New(b.env, "c", "", 1, 0)
	c.standing.Store(s)
	full := int(b.limits().Memory/shareOfMemory)*session.Full/4 - alwaysOutput // a place in the queue, and no more
	b.env.Memory.Take(full)
	var r session.Round
	s.Lock()
	s.Attach(c, 10)
	m := &wire.Message{Topic: "t", Payload: make([]byte, 2*alwaysOutput)} // retained, so its queue has only its place
	s.Deliver(&r, &session.Copy{Message: m, Owned: m}, session.Owed{QoS: 1, Shared: true})
	s.Unlock()
	flush := func() {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Flush()
		}()
		if !within(5*time.Second, done) {
			b.env.Memory.Take(-full) // so that it ends
			<-done
			t.Fatal("it did not end while the memory was full")
		}
	}
	flush()
	if !c.starved() {
		t.Fatal("the session does not wait for memory")
	}
	b.env.Memory.Take(-full)
	flush()
	if c.starved() || written < 2*alwaysOutput {
		t.Errorf("%d bytes went out when there was memory again", written)
	}
}

// A peer that takes no byte for a minute is closed, counted, and holds nothing any more; one that takes some now and then
// is not.
func TestPeerThatTakesNothingIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t)
		c, theirs := pair(t, b)
		send := func() {
			var r session.Round
			c.send(&r, make([]byte, 1000))
			r.Flush()
		}
		hits := func() uint64 { return b.counters.Hits()[statistics.WriteStall.String()] }
		part := make([]byte, 1000)
		for range 5 {
			send()
			time.Sleep(writeStall - time.Second)
			if n, err := theirs.Read(part); n != len(part) || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			synctest.Wait()
		}
		send()
		send()
		time.Sleep(writeStall - time.Second)
		if synctest.Wait(); hits() != 0 || b.env.Memory.Used() == 0 {
			t.Errorf("after less than a minute: %d hits, %d bytes held", hits(), b.env.Memory.Used())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.closed || hits() != 1 || b.env.Memory.Used() != 0 {
			t.Errorf("after more than a minute: closed %v, %d hits, %d bytes held", c.closed, hits(), b.env.Memory.Used())
		}
	})
}
