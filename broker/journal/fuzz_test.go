// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"testing"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

// segment1 is what a segment with some records holds, and its name, which its records are bound to.
func segment1(f *testing.F) (name string, contents []byte) {
	d := journaltest.New()
	j, err := journal.Open(journal.Config{FS: d}, nil)
	if err != nil {
		f.Fatal(err)
	}
	j.Start()
	ctx, cancel := context.WithCancel(context.Background())
	commits := 0
	j.Append(kind, []byte("first"))
	err = j.Run(ctx, func(journal.Pos) {
		switch commits++; commits {
		case 1:
			j.Append(kind+1, make([]byte, 300))
			j.Append(kind, nil)
		case 2:
			cancel()
		}
	})
	if err != nil {
		f.Fatal(err)
	}
	name = segments(d)[0]
	d.Edit(name, func(b []byte) []byte { contents = b[:j.End().Offset()]; return b })
	return name, contents
}

// FuzzSegment starts with a segment of any contents: the start is never refused, what follows is committed and read
// back, and the next start finds it.
func FuzzSegment(f *testing.F) {
	name, good := segment1(f)
	f.Add(good, 0)
	f.Add(good[:len(good)-5], 0)
	f.Add(append([]byte("garbage in front"), good...), 100)
	f.Add(append(append([]byte(nil), good...), good...), len(good))
	f.Add([]byte{0xED, 1, 0, 0, 0, 0, 0, 0, 0, 0}, journal.SegmentSize-10)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, b []byte, off int) {
		off = min(max(off, 0), journal.SegmentSize)
		d := journaltest.New()
		d.Edit(name, func([]byte) []byte { return append(append(make([]byte, 0, off+len(b)), good...)[:off:off], b...) })
		var before []journal.Pos
		j, err := journal.Open(journal.Config{FS: d}, func(r journal.Record) { before = append(before, r.Pos) })
		if err != nil {
			t.Fatal(err)
		}
		j.Start()
		at := j.Append(kind, []byte("afterwards"))
		stopped, cancel := context.WithCancel(context.Background())
		cancel()
		if err := j.Run(stopped, nil); err != nil {
			t.Fatal(err)
		}
		found := 0
		again, err := journal.Open(journal.Config{FS: d}, func(r journal.Record) {
			if found < len(before) && r.Pos != before[found] {
				t.Errorf("record %d is at %d after the restart, was at %d", found, r.Pos, before[found])
			}
			if found == len(before) && (r.Pos != at || string(r.Body) != "afterwards") {
				t.Errorf("%q at %d instead of what was appended at %d", r.Body, r.Pos, at)
			}
			found++
		})
		if err != nil {
			t.Fatal(err)
		}
		if found != len(before)+1 {
			t.Errorf("%d records became %d, with one more appended", len(before), found)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}
