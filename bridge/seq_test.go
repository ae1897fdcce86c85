// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func seqStore(t *testing.T, dir string) *SeqStore {
	t.Helper()
	s, err := OpenSeq(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take gives the next n numbers and checks that they follow each other; skipped is what came with them.
func take(t *testing.T, q *seqFile, n int) (first uint64, skipped []Skipped) {
	t.Helper()
	for i := range n {
		x, s := q.Next()
		skipped = append(skipped, s...)
		if i == 0 {
			first = x
		} else if x != first+uint64(i) {
			t.Fatalf("number %d is %d after %d", i, x, first)
		}
	}
	return first, skipped
}

func TestOrderlyStopSkipsNoSeq(t *testing.T) {
	dir, want := t.TempDir(), uint64(1)
	for _, n := range []int{1, 0, 5, seqBlock - 1, seqBlock, 3*seqBlock + 7, 1} {
		q := seqStore(t, dir).device("a")
		if n > 0 {
			if first, skipped := take(t, q, n); first != want || skipped != nil {
				t.Fatalf("it goes on at %d, skipping %v; want %d", first, skipped, want)
			}
		}
		want += uint64(n)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCrashNeverRepeatsASeqAndTellsWhatItSkipped(t *testing.T) {
	dir, last := t.TempDir(), uint64(0)
	for i, n := range []int{1, 7, seqBlock/2 + 1, seqBlock, 2*seqBlock + 1, 1} {
		q := seqStore(t, dir).device("a")
		first, skipped := take(t, q, n)
		switch {
		case first <= last:
			t.Fatalf("after the crash: %d, but %d was used", first, last)
		case i > 0 && (len(skipped) != 1 || skipped[0].First > last+1 || skipped[0].Last != first-1):
			t.Fatalf("used up to %d, going on at %d, told %v", last, first, skipped)
		}
		last = first + uint64(n) - 1
		q.written.Wait() // what is under way would reach the disk or not
	}
}

// At any moment, whatever is on disk then, the next run gives nothing that was given before.
func TestPowerCutAtAnyMomentNeverRepeatsASeq(t *testing.T) {
	dir := t.TempDir()
	q := seqStore(t, dir).device("a")
	for used := uint64(1); used < 3*seqBlock; used += 389 {
		for range 389 {
			q.Next()
		}
		disk, err := os.ReadFile(filepath.Join(dir, "a.seq"))
		if err != nil {
			t.Fatal(err)
		}
		for _, torn := range [][]byte{disk, tear(disk, 0), tear(disk, 1)} {
			after := t.TempDir()
			if err := os.WriteFile(filepath.Join(after, "a.seq"), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			first, _ := seqStore(t, after).device("a").Next()
			// A torn slot is the one that was being written, whose numbers were not in use yet.
			if bytes.Equal(torn, disk) && first < q.next {
				t.Fatalf("%d numbers were used, the next run begins with %d", q.next-1, first)
			}
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func tear(b []byte, slot int) []byte {
	b = bytes.Clone(b)
	if end := slot*slotSize + 20; end < len(b) {
		b[end] ^= 0xff
	}
	return b
}

func TestTornReservationLeavesTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	q := seqStore(t, dir).device("a")
	take(t, q, seqBlock/2+1) // the second reservation is written ahead
	q.written.Wait()
	disk, err := os.ReadFile(filepath.Join(dir, "a.seq"))
	if err != nil {
		t.Fatal(err)
	}
	newest := int(q.gen % 2)
	if err := os.WriteFile(filepath.Join(dir, "a.seq"), tear(disk, newest), 0o600); err != nil {
		t.Fatal(err)
	}
	if first, _ := seqStore(t, dir).device("a").Next(); first != seqBlock+1 {
		t.Errorf("it goes on at %d, want what the first reservation ends before, %d", first, seqBlock+1)
	}
}

func TestDamagedSeqFileNeverRepeatsAndIsSetAside(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.seq")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 2*slotSize), 0o600); err != nil {
		t.Fatal(err)
	}
	first, skipped := seqStore(t, dir).device("a").Next()
	if now := uint64(time.Now().UnixMilli()); first < now-60_000 || len(skipped) != 1 || skipped[0] != (Skipped{1, first - 1}) {
		t.Errorf("it goes on at %d, told %v", first, skipped)
	}
	if _, err := os.Stat(name + ".damaged"); err != nil {
		t.Error(err)
	}
}

func TestDiskThatTakesNoReservationNeverRepeatsASeq(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := seqStore(t, dir)
	q := s.device("a")
	take(t, q, 3)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	q = s.device("a")
	first, skipped := q.Next()
	if first < 1_000_000_000_000 || len(skipped) != 1 {
		t.Errorf("it goes on at %d, told %v", first, skipped)
	}
	take(t, q, 3*seqBlock)
}

func TestWhatTheBrokerHasIsNotSkipped(t *testing.T) {
	dir := t.TempDir()
	take(t, seqStore(t, dir).device("a"), 10)
	q := seqStore(t, dir).device("a")
	q.saw(9)
	if first, skipped := q.Next(); first != seqBlock+1 || len(skipped) != 1 || skipped[0] != (Skipped{10, seqBlock}) {
		t.Errorf("%d, %v", first, skipped)
	}
	q = seqStore(t, t.TempDir()).device("a") // the file was lost
	q.saw(500)
	if first, _ := q.Next(); first != 501 {
		t.Errorf("after 500 comes %d", first)
	}
}

func FuzzDecodeSeq(f *testing.F) {
	f.Add(seqSlotData{7, 100, 4196}.encode())
	f.Add([]byte("edged seq 1 next 0 reserved 5 crc 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := decodeSeq(b)
		if !ok {
			return
		}
		if s.next < 1 || s.next > s.reserved {
			t.Errorf("%q gave %+v", b, s)
		}
	})
}
