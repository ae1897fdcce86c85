// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// site is a broker on a disk in memory, which can be killed and started again.
type site struct {
	t    testing.TB
	cfg  broker.Config
	opts broker.Options
	dir  string
	disk *journaltest.Disk
	log  *slog.Logger

	*broker.Broker
	addr   string
	cancel context.CancelFunc
	ended  chan error
}

func newSite(t testing.TB, change func(s *site)) *site {
	t.Helper()
	s := &site{t: t, cfg: broker.Defaults(), disk: journaltest.New(), dir: "state"}
	s.cfg.Listen = []string{"127.0.0.1:0"}
	s.opts.FS = s.disk
	if change != nil {
		change(s)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start opens a broker on the disk, and listens.
func (s *site) start() {
	s.t.Helper()
	b, err := broker.Open(s.cfg, s.dir, s.log, s.opts)
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.Broker, s.cancel, s.ended = b, cancel, make(chan error, 1)
	go func(ended chan error) { ended <- b.Run(ctx) }(s.ended)
	if err := b.Listen(ctx); err != nil {
		s.t.Fatalf("listen: %v", err)
	}
	s.addr = b.Addrs()[0].String()
}

// stop ends the broker in order. It may be called again.
func (s *site) stop() {
	s.t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	select {
	case err := <-s.ended:
		if err != nil && !errors.Is(err, journaltest.ErrGone) {
			s.t.Errorf("stop: %v", err)
		}
	case <-time.After(patience):
		s.t.Error("the broker does not stop")
	}
}

// kill ends the broker as kill -9 does: what it has not written is gone, what it wrote stays. What is left of it fails at
// every call, and ends by itself.
func (s *site) kill() {
	s.t.Helper()
	s.disk.Kill()
	s.cancel()
	s.cancel = nil
}

// crash is kill -9 and another start.
func (s *site) crash() {
	s.t.Helper()
	s.kill()
	s.start()
}

// wantOwed fails the test unless a session is owed so many messages and has lost none.
func (s *site) wantOwed(id string, messages int) {
	s.t.Helper()
	if st, _ := s.Session(id); st.Messages != uint64(messages) || st.Dropped != 0 {
		s.t.Errorf("%q is owed %+v, want %d messages", id, st, messages)
	}
}

// restart is a stop in order and another start.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// peer is a client that speaks raw bytes.
type peer struct {
	t       testing.TB
	nc      net.Conn
	buf     []byte
	part    []byte
	version byte
}

func (s *site) dial() *peer {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatalf("dial: %v", err)
	}
	return newPeer(s.t, nc)
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, nc: nc, version: 4}
}

// connect dials and connects; it fails the test unless the CONNACK is as wanted.
func (s *site) connect(p wire.ConnectPacket, present bool) *peer {
	s.t.Helper()
	c := s.dial()
	ack := c.connect(p)
	if ack.Code != 0 || ack.SessionPresent != present {
		s.t.Fatalf("CONNACK for %q: %+v, want session present %v", p.ClientID, ack, present)
	}
	return c
}

// clean connects with a session of the connection only.
func (s *site) clean(id string) *peer {
	s.t.Helper()
	return s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: id}, false)
}

func (c *peer) connect(p wire.ConnectPacket) *wire.ConnackPacket {
	c.t.Helper()
	if p.Level == 0 {
		p.Level = 4
	}
	c.version = p.Level
	c.send(wire.AppendConnect(nil, &p))
	_, body := c.want(wire.Connack)
	ack, f := wire.DecodeConnack(body, c.version)
	if f != nil {
		c.t.Fatalf("CONNACK % x: %v", body, f)
	}
	return ack
}

func (c *peer) send(b []byte) {
	c.t.Helper()
	if err := c.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// packet reads the next packet; h is 0 at the end of the connection or when none came within d.
func (c *peer) packet(d time.Duration) (h byte, body []byte, err error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		return 0, nil, err
	}
	for {
		h, body, size, _, f := wire.Frame(c.buf)
		if f != nil {
			c.t.Fatalf("the broker sent % x: %v", c.buf, f)
		}
		if size > 0 {
			body = append([]byte(nil), body...)
			c.buf = c.buf[size:]
			return h, body, nil
		}
		if c.part == nil {
			c.part = make([]byte, 32<<10)
		}
		n, err := c.nc.Read(c.part)
		c.buf = append(c.buf, c.part[:n]...)
		if n == 0 && err != nil {
			return 0, nil, err
		}
	}
}

// want reads the next packet, which must be of a kind.
func (c *peer) want(kind byte) (h byte, body []byte) {
	c.t.Helper()
	h, body, err := c.packet(patience)
	if err != nil || h>>4 != kind {
		c.t.Fatalf("got packet type %d % .40x, %v; want type %d", h>>4, body, err, kind)
	}
	return h, body
}

// wantAck reads an acknowledgement of an identifier, and returns its reason.
func (c *peer) wantAck(kind byte, id uint16) (reason byte) {
	c.t.Helper()
	_, body := c.want(kind)
	got, reason := wire.ReadAck(body, c.version)
	if got != id {
		c.t.Fatalf("packet type %d for identifier %d, want %d", kind, got, id)
	}
	return reason
}

// message is a PUBLISH as it came.
type message struct {
	topic, payload string
	qos            byte
	id             uint16
	dup, retain    bool
	in             wire.Inbound
}

func (c *peer) read(h byte, body []byte) message {
	c.t.Helper()
	var p wire.Inbound
	if f := wire.ReadPublish(h, body, c.version, true, time.Now().Unix(), nil, &p); f != nil {
		c.t.Fatalf("PUBLISH % .60x: %v", body, f)
	}
	return message{string(p.Topic), string(p.Payload), p.QoS, p.ID, p.Dup, p.Retain, p}
}

// wantMessage reads the next packet, which must be a PUBLISH.
func (c *peer) wantMessage() message {
	c.t.Helper()
	h, body := c.want(wire.Publish)
	return c.read(h, body)
}

// wantPayload reads a PUBLISH with that payload, and acknowledges it at QoS 1.
func (c *peer) wantPayload(want string) message {
	c.t.Helper()
	m := c.wantMessage()
	if m.payload != want {
		c.t.Fatalf("got %q to %q, want %q", m.payload, m.topic, want)
	}
	if m.qos == 1 {
		c.ack(wire.Puback, m.id)
	}
	return m
}

// quiet fails the test if a packet comes that was said before a PINGREQ is answered.
func (c *peer) quiet() {
	c.t.Helper()
	c.send([]byte{wire.Pingreq << 4, 0})
	c.want(wire.Pingresp)
}

// wantEnd reads until the broker closes, and returns the reason of its DISCONNECT, 0 without one.
func (c *peer) wantEnd() (reason byte) {
	c.t.Helper()
	for {
		h, body, err := c.packet(patience)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			c.t.Fatal("the connection is still open")
		case err != nil:
			return reason
		case h>>4 == wire.Disconnect && len(body) > 0:
			reason = body[0]
		}
	}
}

func (c *peer) ack(kind byte, id uint16) {
	c.t.Helper()
	c.send(wire.AppendAck(nil, kind, id, 0, c.version))
}

// publish sends a PUBLISH.
func (c *peer) publish(topic, payload string, qos byte, id uint16) {
	c.t.Helper()
	c.send(c.frame(topic, payload, qos, id, false))
}

// retain sends a PUBLISH with RETAIN at QoS 1 and waits for the PUBACK.
func (c *peer) retain(topic, payload string, id uint16) {
	c.t.Helper()
	c.send(c.frame(topic, payload, 1, id, true))
	c.wantAck(wire.Puback, id)
}

func (c *peer) frame(topic, payload string, qos byte, id uint16, retain bool) []byte {
	m := wire.Message{Topic: topic, Payload: []byte(payload)}
	return wire.AppendPublish(nil, &m, c.version, qos, id, false, retain, nil, 0)
}

// subscribe subscribes and returns the codes of the SUBACK; deliveries before it fail the test.
func (c *peer) subscribe(id uint16, qos byte, filters ...string) []byte {
	c.t.Helper()
	p := wire.SubscribePacket{ID: id}
	for _, f := range filters {
		p.Filters = append(p.Filters, wire.Subscription{Filter: f, QoS: qos})
	}
	return c.subscribeAs(p)
}

func (c *peer) subscribeAs(p wire.SubscribePacket) []byte {
	c.t.Helper()
	c.send(wire.AppendSubscribe(nil, &p, c.version))
	_, body := c.want(wire.Suback)
	got, codes, f := wire.DecodeSuback(body, c.version)
	if f != nil || got != p.ID {
		c.t.Fatalf("SUBACK % x: %v", body, f)
	}
	return codes
}

// disconnect ends the connection in order.
func (c *peer) disconnect() {
	c.t.Helper()
	c.send([]byte{wire.Disconnect << 4, 0})
	c.drop()
}

// drop closes the connection without a word.
func (c *peer) drop() {
	if err := c.nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Errorf("close: %v", err)
	}
}

// reset closes the connection with a TCP reset.
func (c *peer) reset() {
	if tcp, ok := c.nc.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			c.t.Error(err)
		}
	}
	c.drop()
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// isEnd tells whether an error is the end of a connection.
func isEnd(err error) bool {
	var timeout net.Error
	return err != nil && (errors.Is(err, io.EOF) || !errors.As(err, &timeout) || !timeout.Timeout())
}

// kept is the CONNECT of a session that outlives its connection.
func kept() wire.ConnectPacket { return wire.ConnectPacket{Level: 4, ClientID: "p"} }
