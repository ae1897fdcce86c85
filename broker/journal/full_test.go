// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// wait is Wait with a deadline.
func (l *life) wait(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return l.j.Wait(ctx)
}

// fill publishes until the journal holds publishers back.
func (l *life) fill() {
	l.t.Helper()
	for range 20 {
		if l.wait(5*time.Second) != nil {
			return
		}
		l.put(l.big())
		if !l.commit() {
			l.t.Fatal("what was let in was never committed")
		}
	}
	l.t.Fatal("publishers were never held back on a full disk")
}

// fillMemory publishes on a disk that fails until the journal holds publishers back, which it has to do in time.
func (l *life) fillMemory() {
	l.t.Helper()
	body, sent := make([]byte, 64<<10), 0
	for l.wait(5*time.Second) == nil {
		l.put(body)
		if sent += len(body); sent > 5<<20 {
			l.t.Fatalf("%d bytes wait in memory for a disk that takes nothing", sent)
		}
	}
	if sent < 3<<20 {
		l.t.Errorf("publishers are held back with %d bytes in memory", sent)
	}
}

func TestFullDiskIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.disk.SetLimit(4*journal.SegmentSize + 1<<20)
		l := w.begin()
		l.fill()
		if !l.alarm.is("E601") || l.j.Writable() {
			t.Errorf("alarms on a full disk: %v", l.alarm.up)
		}
		if !l.batch(50) {
			t.Error("acknowledgements do not get through")
		}
		for range 3 {
			if err := l.end(); err != nil {
				t.Fatalf("stop on a full disk: %v", err)
			}
			l = w.begin()
			if err := l.wait(5 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after a restart on a full disk publishers are let in: %v", err)
			}
			if !l.batch(50) {
				t.Error("acknowledgements do not get through after a restart")
			}
		}
		l.check()
		gen, n := l.j.First()
		if n < 3 {
			t.Fatalf("only %d segments", n)
		}
		l.release(gen + 1)
		if err := l.wait(5 * time.Second); err != nil || !l.alarm.ends("E601") {
			t.Errorf("a segment was given back, yet: %v, %v", err, l.alarm.up)
		}
		l.fill()
		l.check()
		if err := l.end(); err != nil {
			t.Error(err)
		}
		w.open()
	})
}

// Publishers in a hurry are let in only as far as there is room for what acknowledges them.
func TestPublishersLeaveRoomForAcknowledgements(t *testing.T) {
	for _, size := range []int{1000, 100_000, 400_000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.disk.SetLimit(3*journal.SegmentSize + 1<<20)
			w.disk.SetFault(func(op journaltest.Op) error {
				if op.Kind == "datasync" {
					time.Sleep(5 * time.Millisecond)
				}
				return nil
			})
			l := w.begin()
			for l.wait(2*time.Second) == nil {
				l.put(make([]byte, size))
			}
			if !l.commit() || !l.batch(50) {
				t.Errorf("with records of %d bytes acknowledgements do not get through: %v", size, l.alarm.up)
			}
			if err := l.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestShortSpareIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.disk.Edit("spare", func([]byte) []byte { return make([]byte, 4096) })
		l := w.begin()
		l.batch(1)
		time.Sleep(time.Second)
		if err := l.end(); err != nil {
			t.Error(err)
		}
		for _, name := range w.disk.Files() {
			w.disk.Edit(name, func(b []byte) []byte {
				if len(b) != journal.SegmentSize {
					t.Errorf("%s has %d bytes", name, len(b))
				}
				return b
			})
		}
	})
}

func TestFullDiskRecoversWhenOthersFreeSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.disk.SetLimit(3 * journal.SegmentSize)
		l := w.begin()
		l.fill()
		before := w.disk.Calls()
		time.Sleep(10 * time.Minute)
		if n := w.disk.Calls() - before; n > 0 {
			t.Errorf("%d writes while the disk is full and nobody does anything", n)
		}
		w.disk.SetLimit(0)
		if err := l.wait(5 * time.Second); err != nil || !l.alarm.ends("E601") {
			t.Errorf("5 s after space was freed: %v, %v", err, l.alarm.up)
		}
		if err := l.end(); err != nil {
			t.Error(err)
		}
	})
}

// Some disks are full also for what was preallocated.
func TestNoSpaceInPreallocatedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		l.batch(3)
		w.disk.SetFault(func(op journaltest.Op) error {
			if op.Kind == "write" {
				return unix.ENOSPC
			}
			return nil
		})
		p := l.append("waits")
		if err := l.wait(3 * time.Second); err == nil {
			time.Sleep(time.Second)
			err = l.wait(3 * time.Second)
			if err == nil {
				t.Error("publishers are let in")
			}
		}
		if !l.alarm.is("E601") || l.alarm.is("E602") {
			t.Errorf("alarms: %v", l.alarm.up)
		}
		w.disk.SetFault(nil)
		if err := l.wait(5 * time.Second); err != nil || !l.commit() || l.j.Durable() <= p {
			t.Errorf("with space again: %v, %v", err, l.alarm.up)
		}
		l.check()
		if err := l.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestReadOnlyDisk(t *testing.T) {
	earlier := map[string]func(l *life){
		"empty":          func(l *life) {},
		"newest open":    func(l *life) { l.script() },
		"newest sealed":  func(l *life) { l.script(); l.put(l.big()); l.put(l.big()); l.commit() },
		"no spare there": nil,
	}
	for name, script := range earlier {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				if script != nil {
					l := w.begin()
					script(l)
					if err := l.end(); err != nil {
						t.Fatal(err)
					}
					w.disk.Cut(journaltest.Lost, w.rng) // the stop's record stays; what is open does not
				}
				w.disk.SetReadOnly(true)
				l := w.begin()
				if !l.alarm.is("E602") || l.j.Writable() {
					t.Errorf("alarms on a read-only disk: %v", l.alarm.up)
				}
				l.check()
				p := l.append("later")
				l.fillMemory()
				if time.Sleep(10 * time.Second); l.j.Durable() > p {
					t.Error("something is durable on a read-only disk")
				}
				w.disk.SetReadOnly(false)
				if err := l.wait(2 * time.Second); err != nil || !l.commit() || !l.alarm.ends("E602") {
					t.Errorf("2 s after the disk can be written: %v, %v", err, l.alarm.up)
				}
				l.check()
				if err := l.end(); err != nil {
					t.Error(err)
				}
				w.open()
			})
		})
	}
}

func TestStopOnReadOnlyDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		l.batch(2)
		w.disk.SetReadOnly(true)
		l.append("lost")
		began := time.Now()
		err := l.end()
		if err == nil || !strings.Contains(err.Error(), "E602") || !errors.Is(err, unix.EROFS) {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if err := l.j.Wait(t.Context()); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Wait after the stop: %v", err)
		}
		l.j.Append(kind, nil)
	})
}

// While the disk hangs, nothing but publishers waits.
func TestSlowDiskHoldsPublishersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		l.batch(2)
		time.Sleep(time.Second) // the spare
		hang := make(chan struct{})
		w.disk.SetFault(func(op journaltest.Op) error {
			if op.Kind == "datasync" {
				<-hang
			}
			return nil
		})
		body := string(make([]byte, 1<<20))
		for range 4 {
			if err := l.wait(time.Second); err != nil {
				t.Fatalf("held back too early: %v", err)
			}
			l.append(body)
		}
		l.append("one more")
		if err := l.wait(time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("4 MiB wait for the disk, and Wait says %v", err)
		}
		l.append("an acknowledgement") // does not block
		close(hang)
		if err := l.wait(time.Second); err != nil || !l.commit() {
			t.Errorf("the disk answers again: %v", err)
		}
		l.check()
		if err := l.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestIdleWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		l.batch(3)
		time.Sleep(time.Second) // the spare
		before := w.disk.Calls()
		time.Sleep(24 * time.Hour)
		if n := w.disk.Calls() - before; n > 0 {
			t.Errorf("%d writes in an idle day", n)
		}
		if err := l.end(); err != nil {
			t.Error(err)
		}
	})
}
