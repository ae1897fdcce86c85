// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

// What an offline session gives up is told, all of it once: how many, and the first and last of each topic; what it still
// gets follows on.
func TestGapsAreTold(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"queue", "journal"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var gaps []broker.Gap
			s := newSite(t, func(s *site) {
				if s.cfg.Limits.SessionQueue = 1 << 20; limit == "journal" {
					s.cfg.Limits.SessionQueue, s.cfg.Limits.Journal = 1<<30, 8<<20
				}
				s.opts.Gap = func(g broker.Gap) {
					mu.Lock()
					defer mu.Unlock()
					gaps = append(gaps, g)
				}
			})
			sub := s.connect(kept(), false)
			sub.subscribe(1, 1, "t/#")
			sub.disconnectAfterPing()
			pub := s.clean("pub")
			all, filler := 400, strings.Repeat("x", 20000)
			if limit == "journal" {
				all = 1500
			}
			for i := range all {
				pub.publish("t/"+strconv.Itoa(i%3), strconv.Itoa(i)+" "+filler[:4000], 1, uint16(i+1))
				pub.publish("t/long", strconv.Itoa(i)+" "+filler, 1, uint16(i+5001))
				pub.wantAck(wire.Puback, uint16(i+1))
				pub.wantAck(wire.Puback, uint16(i+5001))
			}
			told := func() (n uint64, last string) {
				mu.Lock()
				defer mu.Unlock()
				for _, g := range gaps {
					if g.ClientID != "p" || g.Reason != limit {
						t.Errorf("gap of %q for %q", g.ClientID, g.Reason)
					}
					n += g.Messages
					for _, x := range g.Topics {
						if x.Topic == "t/0" {
							last, _, _ = strings.Cut(string(x.Last), " ")
						}
					}
				}
				return n, last
			}
			eventually(t, "all that was dropped is told", func() bool {
				n, _ := told()
				st, _ := s.Session("p")
				return n > 0 && n == st.Dropped
			})
			n, last := told()
			mu.Lock()
			first := gaps[0].Topics[0]
			mu.Unlock()
			if first.Topic != "t/0" || !strings.HasPrefix(string(first.First), "0 ") {
				t.Errorf("the first gap begins with %q of %s", first.First[:4], first.Topic)
			}
			sub = s.connect(kept(), true)
			got, lowest := uint64(0), -1
			for got < uint64(2*all)-n {
				m := sub.wantMessage()
				sub.ack(wire.Puback, m.id)
				if got++; m.topic == "t/0" && lowest < 0 {
					number, _, _ := strings.Cut(m.payload, " ")
					lowest, _ = strconv.Atoi(number)
				}
			}
			if k, _ := strconv.Atoi(last); k+3 != lowest {
				t.Errorf("the gap ends with %s, the rest begins with %d", last, lowest)
			}
		})
	}
}

// A record that rots while its message waits costs that message, which is counted and told.
func TestDamageWhileFeedingIsTold(t *testing.T) {
	t.Parallel()
	gaps := make(chan broker.Gap, 10)
	s := newSite(t, func(s *site) { s.opts.Gap = func(g broker.Gap) { gaps <- g } })
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	sub.disconnectAfterPing()
	pub := s.clean("pub")
	const all, bad = 20, 7
	for i := range all {
		pub.publish("t", "payload-"+strconv.Itoa(i), 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	for _, name := range s.disk.Files() {
		if at := bytes.Index(s.disk.Contents(name), []byte("payload-"+strconv.Itoa(bad))); at > 0 {
			s.disk.Damage(name, int64(at), []byte("?"))
		}
	}
	sub = s.connect(kept(), true)
	for i := range all {
		if i != bad {
			sub.wantPayload("payload-" + strconv.Itoa(i))
		}
	}
	sub.quiet()
	if st, _ := s.Session("p"); st.Dropped != 1 || st.Messages != 0 {
		t.Errorf("the session: %+v", st)
	}
	select {
	case g := <-gaps:
		if g.ClientID != "p" || g.Reason != "damage" || g.Messages != 1 {
			t.Errorf("told of %+v", g)
		}
	case <-time.After(patience):
		t.Error("nothing was told of the message that was lost")
	}
}

// What was given up and cannot be read any more is counted with the rest.
func TestDamageInWhatWasGivenUpIsCounted(t *testing.T) {
	t.Parallel()
	var told atomic.Uint64
	s := newSite(t, func(s *site) {
		s.cfg.Limits.SessionQueue = 1 << 20
		s.opts.Gap = func(g broker.Gap) { told.Add(g.Messages) }
	})
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	sub.disconnectAfterPing()
	pub := s.clean("pub")
	filler := strings.Repeat("x", 20000)
	for i := range 120 {
		pub.publish("t", "payload-"+strconv.Itoa(i)+" "+filler, 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
		if i > 0 {
			continue
		}
		for _, name := range s.disk.Files() {
			if at := bytes.Index(s.disk.Contents(name), []byte("payload-0")); at > 0 {
				s.disk.Damage(name, int64(at), []byte("?"))
			}
		}
	}
	eventually(t, "all that was dropped is told", func() bool {
		st, _ := s.Session("p")
		return st.Dropped > 0 && told.Load() == st.Dropped
	})
}

// A session in this process whose queue may be longer than others' keeps it over a start, whatever is published before it
// is there again.
func TestLongQueueOfAnInsideSessionOutlivesAStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SessionQueue = 1 << 20 })
	id := broker.Identity{ClientID: "edged-long", Subscribe: []string{"#"}, Queue: broker.Queue{Size: 8 << 20}}
	dial := func(present bool) *peer {
		nc, err := s.Dial(id)
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, nc)
		if ack := c.connect(wire.ConnectPacket{Level: 4, ClientID: id.ClientID}); ack.SessionPresent != present {
			t.Fatalf("session present %v", ack.SessionPresent)
		}
		return c
	}
	c := dial(false)
	c.subscribe(1, 1, "t")
	c.disconnectAfterPing()
	filler := strings.Repeat("x", 10000)
	publish := func(n int) {
		pub := s.clean("pub")
		for i := range n {
			pub.publish("t", filler, 1, uint16(i+1))
			pub.wantAck(wire.Puback, uint16(i+1))
		}
	}
	publish(300)
	s.restart()
	publish(5)
	c = dial(true)
	for range 305 {
		c.wantPayload(filler)
	}
	c.quiet()
	if st, _ := s.Session(id.ClientID); st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}
