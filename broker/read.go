// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

const (
	readMin = 2 << 10
	readMax = 32 << 10
)

// connectMax is the largest CONNECT, of which nobody knows yet whose it is: one with a field of 64 KiB.
const connectMax = 65 << 10

// maxAcks bounds the acknowledgements that may wait for the disk in one connection, maxAnswers the bytes of answers that
// the client does not read, of which there may be fewAnswers where memory is at its bound; then its reader waits.
const (
	maxAcks    = 4000
	maxAnswers = 64 << 10
	fewAnswers = 4 << 10
)

// limit is the largest packet that is taken.
func (c *conn) limit() int {
	if c.standing.Load() == nil {
		return min(connectMax, c.b.limits().Packet)
	}
	return c.b.limits().Packet
}

// read handles packets, first those in rest, until the connection ends, or until there is nothing left to do and the
// poller takes it over: then it is true.
func (c *conn) read(ctx context.Context, rest []byte) (polled bool) {
	buf := make([]byte, max(readMin, len(rest)))
	w, used := 0, 0
	for {
		n, err := copy(buf[w:], rest), error(nil)
		if rest = nil; n == 0 {
			n, err = c.receive(buf, w, used)
		}
		w += n
		if n > 0 {
			c.lastRead.Store(c.b.ticks())
		}
		preauth := c.standing.Load() == nil
		done, need, f := c.packets(ctx, buf[:w])
		used = done
		if preauth {
			c.grownUp()
		}
		c.received.Bytes += uint64(n)
		c.b.counters.Received(&c.received)
		if f == nil && err == nil {
			w = copy(buf, buf[used:w])
			c.began.Store(c.unfinished(w, used))
			buf, f = c.resize(ctx, buf, w, n, need)
		}
		if f != nil {
			c.refuse(f)
			return false
		}
		c.scratch.round.Flush()
		if err != nil {
			if preauth && errors.Is(err, os.ErrDeadlineExceeded) {
				c.b.counters.Hit(statistics.ConnectTimeout)
			}
			return false
		}
		if !c.listens(ctx) {
			return false
		}
		if w == 0 {
			if c.passTurn(); c.pollable(len(buf)) {
				return true
			}
		}
		if n >= readMin { // more may be there already: who says much lets the others have their turn
			runtime.Gosched()
		}
	}
}

// pollable hands a connection that has nothing left to do over to the poller, if that can have it.
func (c *conn) pollable(buf int) bool {
	if c.socket == nil || c.waited || c.bulky || c.standing.Load() == nil {
		return false
	}
	c.account(buf, readMin)
	if c.b.poller.add(c) {
		return true
	}
	c.account(readMin, buf)
	return false
}

// unfinished is since when the connection waits for the rest of a packet, when w bytes of it are there and used bytes of
// others were handled; 0 without one.
func (c *conn) unfinished(w, used int) int64 {
	began := c.began.Load()
	switch {
	case w == 0:
		return 0
	case used > 0 || began == 0:
		return c.b.ticks()
	}
	return began
}

// listens waits while the client reads none of the answers to what it says. It is false once the connection is closed.
func (c *conn) listens(ctx context.Context) bool {
	for c.deaf() {
		c.held.Store(true)
		select {
		case <-ctx.Done():
			return false
		case <-c.ackRoom:
			c.letGo()
		}
	}
	return true
}

func (c *conn) deaf() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && (c.answers > maxAnswers || c.answers > fewAnswers && !c.b.env.Memory.Fits(0) || len(c.acks) > 2*maxAcks)
}

// packets handles the whole packets in p and tells how many bytes they are, and how many the next has, if that is known.
func (c *conn) packets(ctx context.Context, p []byte) (used, need int, f *wire.Fault) {
	c.waited = false
	polled := c.scratch == &c.b.poller.scratch
	if len(p) > 0 && p[0]>>4 == wire.Publish && !polled {
		// What became readable at the same moment is handed to us in an order of its own. A client that subscribed just
		// before another publishes goes first.
		runtime.Gosched()
	}
	for used < len(p) {
		h, body, size, whole, f := wire.Frame(p[used:])
		c.bulky = c.bulky || max(size, whole) > pollBuffer/2
		switch {
		case f != nil:
			return used, 0, f
		case whole > c.limit():
			c.b.counters.Hit(statistics.Packet)
			if c.standing.Load() == nil {
				return used, 0, c.refuseLarge(p[used:])
			}
			return used, 0, &wire.Fault{Code: wire.TooLarge, Text: "packet too large"}
		case c.standing.Load() == nil && p[used]>>4 != wire.Connect:
			return used, 0, &wire.Fault{Code: wire.ProtocolError, Text: "the first packet is not CONNECT"}
		case size == 0, polled && c.mustWait(h, body):
			return used, whole, nil
		}
		c.received.Packets++
		if f := c.handle(ctx, h, body); f != nil {
			return used, 0, f
		}
		used += size
	}
	return used, 0, nil
}

// resize fits the read buffer to what comes: w bytes are in it, n came with the last read, need is the size of the
// packet that has begun. The buffer grows with what has come, never with what was only announced.
func (c *conn) resize(ctx context.Context, buf []byte, w, n, need int) ([]byte, *wire.Fault) {
	size := len(buf)
	switch {
	case w == len(buf):
		if size *= 2; c.standing.Load() != nil {
			size = max(size, readMax)
		}
		if need > 0 {
			size = min(size, need)
		}
	case w == 0 && n == len(buf) && len(buf) < readMax && c.budget().FitsPart(4*len(buf), session.Scarce):
		size = 4 * len(buf)
	case w == 0 && len(buf) > readMin && (n < len(buf)/16 || (n < len(buf) || len(buf) > readMax) && !c.budget().FitsPart(0, session.Plenty)):
		size = readMin
	}
	if size == len(buf) {
		return buf, nil
	}
	if size > len(buf) && w > 0 && !c.takes(ctx, size-len(buf)) {
		return buf, &wire.Fault{Code: wire.QuotaExceeded, Text: "no memory for the rest of CONNECT"}
	}
	c.account(len(buf), size)
	fresh := make([]byte, size)
	copy(fresh, buf[:w])
	return fresh, nil
}

// account counts the reader's buffer, which changes its size.
func (c *conn) account(from, to int) {
	c.buffered.Add(int32(to - from))
	if !c.inside {
		c.budget().Take(to - from)
	}
}

// grownUp moves what is accounted for a connection that has just finished CONNECT.
func (c *conn) grownUp() {
	if c.standing.Load() != nil && !c.inside {
		c.b.preauth.Take(-int(c.buffered.Load()))
		c.b.env.Memory.Take(int(c.buffered.Load()))
	}
}

// holdBriefly waits, before the session's record is written, while much waits for a disk that takes it. Who is to
// acknowledge must not be held up by a disk that takes nothing: it may be full until they have. But memory has its bound.
func (c *conn) holdBriefly(ctx context.Context) *wire.Fault {
	s := c.standing.Load()
	if s == nil || !s.Persistent() {
		return nil
	}
	for c.b.journal.Writable() && c.b.journal.Pending() > maxPending {
		c.scratch.round.Flush()
		t := time.NewTimer(holdAtMost)
		select {
		case <-ctx.Done():
			t.Stop()
			return goodbye()
		case <-c.b.commits.wait():
		case <-t.C:
		}
		t.Stop()
	}
	return c.heldBy(ctx, c.b.journal.WaitForMemory)
}

// maxPending is how much may wait for the disk before more records of sessions are written, holdAtMost how long one looks
// away.
const (
	maxPending = 1 << 20
	holdAtMost = 100 * time.Millisecond
)

func (c *conn) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acks) > maxAcks || c.answers > maxAnswers
}
