// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// in runs fn with a running journal in a bubble and stops it.
func in(t *testing.T, fn func(l *life)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newWorld(t, 1).begin()
		fn(l)
		if err := l.end(); err != nil {
			t.Error(err)
		}
	})
}

// next reads a record and holds it against what was appended.
func (l *life) next(r *journal.Reader) journal.Pos {
	l.t.Helper()
	rec, ok := r.Next()
	if !ok {
		l.t.Fatalf("no record at %d: %v", r.At(), r.Err())
	}
	if l.said[rec.Pos] != of(rec.Kind, rec.Body) {
		l.t.Fatalf("the record at %d is %.40q, which nobody appended", rec.Pos, rec.Body)
	}
	return rec.Pos
}

func (l *life) none(r *journal.Reader) {
	l.t.Helper()
	if rec, ok := r.Next(); ok || r.Err() != nil {
		l.t.Fatalf("there should be nothing more, but got %d bytes at %d, %v", len(rec.Body), rec.Pos, r.Err())
	}
}

func TestReaderFollowsCommits(t *testing.T) {
	in(t, func(l *life) {
		r := l.j.Read(0)
		defer r.Close()
		l.none(r)
		hang := make(chan struct{})
		l.disk.SetFault(func(op journaltest.Op) error {
			if op.Kind == "datasync" {
				<-hang
			}
			return nil
		})
		first := l.append("first")
		synctest.Wait()
		l.none(r) // written perhaps, but not durable
		close(hang)
		l.commit()
		if p := l.next(r); p != first {
			t.Errorf("record at %d, want %d", p, first)
		}
		l.none(r)
		want := []journal.Pos{l.put(l.big()), l.append("small"), l.put(l.big()), l.put(l.big()), l.append("")}
		l.commit()
		for _, p := range want {
			if got := l.next(r); got != p {
				t.Errorf("record at %d, want %d", got, p)
			}
		}
		l.none(r)
		again := l.j.Read(want[2])
		defer again.Close()
		if got := l.next(again); got != want[2] {
			t.Errorf("reading from %d begins at %d", want[2], got)
		}
		resumed := l.j.Read(again.At())
		defer resumed.Close()
		if got := l.next(resumed); got != want[3] {
			t.Errorf("reading from At gives %d, want %d", got, want[3])
		}
		if r.Released() || r.Damaged() != 0 {
			t.Errorf("released %v, damaged %d", r.Released(), r.Damaged())
		}
	})
}

func TestReaderOfReleasedSegment(t *testing.T) {
	in(t, func(l *life) {
		var large []journal.Pos
		l.append("early")
		for range 4 {
			large = append(large, l.put(l.big()))
		}
		l.commit()
		r := l.j.Read(0)
		defer r.Close()
		l.next(r)
		l.release(large[2].Gen())
		l.append("late")
		l.commit()
		<-time.After(time.Second) // the segments are gone, and one is the spare
		if got := l.next(r); got != large[2] || !r.Released() {
			t.Errorf("goes on at %d, want %d; released %v", got, large[2], r.Released())
		}
		l.next(r)
		l.next(r)
		l.none(r)
		fresh := l.j.Read(large[0])
		defer fresh.Close()
		if got := l.next(fresh); got != large[2] || !fresh.Released() {
			t.Errorf("a released place gives %d, want %d; released %v", got, large[2], fresh.Released())
		}
	})
}

func TestReaderPastDamage(t *testing.T) {
	tests := map[string]struct {
		harm func(l *life, name string, at journal.Pos)
		lost int
	}{
		"a flipped bit": {func(l *life, name string, at journal.Pos) {
			l.disk.Damage(name, at.Offset()+12, []byte{0xAA})
		}, 1},
		"a head that claims too much": {func(l *life, name string, at journal.Pos) {
			l.disk.Damage(name, at.Offset()+1, []byte{0xFF, 0xFF, 0x1F})
		}, 1},
		"a bad sector": {func(l *life, name string, at journal.Pos) {
			l.disk.SetFault(func(op journaltest.Op) error {
				if op.Kind == "read" && op.Name == name && op.Off <= at.Offset() && at.Offset() < op.Off+int64(op.Len) {
					return unix.EIO
				}
				return nil
			})
		}, -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in(t, func(l *life) {
				var at []journal.Pos
				for range 60 {
					at = append(at, l.put(l.small()))
				}
				l.put(l.big())
				l.put(l.big())
				l.commit()
				tt.harm(l, segments(l.disk)[0], at[20])
				r := l.j.Read(0)
				defer r.Close()
				n := 0
				for tries := 0; tries < 10; {
					if rec, ok := r.Next(); ok {
						n++
						if l.said[rec.Pos] != of(rec.Kind, rec.Body) {
							t.Errorf("invented %.40q at %d", rec.Body, rec.Pos)
						}
						continue
					}
					if r.Err() == nil {
						break
					}
					tries++
					<-time.After(time.Second)
				}
				lost := len(l.said) - n
				if tt.lost >= 0 && lost != tt.lost || lost < 1 || lost > 40 {
					t.Errorf("%d records lost, want %d", lost, tt.lost)
				}
				if r.Damaged() != 1 {
					t.Errorf("Damaged is %d, want 1", r.Damaged())
				}
				l.disk.SetFault(nil)
				<-time.After(time.Second)
				if !l.alarm.is("E603") || copies(l.disk) != 1 {
					t.Errorf("alarms %v, %d copies", l.alarm.up, copies(l.disk))
				}
			})
		})
	}
}

func TestReaderOutlastsReadErrors(t *testing.T) {
	in(t, func(l *life) {
		l.batch(5)
		failing := true
		l.disk.SetFault(func(op journaltest.Op) error {
			if op.Kind == "read" && failing {
				return unix.EIO
			}
			return nil
		})
		r := l.j.Read(0)
		defer r.Close()
		for range 4 {
			if rec, ok := r.Next(); ok || !errors.Is(r.Err(), unix.EIO) {
				t.Fatalf("got %d bytes, %v", len(rec.Body), r.Err())
			}
		}
		failing = false
		for range 5 {
			l.next(r)
		}
		l.none(r)
		if r.Damaged() != 0 {
			t.Errorf("Damaged is %d, want 0", r.Damaged())
		}
	})
}

func TestReaderAfterTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newWorld(t, 1).begin()
		l.batch(2)
		r := l.j.Read(0)
		defer r.Close()
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
		if rec, ok := r.Next(); ok || !errors.Is(r.Err(), journal.ErrClosed) {
			t.Errorf("got %d bytes, %v", len(rec.Body), r.Err())
		}
	})
}

func TestAppendRefusesWhatNoSegmentHolds(t *testing.T) {
	in(t, func(l *life) {
		defer func() {
			if recover() == nil {
				t.Error("a body longer than MaxBody was taken")
			}
		}()
		l.j.Append(kind, make([]byte, journal.MaxBody+1))
	})
}
