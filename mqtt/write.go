// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"time"

	"edged/mqtt/wire"
)

// chunk is how much is written under one deadline, so that a slow link is not taken for a dead one.
const chunk = 16 << 10

// writeLoop writes what the others leave in c.out, all that is there at once, and keeps the connection alive.
func (c *Client) writeLoop() {
	defer close(c.written)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var spare []byte
	for {
		select {
		case <-c.wake:
		case <-timer.C:
		case <-c.ended:
			return
		}
		next, err := c.beat()
		if err != nil {
			c.end(err)
			return
		}
		if next > 0 {
			timer.Reset(next)
		}
		for b := c.drain(spare); len(b) > 0; b = c.drain(spare) {
			if err := c.write(b); err != nil {
				c.fail(fmt.Errorf("write to the server: %w", err))
				return
			}
			if spare = b; cap(b) > 2*outMax {
				spare = nil
			}
		}
	}
}

// fail lets the reader look for the server's own reason, which is worth more, and then end the connection.
func (c *Client) fail(err error) {
	c.s.mu.Lock()
	c.failed = err
	c.s.mu.Unlock()
	if e := c.nc.SetReadDeadline(time.Now().Add(lastWords / 4)); e != nil {
		c.end(err)
	}
}

// drain takes everything that is to be written and leaves spare in its place, or nil, and says so, when that is nothing.
func (c *Client) drain(spare []byte) []byte {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.err != nil {
		return nil
	}
	now := time.Now()
	c.pump(now)
	signal(c.room)
	signal(c.drained)
	if len(c.out) == 0 {
		if c.lastErr != nil && !c.allOut {
			c.allOut = true
			close(c.flushed)
		}
		return nil
	}
	b := c.out
	c.out, c.lastSent = spare[:0], now
	return b
}

func (c *Client) write(b []byte) error {
	for len(b) > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.cfg.ResponseTimeout)); err != nil {
			return err
		}
		n, err := c.nc.Write(b[:min(len(b), chunk)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// beat sends PINGREQ when it is due, and tells when to look again; 0: not before something happens. It fails when the
// server owes an answer for too long and has given no other either.
func (c *Client) beat() (next time.Duration, err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.lastErr != nil {
		return 0, nil
	}
	now := time.Now()
	silence, idle := c.pingTimes()
	due := c.ping ||
		silence > 0 && c.pingAt.IsZero() && now.Sub(c.lastAck) >= silence ||
		idle > 0 && now.Sub(c.lastSent) >= idle
	c.ping = false
	if due {
		c.out = append(c.out, wire.Pingreq<<4, 0)
		c.lastSent = now
		if c.pingAt.IsZero() {
			c.pingAt = now
		}
	}
	var at time.Time
	earliest := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if !c.pingAt.IsZero() {
		dead := c.pingAt
		if c.lastAck.After(dead) {
			dead = c.lastAck
		}
		dead = dead.Add(c.cfg.ResponseTimeout)
		if !now.Before(dead) {
			return 0, fmt.Errorf("PINGRESP: %w in %v", ErrNoAnswer, c.cfg.ResponseTimeout)
		}
		earliest(dead)
	} else if silence > 0 {
		earliest(c.lastAck.Add(silence))
	}
	if idle > 0 {
		earliest(c.lastSent.Add(idle))
	}
	if at.IsZero() {
		return 0, nil
	}
	return at.Sub(now), nil
}

// pingTimes is how long without an acknowledgement, and how long without sending, until PINGREQ; 0: never. The second is
// what the server demands [MQTT-3.1.2-20].
func (c *Client) pingTimes() (silence, idle time.Duration) {
	idle = c.ack.KeepAlive / 4 * 3
	silence = c.cfg.PingAfter
	if silence <= 0 || idle > 0 && silence > idle {
		silence = idle
	}
	return silence, idle
}
