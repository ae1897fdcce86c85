// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"edged/broker"
	"edged/mqtt/wire"
)

// flood publishes the numbers from from up to to, with size bytes each, in turn to some topics, and each tenth to t/event
// besides. It returns the last number to each topic.
func flood(s *site, from, to, size, topics int) (newest map[string]int) {
	s.t.Helper()
	pub := s.clean("pub")
	newest = map[string]int{}
	filler := strings.Repeat("x", size)
	put := func(topic string, i int, filler string) {
		pub.publish(topic, strconv.Itoa(i)+" "+filler, 1, uint16(i%60000+1))
		pub.wantAck(wire.Puback, uint16(i%60000+1))
		newest[topic] = i
	}
	for i := from; i < to; i++ {
		put(fmt.Sprint("t/", i%topics), i, filler)
		if i%10 == 0 {
			put("t/event", i, "")
		}
	}
	return newest
}

// drained takes all that the session is owed and returns the numbers of each topic, which have to ascend.
func (l *bounded) drained() (got map[string][]int, n uint64) {
	l.t.Helper()
	owed := l.status().Messages
	c := l.connect(true)
	got = map[string][]int{}
	for ; n < owed; n++ {
		m := c.wantMessage()
		c.ack(wire.Puback, m.id)
		number, _, _ := strings.Cut(m.payload, " ")
		k, err := strconv.Atoi(number)
		if err != nil {
			l.t.Fatal(err)
		}
		if all := got[m.topic]; len(all) > 0 && all[len(all)-1] >= k {
			l.t.Fatalf("%s: %d came after %d", m.topic, k, all[len(all)-1])
		}
		got[m.topic] = append(got[m.topic], k)
	}
	c.quiet()
	c.disconnectAfterPing()
	return got, n
}

// Whatever makes a queue give up its oldest messages, those of reserved topics stay, in order, over restarts and crashes;
// and what is dropped is counted, and told.
func TestReservedTopicsStay(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"queue", "journal", "disk"} {
		for _, end := range []string{"", "restart", "kill"} {
			t.Run(limit+" "+end, func(t *testing.T) {
				t.Parallel()
				reservedStay(t, limit, end)
			})
		}
	}
}

func reservedStay(t *testing.T, limit, end string) {
	var gaps sum
	q := broker.Queue{Size: 1 << 30, WhenFull: "drop-oldest", Reserved: []string{"t/event"}}
	if limit == "queue" {
		q.Size = 16 << 20
	}
	l := newBounded(t, q, func(s *site) {
		s.opts.Gap, s.opts.Queue = gaps.add, q
		switch limit {
		case "journal":
			s.cfg.Limits.Journal, s.cfg.Limits.SessionQueue = 32<<20, 32<<20
		case "disk":
			s.disk.SetLimit(40 << 20)
		}
	})
	newest, all := flood(l.site, 0, 1000, 40000, 3), 1100
	if end != "" {
		if end == "kill" {
			l.kill()
			l.start()
		} else {
			l.restart()
		}
		l.connect(true).disconnectAfterPing()
		newest, all = flood(l.site, 1000, 1500, 40000, 3), 1650
	}
	eventually(t, "all that was dropped is told", func() bool {
		st := l.status()
		return st.Dropped > 0 && gaps.of(limit)+gaps.of("untold") >= st.Dropped
	})
	st := l.status()
	if n := gaps.of(limit); end == "" && n != st.Dropped {
		t.Errorf("%d told, %d dropped", n, st.Dropped)
	}
	got, n := l.drained()
	if n+st.Dropped != uint64(all) {
		t.Errorf("%d came, %d were dropped, of %d", n, st.Dropped, all)
	}
	if len(got["t/event"]) != all/11 {
		t.Errorf("%d of %d events stayed", len(got["t/event"]), all/11)
	}
	for topic, k := range newest {
		if got := got[topic]; got[len(got)-1] != k {
			t.Errorf("the newest of %s is %d, not %d", topic, got[len(got)-1], k)
		}
	}
}

// With conflate, a full queue keeps the newest of each topic, in order, also of one that nobody publishes to any more.
func TestConflateKeepsTheNewest(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "restart", "kill"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			var gaps sum
			q := broker.Queue{Size: 1 << 20, WhenFull: "conflate"}
			l := newBounded(t, q, func(s *site) { s.opts.Gap, s.opts.Queue = gaps.add, q })
			early := flood(l.site, 0, 90, 1000, 90)
			if end == "kill" {
				l.kill()
				l.start()
			} else if end != "" {
				l.restart()
			}
			l.connect(true).disconnectAfterPing()
			newest := flood(l.site, 1000, 6000, 1000, 3)
			st := l.status()
			if st.Dropped == 0 || st.Bytes > 3<<19 {
				t.Errorf("%+v", st)
			}
			eventually(t, "all that was dropped is told", func() bool { return gaps.of("queue") == l.status().Dropped })
			got, n := l.drained()
			if n+st.Dropped != 99+5500 {
				t.Errorf("%d came, %d were dropped", n, st.Dropped)
			}
			for topic, k := range newest {
				early[topic] = k
			}
			for topic, k := range early {
				if all := got[topic]; len(all) == 0 || all[len(all)-1] != k {
					t.Errorf("the newest of %s: %v, want %d", topic, all, k)
				}
			}
		})
	}
}
