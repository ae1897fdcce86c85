// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"io"
	"net"
	"time"

	"edged/mqtt/wire"
)

const (
	lingerFor   = time.Second // how long a client may take to read why its connection ends
	lingerBytes = 256 << 10   // and what it may send meanwhile
	lingerMax   = 64          // connections that wait for that at a time; more are closed at once

	hearFor  = 500 * time.Millisecond // how long who takes over waits for what the other has sent to be read
	hearTick = 10 * time.Millisecond  // how often it looks whether that waits for the disk
)

// goodbye only ends the connection, without a word.
func goodbye() *wire.Fault { return &wire.Fault{Text: ""} }

// refuse ends the connection for a fault, with a DISCONNECT where MQTT 5 has one.
func (c *conn) refuse(f *wire.Fault) {
	r := &c.scratch.round
	var bye []byte
	if f.Text != "" {
		c.b.log.Debug("connection closed", "peer", c.peer(), "why", f)
		bye = c.farewell(f.Code, f.Text)
	}
	r.Flush()
	if bye != nil {
		c.prepareToLinger()
	}
	c.closeAfter(r, bye)
	r.Flush()
}

// farewell is the DISCONNECT of MQTT 5 with a reason, and a text unless the client wants none or it is too long; nil where
// nothing may be said.
func (c *conn) farewell(reason byte, text string) []byte {
	if c.version < 5 || c.standing.Load() == nil || reason == wire.Success {
		return nil
	}
	if text != "" && !c.noTexts {
		if p := wire.AppendDisconnect(nil, &wire.DisconnectPacket{Reason: reason, Text: text}, 5); c.fits(p) {
			return p
		}
	}
	if p := []byte{wire.Disconnect << 4, 1, reason}; c.fits(p) {
		return p
	}
	return nil
}

// fits tells whether the client takes a packet of that size.
func (c *conn) fits(p []byte) bool { return c.maxSize == 0 || len(p) <= c.maxSize }

// A socket that is closed while there is something to be read from it is reset, and with that what was written last may
// be lost: a client that goes on sending would never read why its connection ends.

// prepareToLinger makes the end of the output half a close, after which the reader calls linger.
func (c *conn) prepareToLinger() {
	if _, ok := c.nc.(halfCloser); !ok {
		return
	}
	if c.b.lingering.Add(1) > lingerMax {
		c.b.lingering.Add(-1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lingers = true
}

// halfCloser is a socket whose end does not block.
type halfCloser interface {
	CloseRead() error
	CloseWrite() error
}

// hearOut waits until what the client has sent so far is read, but not for long.
func (c *conn) hearOut() {
	nc := c.nc
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn()
	}
	// The reader finds the end of the input after what is there.
	if x, ok := nc.(interface{ CloseRead() error }); !ok || x.CloseRead() != nil {
		return
	}
	tick := time.NewTicker(hearTick)
	defer tick.Stop()
	for end := time.Now().Add(hearFor); !c.held.Load() && time.Now().Before(end); {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
	}
}

// endOutput is called when the last output is written. c.mu is held.
func (c *conn) endOutput() {
	if nc, ok := c.nc.(halfCloser); ok && c.lingers && nc.CloseWrite() == nil {
		return
	}
	c.shut()
}

// linger waits until the client has closed its side, for a while, and closes ours.
func (c *conn) linger(ctx context.Context) {
	c.mu.Lock()
	lingers := c.lingers
	c.mu.Unlock()
	if !lingers {
		return
	}
	defer c.b.lingering.Add(-1)
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	if err := c.nc.SetReadDeadline(time.Now().Add(lingerFor)); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, c.nc, lingerBytes); err != nil {
		return // the client is gone, as it should be, or its time is over
	}
}
