// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"edged/mqtt/wire"
)

// Sizes of the buffer that is read into: at first, and beyond which it is given back once it is empty.
const (
	inboxMin  = 4 << 10
	inboxKeep = 64 << 10
)

// inbox cuts what a connection brings into packets.
type inbox struct {
	nc   net.Conn
	max  int    // size of a packet
	idle func() // called before waiting for more
	buf  []byte // grows with what came, not with what a header claims
	r, w int    // buf[r:w] is unread
}

// packet returns the next packet; body is good until the next call.
func (in *inbox) packet() (h byte, body []byte, err error) {
	for {
		h, body, size, need, f := wire.Frame(in.buf[in.r:in.w])
		if f != nil {
			return 0, nil, f
		}
		if need > in.max {
			return 0, nil, &wire.Fault{Code: wire.TooLarge, Text: "a packet that is longer than we take"}
		}
		if size > 0 {
			in.r += size
			return h, body, nil
		}
		if err := in.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads once.
func (in *inbox) fill() error {
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == 0 && len(in.buf) > inboxKeep {
		in.buf = nil
	}
	if in.w == len(in.buf) {
		in.buf = append(in.buf, make([]byte, max(len(in.buf), inboxMin))...)
	}
	in.idle()
	n, err := in.nc.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	return err
}

// readLoop serves the connection until it ends.
func (c *Client) readLoop() {
	defer close(c.done)
	err := c.readAll()
	var f *wire.Fault
	if errors.As(err, &f) && c.cfg.Version == 5 { // [MQTT-4.13.1-1]: say why, then close
		late := time.NewTimer(lastWords)
		flushed := c.leave(wire.AppendDisconnect(nil, &wire.DisconnectPacket{Reason: f.Code}, 5), err)
		select {
		case <-flushed:
		case <-c.ended:
		case <-late.C:
		}
		late.Stop()
	}
	c.end(err)
	<-c.written
	c.s.mu.Lock()
	c.s.client = nil
	c.s.mu.Unlock()
}

func (c *Client) readAll() error {
	c.in.idle = c.flush
	var p wire.Inbound
	var scratch []byte
	for {
		h, body, err := c.in.packet()
		if err != nil {
			return fmt.Errorf("read from the server: %w", err)
		}
		if h>>4 == wire.Publish {
			f := wire.ReadPublish(h, body, c.cfg.Version, true, 0, scratch[:0], &p)
			if f == nil && p.Alias != 0 {
				f = &wire.Fault{Code: wire.AliasInvalid, Text: "a topic alias, none is allowed"}
			}
			if f != nil {
				return fmt.Errorf("read PUBLISH from the server: %w", f)
			}
			scratch = p.Props
			err = c.deliver(&p)
		} else {
			err = c.control(h, body)
		}
		if err != nil {
			return err
		}
		if err := c.breathe(); err != nil {
			return err
		}
	}
}

// flush wakes the writer if there is something to write. The reader does so only before it waits, so that what several
// packets are answered with goes out in one write.
func (c *Client) flush() {
	c.s.mu.Lock()
	some := len(c.out) > 0
	c.s.mu.Unlock()
	if some {
		signal(c.wake)
	}
}

// breathe waits while the peer takes nothing of what we must answer: it shall not fill our memory.
func (c *Client) breathe() error {
	for {
		c.s.mu.Lock()
		full, err := len(c.out) >= outMax, c.err
		c.s.mu.Unlock()
		if !full || err != nil {
			return err
		}
		signal(c.wake)
		select {
		case <-c.drained:
		case <-c.written:
			c.s.mu.Lock()
			defer c.s.mu.Unlock()
			return c.over()
		}
	}
}

// control handles every packet but PUBLISH.
func (c *Client) control(h byte, body []byte) error {
	version := c.cfg.Version
	if f := wire.CheckFromServer(h, body, version); f != nil {
		return fmt.Errorf("read from the server: %w", f)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.lastErr != nil {
		return nil
	}
	now := time.Now()
	kind := h >> 4
	var f *wire.Fault
	switch kind {
	case wire.Puback, wire.Pubrec, wire.Pubcomp:
		id, reason := wire.ReadAck(body, version)
		c.lastAck = now
		f = c.acknowledged(kind, id, reason, now)
	case wire.Pubrel:
		id, _ := wire.ReadAck(body, version)
		c.release(id)
	case wire.Suback, wire.Unsuback:
		decode := wire.DecodeSuback
		if kind == wire.Unsuback {
			decode = wire.DecodeUnsuback
		}
		var id uint16
		var codes []byte
		if id, codes, f = decode(body, version); f == nil {
			c.lastAck = now
			f = c.answered(kind, id, codes)
		}
	case wire.Pingresp:
		if !c.pingAt.IsZero() {
			c.measure(now.Sub(c.pingAt))
		}
		c.pingAt, c.lastAck = time.Time{}, now
		signal(c.wake) // the writer waits for the answer, not yet for the time of the next ping
	case wire.Disconnect:
		return disconnected(body, version)
	default: // a second CONNACK, or AUTH though we named no method
		f = &wire.Fault{Code: wire.ProtocolError, Text: "a packet out of place"}
	}
	if f != nil {
		return fmt.Errorf("read from the server: %w", f)
	}
	return nil
}

func disconnected(body []byte, version byte) error {
	p, f := wire.DecodeDisconnect(body, version)
	if f != nil {
		return fmt.Errorf("read DISCONNECT from the server: %w", f)
	}
	return &ReasonError{Packet: "DISCONNECT", Code: p.Reason, Reason: p.Text, Server: p.Server}
}

// handle gives a delivery to the application.
func (c *Client) handle(d *Delivery) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in OnMessage: %v\n%s", r, debug.Stack())
		}
	}()
	c.cfg.OnMessage(d)
	return nil
}
