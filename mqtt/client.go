// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"net"
	"time"

	"edged/mqtt/wire"
)

// outMax is how many bytes may wait to be written, besides those that are being written, until publishers and the reading
// of what must be answered wait too. One message may go beyond.
const outMax = 64 << 10

// lastWords is how long an orderly end may take, and how long the reason of a broken one is looked for.
const lastWords = time.Second

// Client is one connection. Its methods may be called by several goroutines.
//
// Two goroutines serve it, one reads and one writes, so that neither waits for the other even when nc has no buffer.
// Both end when the connection ends.
type Client struct {
	nc      net.Conn
	s       *Session
	cfg     Config
	ack     Connack
	window  int
	in      *inbox  // of the reader
	aliases aliases // under the session's lock

	settled *Pending // for every QoS 0

	turn    chan struct{} // holds one: who may publish; those who wait get it in order of their calls
	room    chan struct{} // for the holder of turn: an acknowledgement came, or bytes were written
	drained chan struct{} // for the reader: bytes were written
	wake    chan struct{} // for the writer: there is something to write, or c.ping
	ended   chan struct{} // closed once err is set
	flushed chan struct{} // leaving: closed when all is written
	written chan struct{} // closed when the writer has ended
	done    chan struct{} // closed when all has ended

	// Under the session's lock.
	err      error
	lastErr  error  // leaving: why
	failed   error  // writing: why it ended
	allOut   bool   // flushed is closed
	out      []byte // to be written
	onWire   int    // how many of s.out are on the wire: its first ones
	requests map[uint16]*request
	lastReq  uint16
	inbound  map[uint16]byte // deliveries that we have not acknowledged to the end, by identifier: their QoS
	ping     bool            // a PINGREQ is wanted
	pingAt   time.Time       // of the unanswered PINGREQ, zero: none
	lastAck  time.Time       // when the server last acknowledged anything
	lastSent time.Time
	trip     time.Duration // smoothed round trip, 0: none yet
}

// Progress is what a client has lately heard from its server.
type Progress struct {
	Outstanding   int           // publishes on the wire without acknowledgement
	OldestUnacked time.Time     // when the longest waiting of them, or PINGREQ, was put on the wire; zero: none waits
	LastAck       time.Time     // when the server last acknowledged anything, CONNECT at first
	RoundTrip     time.Duration // from packet to acknowledgement, smoothed; 0: none yet
}

// Progress returns how the connection is getting on.
func (c *Client) Progress() Progress {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p := Progress{Outstanding: c.onWire, OldestUnacked: c.pingAt, LastAck: c.lastAck, RoundTrip: c.trip}
	if c.err != nil {
		return p
	}
	for _, o := range c.s.out[:c.onWire] {
		if o.stage != received && (p.OldestUnacked.IsZero() || o.at.Before(p.OldestUnacked)) {
			p.OldestUnacked = o.at
		}
	}
	return p
}

// Done is closed when the connection has ended and nothing of the client runs any more.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lives, then why it ended: [ErrClosed] if we ended it, a [ReasonError] if the
// server said why, what wraps [ErrNoAnswer] if it fell silent.
func (c *Client) Err() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.err
}

// Ping asks for a PINGREQ now, to see whether the server is still there. It does not wait.
func (c *Client) Ping() {
	c.s.mu.Lock()
	c.ping = true
	c.s.mu.Unlock()
	signal(c.wake)
}

// Close drops the connection, so that the server publishes the will. It does not wait; see Done.
func (c *Client) Close() error { return c.end(ErrClosed) }

// Disconnect ends the connection in order, without will: what is waiting is written, then DISCONNECT, and the server gets
// a second to close. It does not wait for acknowledgements.
func (c *Client) Disconnect(ctx context.Context) error {
	deadline := time.NewTimer(c.cfg.ResponseTimeout)
	defer deadline.Stop()
	flushed := c.leave(wire.AppendDisconnect(nil, &wire.DisconnectPacket{}, c.cfg.Version), ErrClosed)
	var err error
	select {
	case <-flushed: // the server closes now; if we did, with its packets unread, it could miss our DISCONNECT
		deadline.Reset(min(lastWords, c.cfg.ResponseTimeout))
		select {
		case <-c.ended:
		case <-deadline.C:
		case <-ctx.Done():
		}
	case <-c.ended:
	case <-deadline.C:
		err = ErrNoAnswer
	case <-ctx.Done():
		err = ctx.Err()
	}
	if closed := c.end(ErrClosed); err == nil {
		err = closed
	}
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	if e := c.Err(); e != ErrClosed {
		return e // it had ended otherwise before
	}
	return err
}

// leave writes a last packet; nothing is written after it and what comes is thrown away. flushed is closed when it is
// out, never if the connection ends before.
func (c *Client) leave(last []byte, why error) (flushed <-chan struct{}) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.lastErr == nil {
		c.lastErr = why
		c.out = append(c.out, last...)
		signal(c.wake)
	}
	return c.flushed
}

// end closes the connection and says why, unless that was said before.
func (c *Client) end(err error) error {
	c.s.mu.Lock()
	if c.err != nil {
		c.s.mu.Unlock()
		return nil
	}
	var said *ReasonError
	switch c.err = err; {
	case c.lastErr != nil:
		c.err = c.lastErr
	case c.failed != nil && !errors.As(err, &said):
		c.err = c.failed
	}
	close(c.ended)
	c.s.mu.Unlock()
	return ignoreClosed(c.nc.Close())
}

// over returns why nothing can be sent any more, nil if it can.
func (c *Client) over() error {
	if c.err != nil {
		return c.err
	}
	if c.lastErr != nil {
		return c.lastErr
	}
	return c.failed
}

// signal wakes whoever waits on ch, or will.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
