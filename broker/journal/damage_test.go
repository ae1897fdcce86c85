// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// written is a disk with a small journal: three commits in its only segment, which is n bytes long, and perhaps a stop.
func written(t *testing.T, stop bool) (w *world, file string, n int) {
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, 1)
		l := w.begin()
		for _, records := range []int{1, 3, 2} {
			for k := range records {
				l.append(fmt.Sprintf("%d of %d: \xED\x05\x00\x00\x00 looks like a head", k, records))
			}
			l.commit()
		}
		n = int(l.j.End().Offset())
		time.Sleep(time.Second) // the spare
		if !stop {
			w.disk.CutAt(1)
		}
		if err := l.end(); stop == (err != nil) {
			t.Errorf("stop: %v", err)
		}
		if stop {
			n += 20 // a mark and the stop
		}
		w.disk.Kill()
	})
	return w, segments(w.disk)[0], n
}

func segments(d *journaltest.Disk) []string {
	return slices.DeleteFunc(d.Files(), func(name string) bool { return !strings.HasSuffix(name, ".seg") })
}

// start opens the journal and counts what is replayed; inventing is an error, losing is not.
func (w *world) start() (j *journal.Journal, replayed int) {
	w.t.Helper()
	w.alarm = &alarms{}
	j, err := journal.Open(journal.Config{FS: w.disk, Alarm: w.alarm.set, Sleep: virtually}, func(r journal.Record) {
		if want := w.said[r.Pos]; want != of(r.Kind, r.Body) {
			w.t.Errorf("%s: %.40q at %d was invented", w.where, r.Body, r.Pos)
		}
		replayed++
	})
	if err != nil {
		w.t.Fatalf("%s: the start was refused: %v", w.where, err)
	}
	return j, replayed
}

func TestEveryFlippedByte(t *testing.T) {
	for _, stop := range []bool{true, false} {
		w, file, n := written(t, stop)
		w.t = t
		w.disk.Edit(file, func(b []byte) []byte { return b[:n] }) // the rest is zeros, and makes it slow
		for off := range n {
			w.at("stop %v, byte %d", stop, off)
			xor := func(b []byte) []byte { b[off] ^= 1 << (off % 8); return b }
			w.disk.Edit(file, xor)
			j, got := w.start()
			lost := len(w.said) - got
			if lost > 1 {
				t.Errorf("%s: %d records lost", w.where, lost)
			}
			told := w.alarm.is("E603")
			if aside := copies(w.disk) > 0; aside != told {
				t.Errorf("%s: a copy is %v, the alarm %v", w.where, aside, told)
			}
			if stop && lost > 0 && !told {
				t.Errorf("%s: a record was lost without a word", w.where)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			w.disk.Edit(file, xor)
			w.clean()
		}
	}
}

// clean removes the copies of damaged segments.
func (w *world) clean() {
	for _, name := range w.disk.Files() {
		if strings.HasSuffix(name, ".damaged") {
			w.disk.Edit(name, gone)
		}
	}
}

func gone([]byte) []byte { return nil }

func TestTail(t *testing.T) {
	zero := func(from int) func(b []byte) []byte {
		return func(b []byte) []byte { clear(b[from:]); return b }
	}
	cutOff := func(at int) func(b []byte) []byte { return func(b []byte) []byte { return b[:at] } }
	tests := map[string]struct {
		edit func(n int) func(b []byte) []byte
		lost int
	}{
		"nothing":                     {func(n int) func(b []byte) []byte { return zero(n) }, 0},
		"last byte zeroed":            {func(n int) func(b []byte) []byte { return zero(n - 1) }, 1},
		"last 100 bytes zeroed":       {func(n int) func(b []byte) []byte { return zero(n - 100) }, 3},
		"all zeroed":                  {func(int) func(b []byte) []byte { return zero(0) }, 6},
		"cut after the end":           {func(n int) func(b []byte) []byte { return cutOff(n) }, 0},
		"cut in the last record":      {func(n int) func(b []byte) []byte { return cutOff(n - 1) }, 1},
		"cut to nothing":              {func(int) func(b []byte) []byte { return cutOff(0) }, 6},
		"700 bytes of garbage behind": {func(n int) func(b []byte) []byte { return garbage(n, 700) }, 0},
		"garbage to the end":          {func(n int) func(b []byte) []byte { return garbage(n, journal.SegmentSize-n) }, 0},
		"file too long": {func(n int) func(b []byte) []byte {
			return func(b []byte) []byte { return append(b, "and more"...) }
		}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, file, n := written(t, false)
			synctest.Test(t, func(t *testing.T) {
				w.t = t
				w.disk.Edit(file, tt.edit(n))
				j, got := w.start()
				if lost := len(w.said) - got; lost != tt.lost {
					t.Errorf("%d records lost, want %d", lost, tt.lost)
				}
				if w.alarm.count("E603") > 0 {
					t.Errorf("a torn tail was taken for damage: %s", w.alarm.up["E603"])
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				w.safe = 0
				l := w.begin()
				l.batch(4)
				l.put(l.big())
				l.put(l.big())
				l.batch(2)
				l.check()
				if err := l.end(); err != nil {
					t.Error(err)
				}
				w.open()
				if w.alarm.count("E603") > 0 {
					t.Errorf("taken for damage later: %s", w.alarm.up["E603"])
				}
			})
		})
	}
}

// garbage overwrites n bytes at off with what looks like heads of records.
func garbage(off, n int) func(b []byte) []byte {
	return func(b []byte) []byte {
		for k := range n {
			b[off+k] = []byte{0xED, 0xFF, 0xFF, 0x0F, 0x00, 0xED, 0x10, 0x00, 0x00, 0x00, 0x55}[k%11]
		}
		return b
	}
}

func TestDamageInSealedSegments(t *testing.T) {
	tests := map[string]struct {
		do    func(w *world, name string)
		lost  int
		aside int
	}{
		"seal": {func(w *world, name string) {
			w.disk.Edit(name, func(b []byte) []byte { b[len(strings.TrimRight(string(b), "\x00"))-1] ^= 1; return b })
		}, 0, 1},
		"zeroed block": {func(w *world, name string) {
			w.disk.Edit(name, func(b []byte) []byte { clear(b[:4096]); return b })
		}, -1, 1},
		"cut short": {func(w *world, name string) {
			w.disk.Edit(name, func(b []byte) []byte { return b[:4096] })
		}, -1, 1},
		"read error": {func(w *world, name string) {
			w.disk.SetFault(func(op journaltest.Op) error {
				if op.Kind == "read" && op.Name == name {
					return unix.EIO
				}
				return nil
			})
		}, -1, 1},
		"cannot be opened": {func(w *world, name string) {
			w.disk.SetFault(func(op journaltest.Op) error {
				if op.Kind == "open" && op.Name == name {
					return unix.EACCES
				}
				return nil
			})
		}, -1, 1},
		"missing": {func(w *world, name string) { w.disk.Edit(name, gone) }, -1, 0},
		"twice": {func(w *world, name string) {
			w.disk.Edit(name[:17]+"fffffffe.seg", func([]byte) []byte { return make([]byte, journal.SegmentSize) })
		}, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				l := w.begin()
				for range 4 {
					l.batch(6)
					l.put(l.big())
				}
				l.batch(3)
				if err := l.end(); err != nil {
					t.Fatal(err)
				}
				victim := segments(w.disk)[1]
				other := 0
				for p := range w.said {
					if p.Gen() != 2 {
						other++
					}
				}
				w.disk.Kill()
				tt.do(w, victim)
				j, got := w.start()
				if lost := len(w.said) - got; tt.lost >= 0 && lost != tt.lost || got < other {
					t.Errorf("%d records lost, %d of other segments there", lost, other)
				}
				if !w.alarm.is("E603") {
					t.Error("no alarm")
				}
				if n := copies(w.disk); n != tt.aside {
					t.Errorf("%d copies, want %d: %v", n, tt.aside, w.disk.Files())
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				w.goesOn()
			})
		})
	}
}

// goesOn sees that the journal works in spite of damage, and that the alarm ends with the damaged segment.
func (w *world) goesOn() {
	w.t.Helper()
	w.safe, w.first = 0, 0
	l := w.begin()
	before := copies(w.disk)
	if !l.batch(5) {
		w.t.Error("nothing is committed after damage")
	}
	r := l.j.Read(0)
	n := 0
	for _, ok := r.Next(); ok || r.Err() != nil; _, ok = r.Next() {
		if ok {
			n++
		} else {
			<-time.After(time.Second)
		}
	}
	r.Close()
	if n != len(w.said) {
		w.t.Errorf("the reader found %d of %d records", n, len(w.said))
	}
	l.release(l.j.End().Gen())
	l.batch(1)
	<-time.After(time.Second)
	if l.alarm.is("E603") {
		w.t.Error("the alarm is up although the damaged segments are gone")
	}
	if err := l.end(); err != nil {
		w.t.Error(err)
	}
	if n := copies(w.disk); n != before {
		w.t.Errorf("%d copies became %d", before, n)
	}
	w.disk.Kill()
	w.start()
	if w.alarm.is("E603") {
		w.t.Errorf("the alarm came back: %s", w.alarm.up["E603"])
	}
}

// The copies of damaged segments do not fill the disk, and the newest stay.
func TestCopiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.begin()
		for range 8 {
			l.batch(3)
			l.put(l.big())
		}
		l.commit()
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
		all := segments(w.disk)
		for _, name := range all {
			w.disk.Edit(name, func(b []byte) []byte { b[40] ^= 1; return b })
		}
		w.disk.Kill()
		w.start()
		if n := copies(w.disk); n != 4 {
			t.Errorf("%d copies of %d damaged segments, want 4: %v", n, len(all), w.disk.Files())
		}
		newest := strings.TrimSuffix(all[len(all)-2], ".seg") + ".damaged"
		if !slices.Contains(w.disk.Files(), newest) {
			t.Errorf("the newest copy is gone: %v", w.disk.Files())
		}
	})
}

func copies(d *journaltest.Disk) (n int) {
	for _, name := range d.Files() {
		if strings.HasSuffix(name, ".damaged") {
			n++
		}
	}
	return n
}
