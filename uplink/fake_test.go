// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// frames reads whole packets from a connection.
type frames struct {
	nc  net.Conn
	buf []byte
}

func (f *frames) next() (raw []byte, err error) {
	for {
		_, _, size, _, fault := wire.Frame(f.buf)
		if fault != nil {
			return nil, fault
		}
		if size > 0 {
			raw = f.buf[:size:size]
			f.buf = f.buf[size:]
			return raw, nil
		}
		chunk := make([]byte, 4096)
		n, err := f.nc.Read(chunk)
		if err != nil {
			return nil, err
		}
		f.buf = append(f.buf, chunk[:n]...)
	}
}

func split(raw []byte) (h byte, body []byte) {
	h, body, _, _, _ = wire.Frame(raw)
	return h, body
}

func publishOf(raw []byte, version byte) (p wire.Inbound, fault *wire.Fault) {
	h, body := split(raw)
	fault = wire.ReadPublish(h, body, version, false, 0, nil, &p)
	p.Message.Topic = string(p.Topic)
	return p, fault
}

// owed is a message that the local broker owes to the uplink.
type owed struct {
	msg      wire.Message
	id       uint16
	sent     bool // in any connection
	onWire   bool // in this one
	released bool // PUBREC came
}

// localBroker is as much of our broker as one persistent session sees. It numbers its messages, and keeps their numbers
// over connections as ours does over a crash.
type localBroker struct {
	mu        sync.Mutex
	nc        net.Conn
	window    int
	known     bool // there is a session
	subs      []wire.Subscription
	connects  []*wire.ConnectPacket
	lastID    uint16
	owed      []*owed
	acked     []string // payloads, in order of their acknowledgement
	published []wire.Message
	held      map[uint16]bool // identifiers of QoS 2 that the uplink has not released
	cutAfter  int             // packets, both ways, until this broker is there no more; 0: never
	dead      bool
	deaf      bool // PUBLISHes are not acknowledged
	faults    []error
}

func (b *localBroker) dial() (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return nil, errors.New("the local broker is dead")
	}
	ours, theirs := net.Pipe()
	go b.serve(ours)
	return theirs, nil
}

func (b *localBroker) serve(nc net.Conn) {
	in := &frames{nc: nc}
	for {
		raw, err := in.next()
		if err == nil {
			err = b.take(nc, raw)
		}
		if err != nil {
			b.mu.Lock()
			if b.nc == nc {
				b.nc = nil
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				b.faults = append(b.faults, err)
			}
			b.mu.Unlock()
			nc.Close()
			return
		}
	}
}

func (b *localBroker) take(nc net.Conn, raw []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.step(); err != nil {
		return err
	}
	h, body := split(raw)
	switch h >> 4 {
	case wire.Connect:
		return b.connect(nc, h, body)
	case wire.Subscribe:
		p, f := wire.DecodeSubscribe(body, 5)
		if f != nil {
			return f
		}
		b.subs = p.Filters
		return b.write(wire.AppendSuback(nil, p.ID, make([]byte, len(p.Filters)), 5))
	case wire.Publish:
		p, f := publishOf(raw, 5)
		if f != nil {
			return f
		}
		if !b.held[p.ID] {
			b.published = append(b.published, p.Message)
		}
		answer := byte(wire.Puback)
		if p.QoS == 2 {
			b.held[p.ID], answer = true, wire.Pubrec
		}
		if b.deaf {
			return nil
		}
		return b.write(wire.AppendAck(nil, answer, p.ID, 0, 5))
	case wire.Pubrel:
		id, _ := wire.ReadAck(body, 5)
		delete(b.held, id)
		return b.write(wire.AppendAck(nil, wire.Pubcomp, id, 0, 5))
	case wire.Puback, wire.Pubrec, wire.Pubcomp:
		id, _ := wire.ReadAck(body, 5)
		return b.acknowledged(h>>4, id)
	case wire.Pingreq:
		return b.write([]byte{wire.Pingresp << 4, 0})
	case wire.Disconnect:
		return io.EOF
	}
	return fmt.Errorf("the uplink sent packet type %d to the local broker", h>>4)
}

func (b *localBroker) connect(nc net.Conn, h byte, body []byte) error {
	p, f := wire.DecodeConnect(h, body)
	if f != nil {
		return f
	}
	b.connects = append(b.connects, p)
	b.nc, b.window = nc, math.MaxUint16
	if p.ReceiveMaximum > 0 {
		b.window = int(p.ReceiveMaximum)
	}
	present := b.known
	b.known = true
	if !present || b.held == nil {
		b.held = map[uint16]bool{}
	}
	for _, o := range b.owed {
		o.onWire = false
	}
	if err := b.write(wire.AppendConnack(nil, &wire.ConnackPacket{SessionPresent: present}, 5)); err != nil {
		return err
	}
	return b.deliver()
}

func (b *localBroker) acknowledged(kind byte, id uint16) error {
	i := slices.IndexFunc(b.owed, func(o *owed) bool { return o.id == id })
	if i < 0 || !b.owed[i].onWire {
		return fmt.Errorf("acknowledgement %d of %d, which is not on its way", kind, id)
	}
	o := b.owed[i]
	if kind == wire.Pubrec {
		o.released = true
		return b.write(wire.AppendAck(nil, wire.Pubrel, id, 0, 5))
	}
	b.owed = slices.Delete(b.owed, i, i+1)
	b.acked = append(b.acked, string(o.msg.Payload))
	return b.deliver()
}

func (b *localBroker) deliver() error {
	for i, o := range b.owed {
		if i >= b.window {
			break
		}
		if o.onWire {
			continue
		}
		packet := wire.AppendAck(nil, wire.Pubrel, o.id, 0, 5)
		if !o.released {
			packet = wire.AppendPublish(nil, &o.msg, 5, o.msg.QoS, o.id, o.sent, o.msg.Retain, nil, 0)
		}
		o.sent, o.onWire = true, true
		if err := b.write(packet); err != nil {
			return err
		}
	}
	return nil
}

// step counts a packet towards the broker's death.
func (b *localBroker) step() error {
	if b.cutAfter > 0 {
		if b.cutAfter--; b.cutAfter == 0 {
			b.dead = true
			return io.EOF
		}
	}
	return nil
}

func (b *localBroker) write(packet []byte) error {
	if err := b.step(); err != nil {
		return err
	}
	_, err := b.nc.Write(packet)
	return err
}

// publish is somebody's PUBLISH to the local broker.
func (b *localBroker) publish(topic, payload string, qos byte, retain bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := wire.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain}
	if qos == 0 {
		if b.nc != nil {
			if err := b.write(wire.AppendPublish(nil, &m, 5, 0, 0, false, retain, nil, 0)); err != nil {
				b.faults = append(b.faults, err)
			}
		}
		return
	}
	b.owe(m)
}

// offer is publish for a message with properties.
func (b *localBroker) offer(m wire.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owe(m)
}

func (b *localBroker) owe(m wire.Message) {
	if b.lastID++; b.lastID == 0 {
		b.lastID++
	}
	b.owed = append(b.owed, &owed{msg: m, id: b.lastID})
	if b.nc == nil {
		return
	}
	if err := b.deliver(); err != nil {
		b.faults = append(b.faults, err)
	}
}

// cut ends the present connection; restart loses the session too.
func (b *localBroker) cut(lose bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lose {
		b.known, b.owed = false, nil
	}
	if b.nc != nil {
		b.nc.Close()
	}
}

func (b *localBroker) state() (acked []string, left int, published []wire.Message, faults []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.acked), len(b.owed), slices.Clone(b.published), slices.Clone(b.faults)
}

// rig is an uplink between a fake local broker and a cloud, in a synctest bubble.
type rig struct {
	local *localBroker
	up    *uplink.Uplink
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	changes []uplink.Status
}

type dialer func(ctx context.Context, address netip.AddrPort) (net.Conn, error)

func config() uplink.Config {
	c := uplink.Defaults()
	c.URLs, c.ClientID = []string{"mqtt://192.0.2.1"}, "gw"
	c.Send, c.Receive = []string{"edged/gw/#"}, []string{"edged/gw/dev/+/set"}
	return c
}

// start runs an uplink until stop; local may have served an earlier one.
func start(t *testing.T, cfg uplink.Config, local *localBroker, dial dialer) *rig {
	t.Helper()
	return startWith(t, cfg, local, dial, func(*uplink.Deps) {})
}

func startWith(t *testing.T, cfg uplink.Config, local *localBroker, dial dialer, change func(*uplink.Deps)) *rig {
	t.Helper()
	r := &rig{local: local, ended: make(chan struct{})}
	deps := uplink.Deps{
		Gateway: "gw", DialLocal: local.dial, Dial: dial,
		Links: func(context.Context, func()) error { return nil },
		Changed: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, r.up.Status())
		},
	}
	change(&deps)
	var err error
	if r.up, err = uplink.New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() {
		defer close(r.ended)
		if err := r.up.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return r
}

// end stops the uplink and says how long that took.
func (r *rig) end() time.Duration {
	began := time.Now()
	r.stop()
	<-r.ended
	synctest.Wait()
	return time.Since(began)
}

func (r *rig) check(t *testing.T, wantAcked []string) {
	t.Helper()
	acked, left, _, faults := r.local.state()
	if !slices.Equal(acked, wantAcked) {
		t.Errorf("acknowledged on the local broker: %q, want %q", acked, wantAcked)
	}
	if left != 0 {
		t.Errorf("%d messages are still owed", left)
	}
	if faults != nil {
		t.Errorf("the local broker saw faults: %v", faults)
	}
}
