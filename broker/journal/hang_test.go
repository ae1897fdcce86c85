// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// A disk that does not answer is told of, makes nobody but publishers of too much wait, and cannot keep Run from ending.
func TestHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		l.batch(2)
		time.Sleep(time.Second) // the spare
		hang := func() chan struct{} {
			c := make(chan struct{})
			w.disk.SetFault(func(op journaltest.Op) error {
				if op.Kind == "datasync" {
					<-c
				}
				return nil
			})
			return c
		}
		stuck := hang()
		l.append("1")
		if time.Sleep(2 * time.Second); l.alarm.is("E602") {
			t.Error("E602 although a card may stall for that long")
		}
		if time.Sleep(3 * time.Second); !l.alarm.is("E602") || l.j.Writable() {
			t.Errorf("alarms while the disk hangs: %v", l.alarm.up)
		}
		if err := l.wait(time.Second); err != nil {
			t.Errorf("publishers of a little: %v", err)
		}
		close(stuck)
		if !l.commit() || !l.alarm.ends("E602") {
			t.Errorf("the disk answers again: %v", l.alarm.up)
		}
		stuck = hang()
		p := l.append("2")
		time.Sleep(time.Second)
		began := time.Now()
		if err := l.end(); err == nil || !strings.Contains(err.Error(), "E602") {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if l.append("3"); l.j.Durable() > p {
			t.Error("durable on a disk that hangs")
		}
		delete(l.said, l.j.End()) // it was not taken
		close(stuck)
		synctest.Wait()
		w.open()
	})
}

// A defect in what is called after a commit ends Run, whatever it is: a journal that stood still would look like a slow disk.
func TestPanicEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		j := w.open()
		j.Start()
		w.said[j.Append(kind, []byte("x"))] = of(kind, []byte("x"))
		err := j.Run(t.Context(), func(journal.Pos) { panic("a defect") })
		if err == nil || !strings.Contains(err.Error(), "a defect") {
			t.Errorf("Run: %v", err)
		}
		if err := j.Wait(t.Context()); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Wait afterwards: %v", err)
		}
		w.safe = j.Durable()
		w.open()
	})
}
