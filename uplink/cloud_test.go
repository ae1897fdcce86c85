// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
)

// seen is a message as the cloud's subscribers see it.
type seen struct {
	topic, payload string
	id             uint16
	dup            bool
	connection     int
}

// cloud is a broker as far as one client sees it. It can cut a connection at any packet boundary, and it can forget.
type cloud struct {
	version  byte                                 // 4 or 5
	tls      *tls.Config                          // nil: plain
	strict   func(h byte, body, raw []byte) error // a limit of the cloud: who breaks it is cut off; nil: none
	forgets  bool                                 // no session outlives its connection
	cutAfter int                                  // packets, in both directions, of the first connections; 0: never
	cuts     int                                  // how many connections are cut so

	mu          sync.Mutex
	connections int
	known       bool
	held        map[uint16]bool // identifiers of QoS 2 that the client has not released
	subscribed  bool
	got         []seen
	commands    []wire.Message // to the client
	confirmed   map[uint16]int // of them, by identifier
	faults      []error
}

func (c *cloud) dial(context.Context, netip.AddrPort) (net.Conn, error) {
	ours, theirs := net.Pipe()
	c.mu.Lock()
	c.connections++
	limit := 0
	if c.connections <= c.cuts {
		limit = c.cutAfter
	}
	n := c.connections
	c.mu.Unlock()
	if c.tls != nil {
		ours = tls.Server(ours, c.tls)
	}
	go func() {
		if err := c.serve(ours, n, limit); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, errCut) {
			c.mu.Lock()
			c.faults = append(c.faults, err)
			c.mu.Unlock()
		}
		ours.Close()
	}()
	return theirs, nil
}

var errCut = errors.New("cut")

func (c *cloud) serve(nc net.Conn, n, limit int) error {
	in := &frames{nc: nc}
	count := func() error {
		if limit--; limit == 0 {
			return errCut
		}
		return nil
	}
	for {
		raw, err := in.next()
		if err != nil {
			return err
		}
		answers, err := c.take(raw, n)
		if err == nil {
			err = count()
		}
		for _, a := range answers {
			if err != nil {
				break
			}
			if _, err = nc.Write(a); err == nil {
				err = count()
			}
		}
		if err != nil {
			return err
		}
	}
}

// take returns the answers to a packet.
func (c *cloud) take(raw []byte, n int) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, body := split(raw)
	if c.strict != nil {
		if err := c.strict(h, body, raw); err != nil {
			return nil, err
		}
	}
	switch h >> 4 {
	case wire.Connect:
		present := c.known && !c.forgets
		if !present {
			c.held, c.subscribed = map[uint16]bool{}, false
		}
		c.known = true
		answers := [][]byte{wire.AppendConnack(nil, &wire.ConnackPacket{SessionPresent: present, ReceiveMaximum: 2}, c.version)}
		for i := range c.commands {
			if c.confirmed[uint16(i+1)] == 0 {
				answers = append(answers, wire.AppendPublish(nil, &c.commands[i], c.version, 1, uint16(i+1), true, false, nil, 0))
			}
		}
		return answers, nil
	case wire.Subscribe:
		p, f := wire.DecodeSubscribe(body, c.version)
		if f != nil {
			return nil, f
		}
		c.subscribed = true
		return [][]byte{wire.AppendSuback(nil, p.ID, bytes.Repeat([]byte{1}, len(p.Filters)), c.version)}, nil
	case wire.Publish:
		return c.published(raw, n)
	case wire.Pubrel:
		id, _ := wire.ReadAck(body, c.version)
		delete(c.held, id)
		return [][]byte{wire.AppendAck(nil, wire.Pubcomp, id, 0, c.version)}, nil
	case wire.Puback:
		id, _ := wire.ReadAck(body, c.version)
		c.confirmed[id]++
		return nil, nil
	case wire.Pingreq:
		return [][]byte{{wire.Pingresp << 4, 0}}, nil
	case wire.Disconnect:
		return nil, io.EOF
	}
	return nil, fmt.Errorf("the uplink sent packet type %d", h>>4)
}

func (c *cloud) published(raw []byte, n int) ([][]byte, error) {
	p, f := publishOf(raw, c.version)
	if f != nil {
		return nil, f
	}
	s := seen{p.Message.Topic, string(p.Payload), p.ID, p.Dup, n}
	switch p.QoS {
	case 1:
		c.got = append(c.got, s)
		return [][]byte{wire.AppendAck(nil, wire.Puback, p.ID, 0, c.version)}, nil
	case 2:
		if !c.held[p.ID] {
			c.got = append(c.got, s)
		}
		c.held[p.ID] = true
		return [][]byte{wire.AppendAck(nil, wire.Pubrec, p.ID, 0, c.version)}, nil
	}
	c.got = append(c.got, s)
	return nil, nil
}

// data returns what came on data topics.
func (c *cloud) data() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.got), func(s seen) bool { return !strings.HasSuffix(s.topic, "/data") })
}

// judge wants n messages, numbered from 0, to have come in order: a repeat only of what was in flight, and with the same
// identifier; once says that nothing may repeat.
func judge(t *testing.T, got []seen, n, inflight int, once bool) {
	t.Helper()
	ids := map[string]uint16{}
	next, repeats := 0, 0
	for _, s := range got {
		switch {
		case s.payload == fmt.Sprint(next):
			next++
			ids[s.payload] = s.id
		case ids[s.payload] != 0:
			repeats++
			if ids[s.payload] != s.id {
				t.Errorf("message %s came as %d and again as %d", s.payload, ids[s.payload], s.id)
			}
			if s.connection == 1 {
				t.Errorf("message %s was repeated in the first connection", s.payload)
			}
		default:
			t.Errorf("message %s came when %d was due", s.payload, next)
		}
	}
	if next != n {
		t.Errorf("%d of %d messages came", next, n)
	}
	if repeats > inflight || once && repeats > 0 {
		t.Errorf("%d messages were repeated", repeats)
	}
}

const messages = 8

func TestCutAtEveryPacket(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, version, qos byte, forgets bool) {
		for after := 1; after <= 8+18*int(qos); after++ {
			t.Run(fmt.Sprint("after packet ", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { cutAfter(t, version, qos, forgets, after) })
			})
		}
	})
}

// everyWay is every kind of session that a cloud can keep or forget.
func everyWay(t *testing.T, test func(t *testing.T, version, qos byte, forgets bool)) {
	for _, version := range []byte{4, 5} {
		for _, qos := range []byte{1, 2} {
			for _, forgets := range []bool{false, true} {
				t.Run(fmt.Sprintf("level %d, QoS %d, cloud forgets %t", version, qos, forgets), func(t *testing.T) {
					test(t, version, qos, forgets)
				})
			}
		}
	}
}

func cutAfter(t *testing.T, version, qos byte, forgets bool, after int) {
	cfg := config()
	cfg.Version, cfg.QoS, cfg.Inflight = version, qos, 3
	c, local := &cloud{version: version, forgets: forgets, cutAfter: after, cuts: 2}, &localBroker{known: true}
	for i := range messages {
		local.publish(dataA, fmt.Sprint(i), qos, true)
	}
	r := start(t, cfg, local, c.dial)
	<-time.After(20 * time.Minute) // the cut may come at a ping
	judge(t, c.data(), messages, 2*cfg.Inflight, qos == 2 && !forgets)
	if !c.subscribed {
		t.Error("there is no subscription in the cloud")
	}
	if s := r.up.Status(); s.State != "up" || s.Inflight != 0 {
		t.Errorf("status %+v", s)
	}
	r.end()
	var want []string
	for i := range messages {
		want = append(want, fmt.Sprint(i))
	}
	r.check(t, want)
	if c.faults != nil {
		t.Errorf("the cloud saw faults: %v", c.faults)
	}
	if last := c.got[len(c.got)-1]; last.topic != status || last.payload != "offline" {
		t.Errorf("the last message is %+v, want offline", last)
	}
}

// A crash is an uplink that is there no more, and another one with the same local session.
func TestCrashAtEveryPacket(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, version, qos byte, forgets bool) {
		for after := 1; after <= 8+18*int(qos); after++ {
			t.Run(fmt.Sprint("after packet ", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashAfter(t, version, qos, forgets, after) })
			})
		}
	})
}

func crashAfter(t *testing.T, version, qos byte, forgets bool, after int) {
	cfg := config()
	cfg.Version, cfg.QoS, cfg.Inflight = version, qos, 3
	local := &localBroker{known: true}
	for i := range messages {
		local.publish(dataA, fmt.Sprint(i), qos, true)
	}
	c := &cloud{version: version, forgets: forgets, cutAfter: after, cuts: 1}
	crashed := make(chan struct{})
	first := start(t, cfg, local, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		select {
		case <-crashed:
			return nil, errors.New("this process is dead")
		default:
			close(crashed)
			return c.dial(ctx, a)
		}
	})
	<-time.After(time.Second)
	first.end()
	second := start(t, cfg, local, c.dial)
	<-time.After(time.Minute)
	// At QoS 2 too: a crash between the cloud's PUBCOMP and our PUBREC on the local broker leaves what the cloud has done
	// with unacknowledged there. To acknowledge sooner would lose it to a cloud that forgets.
	judge(t, c.data(), messages, cfg.Inflight, false)
	second.end()
	if _, left, _, faults := local.state(); left != 0 || faults != nil {
		t.Errorf("%d messages are owed, faults %v", left, faults)
	}
}

func TestLocalConnectionLost(t *testing.T) {
	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprintf("session lost %t", lose), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th, local := newTheatre(t), &localBroker{}
				r := start(t, config(), local, th.dial)
				a := th.accept()
				a.welcome(anew, true)
				a.online(0x8000)
				synctest.Wait()
				local.publish(dataA, "0", 1, false)
				a.exactly(pub(2, dataA, 1, "0"))
				local.cut(lose)
				time.Sleep(time.Second)
				if lose { // the identifiers begin anew, while the cloud has not acknowledged the old one
					local.mu.Lock()
					local.lastID = 0
					local.mu.Unlock()
				}
				local.publish(dataA, "1", 1, false)
				if lose {
					a.silence(time.Second)
				} else {
					a.exactly(pub(2, dataA, 2, "1"))
				}
				a.send(ack(wire.Puback, 1))
				if lose {
					a.exactly(pub(2, dataA, 1, "1"))
					a.send(ack(wire.Puback, 1))
				} else {
					a.send(ack(wire.Puback, 2))
				}
				synctest.Wait()
				if s := r.up.Status(); s.Inflight != 0 || s.Sent != 2 {
					t.Errorf("status %+v", s)
				}
				a.close()
				r.end()
				want := []string{"0", "1"}
				if lose {
					want = want[1:]
				}
				r.check(t, want)
			})
		})
	}
}

func TestOrderlyStopWaitsForTheWindow(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprintf("cloud answers %t", answers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th, local := newTheatre(t), &localBroker{}
				r := start(t, config(), local, th.dial)
				a := th.accept()
				a.welcome(anew, true)
				a.online(0x8000)
				synctest.Wait()
				local.publish(dataA, "0", 1, false)
				a.exactly(pub(2, dataA, 1, "0"))
				go func() {
					time.Sleep(time.Second)
					if answers {
						a.send(ack(wire.Puback, 1))
					}
					a.exactly(pub(3, status, 0x8001, "offline"))
					if answers {
						a.send(ack(wire.Puback, 0x8001))
						a.exactly("\xe0\x00")
						a.close()
					} else if b, err := a.in.next(); err == nil {
						t.Errorf("the cloud got %q; without an answer the will must speak", b)
					}
				}()
				if took := r.end(); took > 2500*time.Millisecond || took < time.Second {
					t.Errorf("stopping took %v", took)
				}
				if answers {
					r.check(t, []string{"0"})
				}
			})
		})
	}
}
