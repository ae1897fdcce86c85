// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// theatre lets a test play the cloud, packet by packet.
type theatre struct {
	t     *testing.T
	dials chan net.Conn
}

func newTheatre(t *testing.T) *theatre { return &theatre{t: t, dials: make(chan net.Conn)} }

func (th *theatre) dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case th.dials <- ours:
		return theirs, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// actor is the cloud's end of one connection.
type actor struct {
	t     *testing.T
	in    *frames
	stash [][]byte
}

func (th *theatre) accept() *actor {
	nc := <-th.dials
	return &actor{t: th.t, in: &frames{nc: nc}}
}

// want returns the next packet of a type; others are kept for later.
func (a *actor) want(kind byte) []byte {
	a.t.Helper()
	if i := slices.IndexFunc(a.stash, func(b []byte) bool { return b[0]>>4 == kind }); i >= 0 {
		b := a.stash[i]
		a.stash = slices.Delete(a.stash, i, i+1)
		return b
	}
	for {
		b, err := a.in.next()
		if err != nil {
			a.t.Fatalf("waiting for packet type %d: %v", kind, err)
		}
		if b[0]>>4 == kind {
			return b
		}
		a.stash = append(a.stash, b)
	}
}

// exactly wants the next packet of the same type to be these bytes.
func (a *actor) exactly(want string) {
	a.t.Helper()
	if got := a.want(want[0] >> 4); !bytes.Equal(got, []byte(want)) {
		a.t.Errorf("the cloud got %q, want %q", got, want)
	}
}

func (a *actor) send(b string) {
	a.t.Helper()
	if _, err := a.in.nc.Write([]byte(b)); err != nil {
		a.t.Fatalf("write to the uplink: %v", err)
	}
}

func (a *actor) close() {
	if err := a.in.nc.Close(); err != nil {
		a.t.Error(err)
	}
	a.stash = nil
}

// silence wants no packet for a while.
func (a *actor) silence(d time.Duration) {
	a.t.Helper()
	if err := a.in.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		a.t.Fatal(err)
	}
	if b, err := a.in.next(); err == nil {
		a.t.Errorf("the cloud got %q, want nothing", b)
	}
	if err := a.in.nc.SetReadDeadline(time.Time{}); err != nil {
		a.t.Fatal(err)
	}
	for _, b := range a.stash {
		a.t.Errorf("the cloud got %q, want nothing", b)
	}
}

const (
	// 3.1.1, a session that is kept, will of QoS 1 with RETAIN, 60 s.
	connect   = "\x10\x28\x00\x04MQTT\x04\x2c\x00\x3c\x00\x02gw\x00\x0fedged/gw/status\x00\x07offline"
	subscribe = "\x82\x17\xff\xff\x00\x12edged/gw/dev/+/set\x01"
	suback    = "\x90\x03\xff\xff\x01"
	anew      = "\x20\x02\x00\x00"
	again     = "\x20\x02\x01\x00"
)

// pub is a PUBLISH; flags are those of the fixed header.
func pub(flags byte, topic string, id uint16, payload string) string {
	b := []byte{wire.Publish<<4 | flags}
	n := 2 + len(topic) + len(payload)
	if flags&6 != 0 {
		n += 2
	}
	b = wire.AppendLength(b, n)
	b = append(append(b, 0, byte(len(topic))), topic...)
	if flags&6 != 0 {
		b = append(b, byte(id>>8), byte(id))
	}
	return string(b) + payload
}

func ack(kind byte, id uint16) string { return string(wire.AppendAck(nil, kind, id, 0, 4)) }

const (
	status = "edged/gw/status"
	dataA  = "edged/gw/dev/a/data"
	setA   = "edged/gw/dev/a/set"
)

// welcome plays the opening of a session: CONNACK, presence and, where the cloud has no session, the subscription.
func (a *actor) welcome(connack string, asks bool) {
	a.t.Helper()
	a.exactly(connect)
	a.send(connack)
	if asks {
		a.exactly(subscribe)
		a.send(suback)
	}
}

// online wants the presence, perhaps after others, and acknowledges it.
func (a *actor) online(id uint16) {
	a.t.Helper()
	a.exactly(pub(3, status, id, "online"))
	a.send(ack(wire.Puback, id))
}

func TestSessionPresent(t *testing.T) {
	for _, c := range []struct {
		name    string
		present bool
	}{{"kept by the cloud", true}, {"forgotten by the cloud", false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sessionPresent(t, c.present) })
		})
	}
}

func sessionPresent(t *testing.T, present bool) {
	th, local := newTheatre(t), &localBroker{lastID: 500}
	r := start(t, config(), local, th.dial)
	a := th.accept()
	a.welcome(anew, true)
	a.online(0x8000)
	for i := range 3 {
		local.publish(dataA, fmt.Sprint(i), 1, true)
		a.exactly(pub(3, dataA, uint16(501+i), fmt.Sprint(i)))
	}
	a.send(ack(wire.Puback, 501))
	synctest.Wait()
	if acked, left, _, _ := local.state(); len(acked) != 1 || left != 2 {
		t.Fatalf("acknowledged locally %q, owed %d; want only what the cloud acknowledged", acked, left)
	}
	a.close()
	synctest.Wait()
	local.publish(dataA, "3", 1, false) // while there is no cloud

	a = th.accept()
	connack, dup := anew, byte(0)
	if present {
		connack, dup = again, 8
	}
	a.welcome(connack, !present)
	a.exactly(pub(3|dup, dataA, 502, "1"))
	a.exactly(pub(3|dup, dataA, 503, "2"))
	a.exactly(pub(3, status, 503^0x8000, "online"))
	a.exactly(pub(2, dataA, 504, "3"))
	for _, id := range []uint16{502, 503, 503 ^ 0x8000, 504} {
		a.send(ack(wire.Puback, id))
	}
	synctest.Wait()
	s := r.up.Status()
	if s.State != uplink.Up || s.Code != "" || s.SessionPresent != present || s.Reconnects != 1 || s.Inflight != 0 || s.Sent != 4 {
		t.Errorf("status %+v", s)
	}
	go func() {
		a.exactly(pub(3, status, 504^0x8000, "offline"))
		a.send(ack(wire.Puback, 504^0x8000))
		a.exactly("\xe0\x00")
		a.close()
	}()
	if took := r.end(); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
	r.check(t, []string{"0", "1", "2", "3"})
}

func TestRepeatAfterACrashBearsTheSameIdentifier(t *testing.T) {
	for _, c := range []struct {
		name    string
		connack string
		flags   byte
	}{{"session kept", again, 8 | 2}, {"session forgotten", anew, 2}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				local := &localBroker{known: true, lastID: 77}
				local.owed = []*owed{
					{id: 76, sent: true, msg: wire.Message{Topic: dataA, Payload: []byte("x"), QoS: 1}},
					{id: 77, sent: false, msg: wire.Message{Topic: dataA, Payload: []byte("y"), QoS: 1}},
				}
				th := newTheatre(t)
				r := start(t, config(), local, th.dial)
				a := th.accept()
				a.welcome(c.connack, true) // this process has not asked yet, and receive may be another
				a.online(0x8000)
				a.exactly(pub(c.flags, dataA, 76, "x"))
				a.exactly(pub(2, dataA, 77, "y"))
				a.send(ack(wire.Puback, 76) + ack(wire.Puback, 77))
				synctest.Wait()
				a.close()
				r.end()
				r.check(t, []string{"x", "y"})
			})
		})
	}
}

func TestLocalSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Inflight, cfg.QoS = 7, 2
		cfg.Send = []string{"plc/#", "plc/1"}
		local, th := &localBroker{}, newTheatre(t)
		r := start(t, cfg, local, th.dial)
		synctest.Wait()
		p := local.connects[0]
		if p.Level != 5 || p.Clean || p.ClientID != uplink.ClientID || p.ReceiveMaximum != 7 || p.SessionExpiry < 7*86400 || p.Will != nil {
			t.Errorf("CONNECT to the local broker: %+v", p)
		}
		var filters []string
		for _, s := range local.subs {
			filters = append(filters, s.Filter)
			if s.QoS != 2 || !s.NoLocal || !s.RetainAsPublished || s.RetainHandling != 1 {
				t.Errorf("subscription %+v", s)
			}
		}
		if got := strings.Join(filters, " "); got != "plc/# edged/gw/info edged/gw/health edged/gw/event" {
			t.Errorf("subscribed to %q", got)
		}
		r.end()
	})
}

func TestWhatGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Prefix = "p/"
		local, th := &localBroker{}, newTheatre(t)
		r := start(t, cfg, local, th.dial)
		synctest.Wait()
		local.publish("edged/gw/health", "lost", 0, true) // nobody is connected
		a := th.accept()
		a.want(wire.Connect)
		a.send(anew)
		if got := a.want(wire.Subscribe); !bytes.Contains(got, []byte("p/"+setA[:len("edged/gw/dev/")]+"+/set")) {
			t.Errorf("SUBSCRIBE %q", got)
		}
		a.send(suback)
		a.exactly(pub(3, "p/"+status, 0x8000, "online"))
		a.send(ack(wire.Puback, 0x8000))
		local.publish(status, "online", 1, true)
		local.publish(setA, `{"x":1}`, 1, false)
		local.publish("edged/gw/health", "h", 0, true)
		local.publish(dataA, "d", 2, true)
		a.exactly(pub(1, "p/edged/gw/health", 0, "h"))
		a.exactly(pub(3, "p/"+dataA, 3, "d")) // QoS 2 here, 1 there
		a.send(ack(wire.Puback, 3))
		synctest.Wait()
		if s := r.up.Status(); s.Discarded != 1 || s.Sent != 2 {
			t.Errorf("status %+v, want 1 discarded and 2 sent", s)
		}
		a.close()
		r.end()
		r.check(t, []string{"online", `{"x":1}`, "d"})
	})
}
