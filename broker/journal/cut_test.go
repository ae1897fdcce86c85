// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"os"
	"runtime/debug"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"edged/broker/journal/journaltest"
)

// calls are the numbers of the script's changes to the disk that are worth a fault: all, but of the many equal steps that
// fill a spare segment only some.
func calls(t *testing.T) (worth []int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.disk.SetFault(func(op journaltest.Op) error {
			if op.N > 0 && (op.Name != "spare.new" || op.Kind == "create" || op.Kind == "rename" || op.N%7 == 0) {
				worth = append(worth, op.N)
			}
			return nil
		})
		l := w.begin()
		l.script()
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
		w.open()
		if w.alarm.count("E601")+w.alarm.count("E602")+w.alarm.count("E603") != 0 {
			t.Errorf("alarms on a sound disk: %v", w.alarm.up)
		}
	})
	t.Logf("%d calls", len(worth))
	if len(worth) < 50 {
		t.Fatalf("the script makes only %d calls", len(worth))
	}
	return worth
}

// TestMain lets garbage grow: each of some thousand starts needs the memory of a segment for a moment.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

func TestPowerCutAtEveryCall(t *testing.T) {
	worth := calls(t)
	for _, how := range []journaltest.Survival{journaltest.Lost, journaltest.Kept, journaltest.Torn} {
		t.Run(how.String(), func(t *testing.T) {
			t.Parallel()
			for k, at := range worth {
				if how == journaltest.Kept && k%3 > 0 { // the kindest: a process that was killed meets it at every call
					continue
				}
				synctest.Test(t, func(t *testing.T) { cutTwice(t, how, at) })
			}
		})
	}
}

// cutTwice cuts the power in one life and again early in the next.
func cutTwice(t *testing.T, how journaltest.Survival, at int) {
	w := newWorld(t, 1)
	w.at("%s, cut at call %d", how, at)
	w.disk.CutAt(at)
	l := w.begin()
	l.script()
	_ = l.end() // says that the disk is gone, or nothing when the cut came with the last call
	w.disk.Cut(how, w.rng)
	again := 1 + w.rng.IntN(12)
	w.disk.CutAt(again)
	w.at("%s, cut at call %d, then at call %d", how, at, again)
	l = w.begin()
	l.batch(3)
	l.batch(1)
	_ = l.end()
	if w.alarm.count("E603") > 0 {
		t.Errorf("%s: what a crash left was taken for damage: %s", w.where, w.alarm.up["E603"])
	}
	w.disk.Cut(how, w.rng)
	l = w.begin()
	if !l.batch(3) {
		t.Errorf("%s: nothing is committed any more: %v", w.where, w.alarm.up)
	}
	if err := l.end(); err != nil {
		t.Errorf("%s: stop: %v", w.where, err)
	}
	w.open()
	if w.alarm.count("E603") > 0 {
		t.Errorf("%s: what a crash left was taken for damage later: %s", w.where, w.alarm.up["E603"])
	}
}

func TestKillAtEveryCall(t *testing.T) {
	t.Parallel()
	for _, at := range calls(t) {
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
	worth := calls(t)
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
