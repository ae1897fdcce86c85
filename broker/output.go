// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"os"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
)

// keepSpare is the largest output buffer that an idle connection keeps.
const keepSpare = 4 << 10

// writeStall is how long a peer may leave the output standing.
const writeStall = 60 * time.Second

// Flush writes the output as far as the peer takes it at once; the rest goes to a goroutine.
func (c *conn) Flush() {
	for c.write() && c.refill() {
	}
}

// refill lets the session put more into the output, which the caller then writes. It is false where there is nothing to
// write, as where the session has to wait for memory: then it is the sweep that looks again.
func (c *conn) refill() (more bool) {
	var r session.Round
	c.pump(&r) // adds none but c to the round
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > 0
}

// write is true when everything went out and the session has more.
func (c *conn) write() (more bool) {
	c.mu.Lock()
	c.dirty = false
	if c.writing || c.closed {
		c.mu.Unlock()
		return false
	}
	c.writing = true
	for {
		buf := c.next()
		if buf == nil {
			more, c.more = c.more && !c.closed, false
			c.mu.Unlock()
			return more
		}
		c.mu.Unlock()
		n := 0
		if c.tryOut != nil {
			n = c.tryOut(buf)
		}
		if n < len(buf) {
			c.b.workers.Go(func() { c.b.contain("a writer", func() { c.drain(buf, n) }) })
			return false
		}
		c.mu.Lock()
		c.reuse(buf)
	}
}

// next takes the output to be written. Without any it ends the writing, and is nil. c.mu is held.
func (c *conn) next() []byte {
	if buf := c.out; len(buf) > 0 {
		c.out, c.spare = c.spare[:0], nil
		if c.answers > fewAnswers {
			select {
			case c.ackRoom <- struct{}{}:
			default:
			}
		}
		c.answers = 0
		c.sent.Bytes = uint64(len(buf))
		c.b.counters.Sent(&c.sent)
		return buf
	}
	c.writing = false
	if c.closing {
		c.endOutput()
	}
	return nil
}

// reuse takes back a buffer that is written. c.mu is held.
func (c *conn) reuse(buf []byte) {
	c.b.env.Memory.Take(-len(buf))
	if cap(buf) <= keepSpare || len(c.out) > 0 && cap(buf) <= 2*leastOutput {
		c.spare = buf[:0]
	}
}

// drain writes the output while the peer is slow; it ends when all is written or the connection is closed.
func (c *conn) drain(buf []byte, from int) {
	for {
		err := c.put(buf[from:])
		c.mu.Lock()
		c.reuse(buf)
		c.draining = 0
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.b.counters.Hit(statistics.WriteStall)
			}
			c.writing = false
			c.shut()
			c.mu.Unlock()
			return
		}
		if len(c.out) == 0 && c.more {
			c.more = false
			c.mu.Unlock()
			c.refill()
			c.mu.Lock()
			c.dirty = false
		}
		if buf, from = c.next(), 0; buf == nil {
			if !c.closed {
				if err := c.nc.SetWriteDeadline(time.Time{}); err != nil {
					c.shut()
				}
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// pieceOut is what is written at a time to a slow peer: whoever takes so much is not stalled, and not idle.
const pieceOut = 16 << 10

// put writes p and waits for the peer to take it.
func (c *conn) put(p []byte) error {
	for ; len(p) > 0; p = p[min(pieceOut, len(p)):] {
		if err := c.allowWrite(len(p)); err != nil {
			return err
		}
		if _, err := c.nc.Write(p[:min(pieceOut, len(p))]); err != nil {
			return err
		}
	}
	return nil
}

// allowWrite sets the deadline of a write, when so many bytes are left of the output.
func (c *conn) allowWrite(left int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining, c.untaken = left, 0
	if c.closing {
		return c.nc.SetWriteDeadline(time.Now().Add(lastWords))
	}
	return c.nc.SetWriteDeadline(time.Now().Add(writeStall))
}
