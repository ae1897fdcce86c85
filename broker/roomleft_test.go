// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"testing"

	"edged/broker"
	"edged/broker/journal"
)

// With filters, a full queue keeps the newest of the topics that match, and the oldest of others go, also over a restart.
func TestConflateByFilter(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "restart", "kill"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			var gaps sum
			q := broker.Queue{Size: 1 << 20, WhenFull: "conflate", Conflate: []string{"t/5", "t/6"}}
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
			eventually(t, "all that was dropped is told", func() bool { return gaps.of("queue") == l.status().Dropped })
			st := l.status()
			got, n := l.drained()
			if n+st.Dropped != 99+5500 {
				t.Errorf("%d came, %d were dropped", n, st.Dropped)
			}
			for _, topic := range []string{"t/0", "t/1", "t/2", "t/event"} {
				if all := got[topic]; len(all) == 0 || all[len(all)-1] != newest[topic] {
					t.Errorf("the newest of %s: %v, want %d", topic, all, newest[topic])
				}
			}
			for i := 3; i < 90; i++ {
				topic := fmt.Sprint("t/", i)
				if kept, want := len(got[topic]) > 0, i == 5 || i == 6; kept != want || kept && got[topic][0] != early[topic] {
					t.Errorf("%s: %v, kept should be %v", topic, got[topic], want)
				}
			}
		})
	}
}

// The journal leaves to others what it is told to, and goes on in what it has: its oldest messages are given up as on a full
// disk. With less free from the start it takes its first segments all the same.
func TestJournalLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	const disk = 80 << 20
	for _, leave := range []int64{48 << 20, 200 << 20} {
		t.Run(fmt.Sprint(leave>>20), func(t *testing.T) {
			t.Parallel()
			var gaps sum
			q := broker.Queue{Size: 1 << 30, WhenFull: "drop-oldest"}
			l := newBounded(t, q, func(s *site) {
				s.opts.Gap, s.opts.Queue, s.cfg.Limits.MinFree = gaps.add, q, leave
				s.disk.SetLimit(disk)
			})
			newest := flood(l.site, 0, 1500, 40000, 3)
			eventually(t, "all that was dropped is told", func() bool {
				st := l.status()
				return st.Dropped > 0 && gaps.of("disk") == st.Dropped
			})
			used := int64(0)
			for _, name := range l.disk.Files() {
				used += int64(len(l.disk.Contents(name)))
			}
			if most := max(disk-leave, 5*journal.SegmentSize); used > most {
				t.Errorf("%d bytes are used, more than %d", used, most)
			}
			got, _ := l.drained()
			for topic, k := range newest {
				if all := got[topic]; len(all) == 0 || all[len(all)-1] != k {
					t.Errorf("the newest of %s: %v, want %d", topic, all, k)
				}
			}
		})
	}
}
