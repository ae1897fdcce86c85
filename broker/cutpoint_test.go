// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// drive is a client that publishes to a broker whose disk fails somewhere, and what it was promised.
type drive struct {
	*site
	pub        *peer
	subscribed bool
	said       int          // 0, 1, … were published, even ones at QoS 1, odd ones at QoS 2
	acked      map[int]bool // that the broker has taken over
	open       map[int]bool // of QoS 2: PUBREC came, PUBCOMP did not
	unsure     []int        // of QoS 2: neither came
	retained   int          // the last retained value that was acknowledged, -1: none
	over       func() bool  // the disk takes nothing more
}

func sender() wire.ConnectPacket { return wire.ConnectPacket{Level: 4, ClientID: "sender"} }

// answer waits for a packet of a kind. It is false once the disk is gone and nothing comes.
func (d *drive) answer(c *peer, kind byte) bool {
	d.t.Helper()
	for tries := 0; tries < 2000; tries++ {
		gone := d.over()
		h, _, err := c.packet(10 * time.Millisecond)
		switch {
		case err == nil && h>>4 == kind:
			return true
		case err == nil:
			d.t.Fatalf("packet type %d, want %d", h>>4, kind)
		case isEnd(err):
			d.t.Fatalf("the connection ended: %v", err)
		case gone:
			return false
		}
	}
	d.t.Fatalf("no packet of type %d", kind)
	return false
}

// run does what clients do, as far as the disk lets it.
func (d *drive) run() {
	sub := d.connect(kept(), false)
	sub.send(wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "t", QoS: 2}}}, 4))
	if d.subscribed = d.answer(sub, wire.Suback); !d.subscribed {
		return
	}
	sub.drop()
	d.pub = d.connect(sender(), false)
	for d.said < 12 {
		n := d.said
		d.said++
		qos := byte(1 + n%2)
		d.pub.publish("t", strconv.Itoa(n), qos, uint16(n+1))
		if qos == 1 {
			if d.acked[n] = d.answer(d.pub, wire.Puback); !d.acked[n] {
				return
			}
			continue
		}
		if d.acked[n] = d.answer(d.pub, wire.Pubrec); !d.acked[n] {
			d.unsure = append(d.unsure, n)
			return
		}
		d.open[n] = true
		d.pub.ack(wire.Pubrel, uint16(n+1))
		if !d.answer(d.pub, wire.Pubcomp) {
			return
		}
		delete(d.open, n)
		d.pub.send(d.pub.frame("kept", strconv.Itoa(n), 1, 99, true))
		if !d.answer(d.pub, wire.Puback) {
			return
		}
		d.retained = n
	}
}

// resume is what the sender does after the crash: it repeats what is open.
func (d *drive) resume() {
	if d.pub == nil {
		return
	}
	pub := d.dial()
	pub.connect(sender())
	for _, n := range d.unsure {
		m := wire.Message{Topic: "t", Payload: []byte(strconv.Itoa(n))}
		pub.send(wire.AppendPublish(nil, &m, 4, 2, uint16(n+1), true, false, nil, 0))
		pub.wantAck(wire.Pubrec, uint16(n+1))
		d.acked[n], d.open[n] = true, true
	}
	for n := range d.open {
		pub.ack(wire.Pubrel, uint16(n+1))
		pub.wantAck(wire.Pubcomp, uint16(n+1))
	}
}

// check starts the broker again and holds what it has against what it promised.
func (d *drive) check() {
	d.t.Helper()
	d.start()
	if e603 := d.Status().Alarms["E603"]; e603 != "" {
		d.t.Errorf("a crash counts as damage: %s", e603)
	}
	d.resume()
	sub := d.dial()
	if ack := sub.connect(kept()); ack.SessionPresent != d.subscribed && d.subscribed {
		d.t.Fatal("the session is gone")
	}
	sub.subscribe0("end")
	var got []int
	for {
		h, body, err := sub.packet(patience)
		if err != nil {
			d.t.Fatalf("after %v: %v", got, err)
		}
		if h>>4 == wire.Suback {
			d.clean("end").publish("end", "end", 2, 1)
		}
		if h>>4 != wire.Publish {
			continue
		}
		m := sub.read(h, body)
		if sub.ack(wire.Puback+m.qos-1, m.id); m.topic == "end" {
			break
		}
		n, err := strconv.Atoi(m.payload)
		if err != nil {
			d.t.Fatal(err)
		}
		got = append(got, n)
	}
	if !ascending(got) {
		d.t.Errorf("got %v: out of order, or twice", got)
	}
	for n, ok := range d.acked {
		if ok && !slices.Contains(got, n) {
			d.t.Errorf("%d was acknowledged and is lost; got %v", n, got)
		}
	}
	value := -1
	for _, m := range d.Retained("kept") {
		value, _ = strconv.Atoi(string(m.Payload))
	}
	if value < d.retained {
		d.t.Errorf("retained is %d, acknowledged was %d", value, d.retained)
	}
}

// subscribe0 asks for a subscription without waiting for its SUBACK.
func (c *peer) subscribe0(filter string) {
	c.send(wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: filter, QoS: 2}}}, 4))
}

// Wherever the power is cut, and whatever of the cache reaches the disk: nothing that was acknowledged is lost, QoS 2
// comes once, the order holds, and the start is not refused.
func TestEveryCutPoint(t *testing.T) {
	t.Parallel()
	for survival := journaltest.Lost; survival <= journaltest.Torn; survival++ {
		for n := 1; ; n++ {
			cut := false
			t.Run(fmt.Sprintf("call %d, %v", n, survival), func(t *testing.T) {
				d := newDrive(t, func(s *site) { s.disk.CutAt(n) })
				d.over = func() bool { return d.disk.Calls() >= n }
				d.run()
				cut = d.over()
				d.kill()
				d.disk.Cut(survival, rand.New(rand.NewPCG(uint64(n), uint64(survival))))
				d.check()
			})
			if !cut {
				break
			}
		}
	}
}

// Wherever one call to the disk fails, is short, or finds no room: everybody is answered all the same, and kill -9 with a
// cut of the power loses nothing.
func TestEveryCallFailsOnce(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{unix.EIO, unix.ENOSPC} {
		for n := 1; ; n++ {
			failed := false
			t.Run(fmt.Sprintf("call %d, %v", n, fault), func(t *testing.T) {
				d := newDrive(t, func(s *site) {
					s.disk.SetFault(func(op journaltest.Op) error {
						if op.N == n {
							failed = true
							return fault
						}
						return nil
					})
				})
				d.run()
				if d.said < 12 {
					t.Errorf("only %d messages were taken", d.said)
				}
				d.kill()
				d.disk.Cut(journaltest.Lost, nil)
				d.check()
			})
			if !failed {
				break
			}
		}
	}
}

func newDrive(t *testing.T, change func(s *site)) *drive {
	d := &drive{acked: map[int]bool{}, open: map[int]bool{}, retained: -1, over: func() bool { return false }}
	d.site = newSite(t, change)
	return d
}
