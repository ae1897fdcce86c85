// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// calls are the numbers of a script's changes to the disk that are worth a fault: all, but of the many equal steps that
// fill a spare segment only some.
func calls(t *testing.T, limit int64, script func(*life)) (worth []int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.disk.SetLimit(limit)
		w.disk.SetFault(func(op journaltest.Op) error {
			if op.N > 0 && (op.Name != "spare.new" || op.Kind == "create" || op.Kind == "rename" || op.N%7 == 0) {
				worth = append(worth, op.N)
			}
			return nil
		})
		l := w.begin()
		script(l)
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
		w.open()
		if w.alarm.count("E602")+w.alarm.count("E603") != 0 {
			t.Errorf("alarms on a sound disk: %v", w.alarm.up)
		}
	})
	if len(worth) < 20 {
		t.Fatalf("the script makes only %d calls", len(worth))
	}
	for k := range worth[:len(worth)/everyCall] {
		worth[k] = worth[k*everyCall]
	}
	return worth[:len(worth)/everyCall]
}

// TestMain lets garbage grow: each of some thousand starts needs the memory of a segment for a moment.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

func TestPowerCutAtEveryCall(t *testing.T) {
	tests := map[string]struct {
		how    journaltest.Survival
		seed   uint64
		every  int // the kindest cut is met at every call by TestKillAtEveryCall
		limit  int64
		script func(*life)
	}{
		"lost":               {journaltest.Lost, 1, 1, 0, (*life).script},
		"kept":               {journaltest.Kept, 1, 3, 0, (*life).script},
		"torn":               {journaltest.Torn, 1, 1, 0, (*life).script},
		"torn otherwise":     {journaltest.Torn, 2, 1, 0, (*life).script},
		"lost when recycled": {journaltest.Lost, 1, 1, recycleLimit, (*life).recycle},
		"torn when recycled": {journaltest.Torn, 1, 1, recycleLimit, (*life).recycle},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k, at := range calls(t, tt.limit, tt.script) {
				if k%tt.every > 0 {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, tt.seed<<32|uint64(at))
					w.at("%s, cut at call %d", name, at)
					w.disk.SetLimit(tt.limit)
					w.disk.CutAt(at)
					l := w.begin()
					tt.script(l)
					_ = l.end() // says that the disk is gone, or nothing when the cut came with the last call
					w.cutAgain(tt.how)
				})
			}
		})
	}
}

// cutAgain finds the power cut, sees to the next life, cuts the power early in that, and sees to one more.
func (w *world) cutAgain(how journaltest.Survival) {
	w.disk.Cut(how, w.rng)
	again := 1 + w.rng.IntN(12)
	w.disk.CutAt(again)
	w.where = fmt.Sprintf("%s, then at call %d", w.where, again)
	l := w.begin()
	l.batch(3)
	l.batch(1)
	_ = l.end()
	if w.alarm.count("E603") > 0 {
		w.t.Errorf("%s: what a crash left was taken for damage: %s", w.where, w.alarm.up["E603"])
	}
	w.disk.Cut(how, w.rng)
	w.disk.SetLimit(0)
	l = w.begin()
	if !l.batch(3) {
		w.t.Errorf("%s: nothing is committed any more: %v", w.where, w.alarm.up)
	}
	if err := l.end(); err != nil {
		w.t.Errorf("%s: stop: %v", w.where, err)
	}
	w.open()
	if w.alarm.count("E603") > 0 {
		w.t.Errorf("%s: what a crash left was taken for damage later: %s", w.where, w.alarm.up["E603"])
	}
}

func TestKillAtEveryCall(t *testing.T) {
	t.Parallel()
	for _, at := range calls(t, 0, (*life).script) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.at("killed at call %d, then a power cut", at)
			w.disk.CutAt(at)
			l := w.begin()
			l.script()
			_ = l.end()
			w.disk.Kill()
			// What is replayed counts as stored from now on, so a power cut must not take it.
			j := w.open()
			w.safe = j.Durable()
			w.disk.Cut(journaltest.Lost, w.rng)
			w.open()
			if w.alarm.count("E603") > 0 {
				t.Errorf("%s: %s", w.where, w.alarm.up["E603"])
			}
		})
	}
}

func TestFailureOfEveryCall(t *testing.T) {
	worth := calls(t, 0, (*life).script)
	for name, run := range map[string]int{"once": 1, "four times": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k, at := range worth {
				if run > 1 && k%2 > 0 {
					continue
				}
				synctest.Test(t, func(t *testing.T) { failThenCut(t, at, run) })
			}
		})
	}
}

// failThenCut lets some calls fail, sees the journal get over it, and cuts the power to see what really is on the disk.
func failThenCut(t *testing.T, at, run int) {
	w := newWorld(t, 1)
	w.at("calls %d to %d fail", at, at+run-1)
	failures := 0
	w.disk.SetFault(func(op journaltest.Op) error {
		if op.N >= at && op.N < at+run {
			failures++
			return unix.EIO
		}
		return nil
	})
	l := w.begin()
	l.script()
	if !l.commit() {
		t.Errorf("%s: the journal did not get over it: %v", w.where, w.alarm.up)
	}
	l.check()
	for l.alarm.is("E602") && l.batch(1) {
	}
	if failures > 0 && w.alarm.count("E602") == 0 && w.alarm.count("E603") == 0 {
		t.Errorf("%s: no alarm was raised", w.where)
	}
	if !l.j.Writable() {
		t.Errorf("%s: publishers are still held back: %v", w.where, w.alarm.up)
	}
	w.disk.CutAt(1) // not even a stop is noted
	if err := l.end(); !errors.Is(err, journaltest.ErrGone) {
		t.Errorf("%s: the stop on a dead disk said %v", w.where, err)
	}
	w.disk.Cut(journaltest.Lost, w.rng)
	l = w.begin()
	if w.alarm.count("E603") > 0 {
		t.Errorf("%s: damage: %s", w.where, w.alarm.up["E603"])
	}
	if !l.batch(2) {
		t.Errorf("%s: nothing is committed after the restart", w.where)
	}
	if err := l.end(); err != nil {
		t.Errorf("%s: stop: %v", w.where, err)
	}
}

// What is released only goes once the records that made it useless are durable, also those that came in between.
func TestReleaseWaitsForWhatWasAppendedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		j := w.open()
		j.Start()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		var moved journal.Pos
		go func() {
			ended <- j.Run(ctx, func(journal.Pos) {
				if j.End().Gen() == 3 && moved == 0 {
					moved = j.Append(kind, []byte("moved from the first segment"))
					j.Release(2)
				}
			})
		}()
		w.disk.SetFault(func(op journaltest.Op) error {
			goes := strings.HasPrefix(op.Name, "0000000000000001-") && (op.Kind == "remove" || op.Kind == "rename")
			if goes && (moved == 0 || j.Durable() <= moved) {
				t.Errorf("%s of %s before what was moved out of it is durable", op.Kind, op.Name)
			}
			return nil
		})
		for range 3 {
			j.Append(kind, make([]byte, journal.MaxBody))
		}
		time.Sleep(time.Second)
		if gen, _ := j.First(); gen != 2 || len(segments(w.disk)) != 2 {
			t.Errorf("the first is %d: %v", gen, w.disk.Files())
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A disk that fails just when the newest segment is made durable, or the holes of a crash in it are covered, may spoil
// what lies beside them.
func TestFailureAfterCrash(t *testing.T) {
	worth := calls(t, 0, (*life).script)
	tests := map[string]struct {
		first int
		crash func(w *world)
	}{
		"at the open after a kill":       {1, func(w *world) { w.disk.Kill() }},
		"at the start after a power cut": {3, func(w *world) { w.disk.Cut(journaltest.Torn, w.rng) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures := 0
			for k := range 3 * len(worth) {
				at := worth[k/3]
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, uint64(k))
					w.at("call %d, then a failure %s", at, name)
					w.disk.CutAt(at)
					l := w.begin()
					l.script()
					_ = l.end()
					tt.crash(w)
					failures += w.failEarly(tt.first)
				})
			}
			if failures < 10/everyCall {
				t.Errorf("only %d calls failed", failures)
			}
		})
	}
}

// failEarly begins a life in which three calls fail, from the first given on, if they touch a segment.
func (w *world) failEarly(first int) (failures int) {
	w.disk.SetFault(func(op journaltest.Op) error {
		if op.N >= first && op.N < first+3 && strings.HasSuffix(op.Name, ".seg") {
			failures++
			return unix.EIO
		}
		return nil
	})
	l := w.begin()
	if !l.batch(3) {
		w.t.Errorf("%s: the journal did not get over it: %v", w.where, w.alarm.up)
	}
	l.check()
	w.disk.CutAt(1)
	_ = l.end()
	w.disk.Cut(journaltest.Lost, w.rng)
	w.open()
	if w.alarm.count("E603") > 0 {
		w.t.Errorf("%s: %s", w.where, w.alarm.up["E603"])
	}
	return failures
}
