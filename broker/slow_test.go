// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// A disk that takes a second for a call, as an SD card may, is noticed by those who wait for an acknowledgement or for
// their backlog, and by nobody else: live messages of QoS 0 and 1 go on at once.
func TestLiveClientsDoNotNoticeASlowDisk(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"read", "datasync"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			away := s.connect(kept(), false)
			away.subscribe(1, 1, "t/#")
			away.disconnectAfterPing()
			pub, live, zero := s.clean("pub"), s.clean("live"), s.clean("zero")
			live.subscribe(1, 1, "t/#")
			filler := strings.Repeat("x", 5000)
			for i := range 200 { // a backlog that has to be read
				pub.publish("t/a", filler, 1, uint16(i+1))
				pub.wantAck(wire.Puback, uint16(i+1))
				live.wantPayload(filler)
			}
			open, waiting := make(chan struct{}), make(chan struct{}, 1)
			s.disk.SetFault(func(op journaltest.Op) error {
				if op.Kind == kind {
					select {
					case waiting <- struct{}{}:
					default:
					}
					<-open
				}
				return nil
			})
			again := s.connect(kept(), true) // its backlog is read
			pub.publish("t/a", "first", 1, 1000)
			select {
			case <-waiting:
			case <-time.After(patience):
				t.Fatalf("no %s", kind)
			}
			live.wantPayload("first")
			for i := range 50 { // the disk answers nothing meanwhile
				pub.publish("t/a", strconv.Itoa(i), 1, uint16(i+1))
				live.wantPayload(strconv.Itoa(i))
				zero.publish("t/zero", strconv.Itoa(i), 0, 0)
				live.wantPayload(strconv.Itoa(i))
			}
			close(open)
			pub.wantAck(wire.Puback, 1000)
			for n := 0; n < 200; n++ {
				m := again.wantMessage()
				if m.qos == 0 { // it waits for nothing older
					n--
					continue
				}
				again.ack(wire.Puback, m.id)
				if m.payload != filler {
					t.Fatalf("got %q", m.payload)
				}
			}
		})
	}
}

// SUBSCRIBE with a wildcard over 10,000 retained messages, on a disk that does not answer, does not hold up who publishes.
func TestLiveClientsDoNotNoticeALargeSubscribe(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pub, live := s.clean("pub"), s.clean("live")
	live.subscribe(1, 1, "live")
	const all = 10000
	for i := 0; i < all; i += 500 {
		for k := i; k < i+500; k++ {
			pub.send(pub.frame(fmt.Sprintf("r/%d", k), "x", 1, uint16(k+1), true))
		}
		for k := i; k < i+500; k++ {
			pub.wantAck(wire.Puback, uint16(k+1))
		}
	}
	g := newGate(s.disk)
	many := s.clean("many")
	p := wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "#", QoS: 0}}}
	many.send(wire.AppendSubscribe(nil, &p, 4))
	worst := time.Duration(0)
	for i := range 200 {
		began := time.Now()
		pub.publish("live", strconv.Itoa(i), 0, 0)
		live.wantPayload(strconv.Itoa(i))
		worst = max(worst, time.Since(began))
	}
	close(g.open)
	many.want(wire.Suback)
	if worst > time.Second {
		t.Errorf("a live message took %v", worst)
	}
}
