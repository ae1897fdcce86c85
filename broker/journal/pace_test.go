// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// poll is how often a publisher looks whether its record is durable.
const poll = 500 * time.Microsecond

func TestGroups(t *testing.T) {
	const cost = 5 * time.Millisecond // of an fdatasync
	tests := map[string]struct {
		publishers int
		pause      time.Duration // of each after its record is durable; negative: from record to record, which it does not await
		min, max   int           // commits in 2 s
		wait       time.Duration // of any record at most
	}{
		"one at a time does not wait for company": {1, 0, 350, 400, 2*cost + poll},
		"a record after a rest does not wait":     {1, time.Second, 2, 3, cost + poll},
		"many are gathered":                       {20, 0, 220, 300, 3 * cost},
		"many at their own pace for longer":       {4, -16 * time.Millisecond, 70, 130, 20*time.Millisecond + 2*cost + poll},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				l := w.begin()
				l.batch(1)
				time.Sleep(time.Second)
				commits := 0
				w.disk.SetFault(func(op journaltest.Op) error {
					if op.Kind == "datasync" {
						time.Sleep(cost)
						commits++
					}
					return nil
				})
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				worst := publishAll(ctx, l.j, tt.publishers, tt.pause)
				if err := l.end(); err != nil {
					t.Error(err)
				}
				if commits < tt.min || commits > tt.max {
					t.Errorf("%d commits, want %d to %d", commits, tt.min, tt.max)
				}
				if worst > tt.wait {
					t.Errorf("a record waited %v, want at most %v", worst, tt.wait)
				}
			})
		})
	}
}

// publishAll runs publishers until ctx ends; each waits for its record before the next. It returns the longest wait.
func publishAll(ctx context.Context, j *journal.Journal, n int, pause time.Duration) (worst time.Duration) {
	waits := make(chan time.Duration)
	for i := range n {
		go func() {
			longest := time.Duration(0)
			if pause < 0 {
				longest = publishPaced(ctx, j, -pause, -pause*time.Duration(i)/time.Duration(n))
			}
			for pause >= 0 && ctx.Err() == nil {
				began := time.Now()
				for p := j.Append(kind, []byte("x")); j.Durable() <= p && ctx.Err() == nil; {
					<-time.After(poll)
				}
				if ctx.Err() == nil {
					longest = max(longest, time.Since(began))
				}
				if pause > 0 {
					<-time.After(pause)
				}
			}
			waits <- longest
		}()
	}
	for range n {
		worst = max(worst, <-waits)
	}
	return worst
}

// virtually waits by the test's own clock.
func virtually(d time.Duration) { <-time.After(d) }

// publishPaced appends a record each time until ctx ends, whether the last is durable or not.
func publishPaced(ctx context.Context, j *journal.Journal, every, from time.Duration) (worst time.Duration) {
	virtually(from)
	tick := time.NewTicker(every)
	defer tick.Stop()
	waits := make(chan time.Duration)
	n := 0
	for ; ctx.Err() == nil; n++ {
		<-tick.C
		p, began := j.Append(kind, []byte("x")), time.Now()
		go func() {
			for j.Durable() <= p {
				<-time.After(poll)
			}
			waits <- time.Since(began)
		}()
	}
	for range n {
		worst = max(worst, <-waits)
	}
	return worst
}

func TestNoteWaitsForCompany(t *testing.T) {
	const gathered = 25 * time.Millisecond // a commit under load is over by then
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		l.batch(1)
		time.Sleep(time.Second)
		after := func(note bool, d time.Duration) bool { // whether a record is durable by then
			put := l.j.Append
			if note {
				put = l.j.Note
			}
			p := put(kind, []byte("x"))
			time.Sleep(d)
			return l.j.Durable() > p
		}
		if !after(false, time.Millisecond) {
			t.Error("a record is not durable at once")
		}
		time.Sleep(100 * time.Millisecond) // of the second in which the journal looks for notes
		if after(true, 500*time.Millisecond) {
			t.Error("a note caused a commit")
		}
		if !after(false, gathered) {
			t.Error("a record is not durable soon while a note waits")
		}
		if !after(true, 1100*time.Millisecond) {
			t.Error("a note is not written within a second")
		}
		l.j.Note(kind, []byte("x"))
		l.j.Hurry()
		if time.Sleep(gathered); l.j.Pending() > 0 {
			t.Error("a note is not written for who waits")
		}
		time.Sleep(gathered)
		for range 16 {
			l.j.Note(kind, []byte("x"))
		}
		if time.Sleep(gathered); l.j.Pending() > 0 {
			t.Error("sixteen notes are not written")
		}
		if err := l.end(); err != nil {
			t.Error(err)
		}
	})
}
