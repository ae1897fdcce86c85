// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// patience is how long an attack waits for what must happen.
const patience = 10 * time.Second

// client speaks raw bytes. Its methods are for one goroutine; none fails the test by itself.
type client struct {
	nc    net.Conn
	raw   net.Conn // below TLS and WebSockets
	level byte
	buf   []byte
	part  [4096]byte
}

// dial connects a socket, again where the broker has no place at the moment.
func (e *target) dial() (*client, error) {
	raw, err := net.DialTimeout("tcp", e.addr, patience)
	if err != nil {
		return nil, err
	}
	nc := raw
	if e.wrap != nil {
		if nc, err = e.wrap(raw); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	return &client{nc: nc, raw: raw, level: 4}, nil
}

// connect dials and connects, and tells the code of the CONNACK.
func (e *target) connect(p wire.ConnectPacket) (c *client, code byte, err error) {
	if c, err = e.dial(); err != nil {
		return nil, 0, err
	}
	code, err = c.connect(p)
	if err != nil || code != 0 {
		c.drop()
	}
	return c, code, err
}

// must is connect for a client that has to be let in.
func (e *target) must(t *testing.T, p wire.ConnectPacket) *client {
	t.Helper()
	c, code, err := e.connect(p)
	if err != nil || code != 0 {
		t.Fatalf("connect %q: code %d, %v", p.ClientID, code, err)
	}
	t.Cleanup(c.drop)
	return c
}

func clean(level byte, id string) wire.ConnectPacket {
	return wire.ConnectPacket{Level: level, Clean: true, ClientID: id}
}

func (c *client) connect(p wire.ConnectPacket) (code byte, err error) {
	c.level = p.Level
	if err := c.send(wire.AppendConnect(nil, &p)); err != nil {
		return 0, err
	}
	h, body, err := c.packet(patience)
	switch {
	case err != nil:
		return 0, err
	case h>>4 != wire.Connack || len(body) < 2:
		return 0, errors.New("no CONNACK")
	}
	return body[1], nil
}

func (c *client) send(b []byte) error { return c.sendWithin(patience, b) }

func (c *client) sendWithin(d time.Duration, b []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// packet reads the next packet.
func (c *client) packet(d time.Duration) (h byte, body []byte, err error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		return 0, nil, err
	}
	for {
		h, body, size, _, f := wire.Frame(c.buf)
		if f != nil {
			return 0, nil, f
		}
		if size > 0 {
			body = append([]byte(nil), body...)
			c.buf = c.buf[size:]
			return h, body, nil
		}
		n, err := c.nc.Read(c.part[:])
		c.buf = append(c.buf, c.part[:n]...)
		if n == 0 && err != nil {
			return 0, nil, err
		}
	}
}

// end is how a connection ended.
type end struct {
	closed bool
	code   int // of a DISCONNECT, or of a CONNACK that refuses; -1: none
	grant  int // the last code of a SUBACK or UNSUBACK; -1: none
}

// end reads until the broker closes, but not longer than d.
func (c *client) end(d time.Duration) end {
	e := end{code: -1, grant: -1}
	for {
		h, body, err := c.packet(d)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return e
		case err != nil:
			e.closed = true
			return e
		}
		switch h >> 4 {
		case wire.Disconnect:
			if e.code = 0; len(body) > 0 {
				e.code = int(body[0])
			}
		case wire.Connack:
			if len(body) > 1 && body[1] != 0 {
				e.code = int(body[1])
			}
		case wire.Suback, wire.Unsuback:
			if len(body) > 2 {
				e.grant = int(body[len(body)-1])
			}
			if e.grant >= wire.Unspecified {
				return e
			}
		}
	}
}

// ping waits until everything said before is answered.
func (c *client) ping() error {
	if err := c.send([]byte{wire.Pingreq << 4, 0}); err != nil {
		return err
	}
	for {
		h, _, err := c.packet(patience)
		if err != nil || h>>4 == wire.Pingresp {
			return err
		}
	}
}

// drop closes the connection without a word; with a reset, so that thousands leave nothing behind.
func (c *client) drop() {
	if tcp, ok := c.raw.(*net.TCPConn); ok && tcp.SetLinger(0) != nil {
		return // closed already
	}
	if err := c.raw.Close(); err != nil {
		return
	}
}

func (c *client) publish(topic string, payload []byte, qos byte, id uint16, retain bool) error {
	return c.send(publishFrame(c.level, topic, payload, qos, id, retain))
}

func publishFrame(level byte, topic string, payload []byte, qos byte, id uint16, retain bool) []byte {
	m := wire.Message{Topic: topic, Payload: payload}
	return wire.AppendPublish(nil, &m, level, qos, id, false, retain, nil, 0)
}

// subscribe subscribes and returns the codes.
func (c *client) subscribe(id uint16, qos byte, filters ...string) ([]byte, error) {
	p := wire.SubscribePacket{ID: id}
	for _, f := range filters {
		p.Filters = append(p.Filters, wire.Subscription{Filter: f, QoS: qos})
	}
	if err := c.send(wire.AppendSubscribe(nil, &p, c.level)); err != nil {
		return nil, err
	}
	for {
		h, body, err := c.packet(patience)
		if err != nil {
			return nil, err
		}
		if h>>4 == wire.Suback {
			_, codes, f := wire.DecodeSuback(body, c.level)
			if f != nil {
				return nil, f
			}
			return codes, nil
		}
	}
}
