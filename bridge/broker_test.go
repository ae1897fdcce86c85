// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// message is what a broker was given.
type message struct {
	topic, payload, client string
	retain                 bool
	qos                    byte
	at                     time.Time
	props                  []byte
}

// fakeBroker is as much of a broker as these tests need: QoS 0 and 1, retained messages, wills, one session per
// ClientId. It runs in virtual time and can be made to hold its acknowledgements back.
type fakeBroker struct {
	t *testing.T

	mu       sync.Mutex
	log      []message
	retained map[string]message
	order    []string // of retained
	clients  map[string]*fakeClient
	sessions map[string]bool
	owed     map[string][]wire.Message // to sessions without a connection, for what matches their filters
	filters  map[string][]string
	holding  bool
	refusing bool
	serving  sync.WaitGroup
}

type fakeClient struct {
	nc      net.Conn
	id      string
	will    *wire.WillPacket
	out     chan []byte
	dropped chan struct{}
	held    []uint16
	nextID  uint16
}

func newFakeBroker(t *testing.T) *fakeBroker {
	return &fakeBroker{
		t: t, retained: map[string]message{}, clients: map[string]*fakeClient{}, sessions: map[string]bool{},
		owed: map[string][]wire.Message{}, filters: map[string][]string{},
	}
}

// Dial is a bridge.Dialer.
func (b *fakeBroker) Dial(string) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusing {
		return nil, errors.New("the broker is not there")
	}
	inside, outside := net.Pipe()
	b.serving.Go(func() { b.serve(inside) })
	return outside, nil
}

func (b *fakeBroker) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	c := &fakeClient{nc: nc, out: make(chan []byte, 1000), dropped: make(chan struct{})}
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case p := <-c.out:
				if _, err := nc.Write(p); err != nil {
					return
				}
			case <-c.dropped:
				return
			}
		}
	})
	orderly := b.read(c)
	close(c.dropped)
	_ = nc.Close()
	writer.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clients[c.id] == c {
		delete(b.clients, c.id)
	}
	if !orderly && c.will != nil {
		b.publish(message{c.will.Topic, string(c.will.Payload), c.id, c.will.Retain, c.will.QoS, time.Now(), nil})
	}
}

func (b *fakeBroker) read(c *fakeClient) (orderly bool) {
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		h, body, size, _, f := wire.Frame(buf)
		if f != nil {
			b.t.Errorf("broker: %v", f)
			return false
		}
		if size == 0 {
			n, err := c.nc.Read(chunk)
			buf = append(buf, chunk[:n]...)
			if err != nil {
				if err != io.EOF && !errors.Is(err, io.ErrClosedPipe) {
					b.t.Errorf("broker: %v", err)
				}
				return false
			}
			continue
		}
		if h>>4 == wire.Disconnect {
			return true
		}
		if !b.take(c, h, body) {
			return false
		}
		buf = append([]byte(nil), buf[size:]...)
	}
}

func (b *fakeBroker) take(c *fakeClient, h byte, body []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch h >> 4 {
	case wire.Connect:
		p, f := wire.DecodeConnect(h, body)
		if f != nil {
			b.t.Errorf("broker: CONNECT: %v", f)
			return false
		}
		c.id, c.will = p.ClientID, p.Will
		if old := b.clients[c.id]; old != nil {
			_ = old.nc.Close()
		}
		b.clients[c.id] = c
		present := b.sessions[c.id] && !p.Clean
		if !present {
			delete(b.owed, c.id)
			delete(b.filters, c.id)
		}
		b.sessions[c.id] = p.SessionExpiry > 0
		c.out <- wire.AppendConnack(nil, &wire.ConnackPacket{SessionPresent: present}, 5)
		for _, m := range b.owed[c.id] {
			b.deliver(c, m, false)
		}
		delete(b.owed, c.id)
	case wire.Publish:
		var p wire.Inbound
		if f := wire.ReadPublish(h, body, 5, false, time.Now().Unix(), nil, &p); f != nil {
			b.t.Errorf("broker: PUBLISH: %v", f)
			return false
		}
		b.publish(message{string(p.Topic), string(p.Payload), c.id, p.Retain, p.QoS, time.Now(), nil})
		if p.QoS == 1 && b.holding {
			c.held = append(c.held, p.ID)
		} else if p.QoS == 1 {
			c.out <- wire.AppendAck(nil, wire.Puback, p.ID, 0, 5)
		}
	case wire.Subscribe:
		p, f := wire.DecodeSubscribe(body, 5)
		if f != nil {
			b.t.Errorf("broker: SUBSCRIBE: %v", f)
			return false
		}
		b.subscribe(c, p)
	case wire.Pingreq:
		c.out <- []byte{wire.Pingresp << 4, 0}
	case wire.Puback:
	default:
		b.t.Errorf("broker: packet %d", h>>4)
	}
	return true
}

func (b *fakeBroker) subscribe(c *fakeClient, p *wire.SubscribePacket) {
	codes := make([]byte, len(p.Filters))
	for i, s := range p.Filters {
		codes[i] = s.QoS
		if !slices.Contains(b.filters[c.id], s.Filter) {
			b.filters[c.id] = append(b.filters[c.id], s.Filter)
		}
	}
	if !b.holding {
		c.out <- wire.AppendSuback(nil, p.ID, codes, 5)
	}
	for _, s := range p.Filters {
		for _, topic := range b.order {
			if m, ok := b.retained[topic]; ok && s.RetainHandling == 0 && wire.Matches(s.Filter, topic) {
				b.deliver(c, wire.Message{Topic: m.topic, Payload: []byte(m.payload), QoS: 1}, true)
			}
		}
	}
}

// publish takes a message and passes it on. The lock is held.
func (b *fakeBroker) publish(m message) {
	b.log = append(b.log, m)
	if m.retain && m.payload == "" {
		delete(b.retained, m.topic)
	} else if m.retain {
		if _, ok := b.retained[m.topic]; !ok {
			b.order = append(b.order, m.topic)
		}
		b.retained[m.topic] = m
	}
	for id, filters := range b.filters {
		for _, f := range filters {
			if !wire.Matches(f, m.topic) {
				continue
			}
			w := wire.Message{Topic: m.topic, Payload: []byte(m.payload), QoS: 1, Props: m.props}
			if c := b.clients[id]; c != nil {
				b.deliver(c, w, m.retain)
			} else {
				b.owed[id] = append(b.owed[id], w)
			}
			break
		}
	}
}

func (b *fakeBroker) deliver(c *fakeClient, m wire.Message, retain bool) {
	c.nextID++
	c.out <- wire.AppendPublish(nil, &m, 5, 1, c.nextID, false, retain, nil, time.Now().Unix())
}

// send publishes as somebody from outside.
func (b *fakeBroker) send(topic, payload string, retain bool) {
	b.offer(topic, payload, retain, nil)
}

// offer is send with properties.
func (b *fakeBroker) offer(topic, payload string, retain bool, props []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publish(message{topic, payload, "outside", retain, 1, time.Now(), props})
}

// hold makes the broker keep its acknowledgements back; release sends them.
func (b *fakeBroker) hold(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holding = on; on {
		return
	}
	for _, c := range b.clients {
		for _, id := range c.held {
			c.out <- wire.AppendAck(nil, wire.Puback, id, 0, 5)
		}
		c.held = nil
	}
}

// refuse makes the broker take no new connection; drop ends that of a client.
func (b *fakeBroker) refuse(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusing = on
}

func (b *fakeBroker) drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.clients[id]; c != nil {
		_ = c.nc.Close()
	}
}

// on returns the payloads published on a topic, in order.
func (b *fakeBroker) on(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.log {
		if m.topic == topic {
			all = append(all, m.payload)
		}
	}
	return all
}

func (b *fakeBroker) last(topic string) string {
	if all := b.on(topic); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// keeps returns the topics that have a retained message, in order.
func (b *fakeBroker) keeps(topic string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.retained[topic]
	return m.payload, ok
}

// topics returns what was published, one "topic payload" each, of topics with that ending.
func (b *fakeBroker) topics(endings ...string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.log {
		for _, e := range endings {
			if strings.HasSuffix(m.topic, e) {
				all = append(all, m.topic[strings.LastIndex(m.topic, "/")+1:]+" "+m.payload)
			}
		}
	}
	return all
}
