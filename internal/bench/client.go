// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"edged/mqtt/wire"
)

// peer is a client of MQTT 3.1.1 that costs as little as it can, since it shares the machine with what it measures.
type peer struct {
	nc   net.Conn
	r    *bufio.Reader
	qos  byte
	mu   sync.Mutex // held while writing
	got  *atomic.Int64
	acks chan struct{} // one for each message that is done with
}

const level = 4 // MQTT 3.1.1

// connect makes a client's session.
func connect(port int, id string, clean bool) (*peer, error) {
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	p := &peer{nc: nc, r: bufio.NewReaderSize(nc, 64<<10), got: new(atomic.Int64), acks: make(chan struct{}, 4096)}
	_, err = nc.Write(wire.AppendConnect(nil, &wire.ConnectPacket{Level: level, ClientID: id, Clean: clean, KeepAlive: 600}))
	if err == nil {
		err = p.expect(wire.Connack)
	}
	return p, err
}

func (p *peer) expect(kind byte) error {
	h, body, err := p.next(nil)
	if err != nil {
		return err
	}
	if h>>4 != kind || kind == wire.Connack && body[1] != 0 {
		return fmt.Errorf("packet %#x % x instead of type %d", h, body, kind)
	}
	return nil
}

// next reads a packet into buf.
func (p *peer) next(buf []byte) (h byte, body []byte, err error) {
	if h, err = p.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n := 0
	for shift := 0; ; shift += 7 {
		b, err := p.r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		if n |= int(b&0x7F) << shift; b < 0x80 {
			break
		}
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	_, err = io.ReadFull(p.r, buf[:n])
	return h, buf[:n], err
}

func (p *peer) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.nc.Write(b)
	return err
}

func (p *peer) subscribe(filter string, qos byte) error {
	p.qos = qos
	s := wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: filter, QoS: qos}}}
	if err := p.write(wire.AppendSubscribe(nil, &s, level)); err != nil {
		return err
	}
	return p.expect(wire.Suback)
}

// serve answers what comes and counts it, until the connection ends. Acknowledgements go out once nothing more is there
// to be read.
func (p *peer) serve() error {
	buf, out := make([]byte, 4096), []byte(nil)
	for {
		h, body, err := p.next(buf)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h >> 4 {
		case wire.Publish:
			p.got.Add(1)
			if h&6 != 0 {
				n := 2 + int(body[0])<<8 + int(body[1])
				kind := byte(wire.Puback)
				if h&6 == 4 {
					kind = wire.Pubrec
				}
				out = wire.AppendAck(out, kind, uint16(body[n])<<8|uint16(body[n+1]), 0, level)
			}
		case wire.Pubrel:
			out = wire.AppendAck(out, wire.Pubcomp, uint16(body[0])<<8|uint16(body[1]), 0, level)
		case wire.Pubrec:
			out = wire.AppendAck(out, wire.Pubrel, uint16(body[0])<<8|uint16(body[1]), 0, level)
		case wire.Puback, wire.Pubcomp:
			p.acks <- struct{}{}
		}
		if p.r.Buffered() == 0 && len(out) > 0 {
			if err := p.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
}

// message is a PUBLISH of size bytes at QoS 1.
func message(topic string, id uint16, size int, retain bool) []byte {
	m := wire.Message{Topic: topic, Payload: make([]byte, size)}
	return wire.AppendPublish(nil, &m, level, 1, id, false, retain, nil, 0)
}

// stream is what a publisher sends.
type stream struct {
	topic  string
	qos    byte
	window int           // messages under way
	every  time.Duration // 0: as fast as the window lets it
	got    func() int64  // how many of its messages were delivered, roughly; it is no further ahead than the window
}

// publish sends until ctx ends and returns how many messages it sent, all of them acknowledged.
func (p *peer) publish(ctx context.Context, s stream) (sent int64, err error) {
	m := wire.Message{Topic: s.topic, Payload: make([]byte, 64)}
	var out []byte
	var tick <-chan time.Time
	if s.every > 0 {
		t := time.NewTicker(s.every)
		defer t.Stop()
		tick = t.C
	}
	for ; ctx.Err() == nil; sent++ {
		if tick != nil {
			<-tick
		}
		if s.qos > 0 && sent >= int64(s.window) {
			<-p.acks
		}
		for tick == nil && sent > s.got()+int64(s.window) && ctx.Err() == nil {
			<-time.After(200 * time.Microsecond)
		}
		out = wire.AppendPublish(out[:0], &m, level, s.qos, uint16(sent%60000+1), false, false, nil, 0)
		if err := p.write(out); err != nil {
			return sent, err
		}
	}
	for range min(sent, int64(s.window)) {
		if s.qos > 0 {
			<-p.acks
		}
	}
	return sent, nil
}
