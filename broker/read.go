// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"edged/broker/statistics"
	"edged/mqtt/wire"
)

const (
	readMin = 2 << 10
	readMax = 32 << 10
)

// connectMax is the largest CONNECT: a will of 64 KiB with its names fits.
const connectMax = 96 << 10

// maxAcks bounds the acknowledgements that may wait in one connection; then its reader waits.
const maxAcks = 10000

// limit is the largest packet that is taken.
func (c *conn) limit() int {
	if c.standing.Load() == nil {
		return min(connectMax, c.b.limits().Packet)
	}
	return c.b.limits().Packet
}

// read handles packets until the connection ends.
func (c *conn) read(ctx context.Context) {
	buf := make([]byte, readMin)
	w := 0
	for {
		n, err := c.nc.Read(buf[w:])
		w += n
		if n > 0 {
			c.lastRead.Store(time.Now().UnixNano())
		}
		used, need, f := c.packets(ctx, buf[:w])
		c.received.Bytes += uint64(n)
		c.b.counters.Received(&c.received)
		if f != nil {
			c.refuse(f)
			return
		}
		c.scratch.round.Flush()
		if err != nil {
			if c.standing.Load() == nil && errors.Is(err, os.ErrDeadlineExceeded) {
				c.b.counters.Hit(statistics.ConnectTimeout)
			}
			return
		}
		w = copy(buf, buf[used:w])
		buf = resize(buf, w, n, need)
	}
}

// packets handles the whole packets in p and tells how many bytes they are, and how many the next has, if that is known.
func (c *conn) packets(ctx context.Context, p []byte) (used, need int, f *wire.Fault) {
	c.waited = false
	if len(p) > 0 && p[0]>>4 == wire.Publish {
		// What became readable at the same moment is handed to us in an order of its own. A client that subscribed just
		// before another publishes goes first.
		runtime.Gosched()
	}
	for used < len(p) {
		h, body, size, whole, f := wire.Frame(p[used:])
		switch {
		case f != nil:
			return used, 0, f
		case whole > c.limit():
			c.b.counters.Hit(statistics.Packet)
			return used, 0, &wire.Fault{Code: wire.TooLarge, Text: "packet too large"}
		case c.standing.Load() == nil && p[used]>>4 != wire.Connect:
			return used, 0, &wire.Fault{Code: wire.ProtocolError, Text: "the first packet is not CONNECT"}
		case size == 0:
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
// packet that has begun.
func resize(buf []byte, w, n, need int) []byte {
	switch {
	case need > len(buf):
		fresh := make([]byte, need)
		copy(fresh, buf[:w])
		return fresh
	case w == 0 && n == len(buf) && len(buf) < readMax:
		return make([]byte, 4*len(buf))
	case w == 0 && len(buf) > readMax, w == 0 && len(buf) > readMin && n < len(buf)/16:
		return make([]byte, readMin)
	case w == len(buf):
		return append(buf, make([]byte, len(buf))...)
	}
	return buf
}

// hold waits, before a QoS 1 or 2 message is handled, while the journal takes no more, or too many acknowledgements wait.
// What was made so far goes out first. It waits once per read.
func (c *conn) hold(ctx context.Context) *wire.Fault {
	if c.waited {
		return nil
	}
	c.waited = true
	c.scratch.round.Flush()
	c.held.Store(true)
	defer c.held.Store(false)
	if err := c.b.journal.Wait(ctx); err != nil {
		return goodbye()
	}
	for c.crowded() {
		select {
		case <-ctx.Done():
			return goodbye()
		case <-c.ackRoom:
		}
	}
	return nil
}

func (c *conn) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acks) > maxAcks
}
