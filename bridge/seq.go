// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// SeqStore keeps, in one small file for each device, which sequence numbers may have been used. Numbers are reserved
// on disk in blocks before they are used, so that a message costs no write, and none is ever given twice: what was
// reserved and not noted as unused at an orderly stop is skipped.
//
// A file has two slots that are written in turn, in place: a write that was torn leaves the other slot, and a full
// disk does not matter.
type SeqStore struct {
	dir string
	log *slog.Logger
}

const (
	seqBlock = 4096 // numbers reserved at once
)

// OpenSeq makes the directory if need be. log hears of damaged files and of a disk that fails.
func OpenSeq(dir string, log *slog.Logger) (*SeqStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the directory of sequence numbers: %w", err)
	}
	return &SeqStore{dir: dir, log: log}, nil
}

// Skipped is a range of sequence numbers that may have been used by a run that crashed, or never were.
type Skipped struct{ First, Last uint64 }

// seqFile gives out the numbers of one device. The zero value counts from 1 in memory.
type seqFile struct {
	log  *slog.Logger
	path string // "": in memory

	mu       sync.Mutex
	f        *os.File // nil: the file could not be opened yet
	gen      uint64   // of the newest slot
	next     uint64   // to be given out
	reserved uint64   // first number that is not reserved on disk
	failed   bool     // the last write failed
	busy     bool     // a reservation is being written
	written  sync.WaitGroup
	skipped  []Skipped
}

// device opens the numbers of a device.
func (s *SeqStore) device(name string) *seqFile {
	if s == nil {
		return &seqFile{next: 1}
	}
	q := &seqFile{log: s.log.With("device", name), path: filepath.Join(s.dir, name+".seq"), next: 1, reserved: 1}
	slot, err := q.load()
	switch {
	case errors.Is(err, fs.ErrNotExist): // a new device
	case err != nil:
		q.leap(fmt.Sprintf("the file of sequence numbers cannot be used: %v", err))
	default:
		q.gen, q.next, q.reserved = slot.gen, slot.next, slot.reserved
		if slot.reserved > slot.next { // no orderly stop
			q.skip(slot.next, slot.reserved)
		}
	}
	return q
}

// skip goes on with number to, and remembers to tell.
func (q *seqFile) skip(from, to uint64) {
	q.skipped = append(q.skipped, Skipped{from, to - 1})
	q.next = to
}

// leap goes on where no earlier run can have been: at the milliseconds since 1970, which no device counts up to in
// any other way.
func (q *seqFile) leap(why string) {
	to := uint64(max(time.Now().UnixMilli(), 1))
	if to <= q.next {
		return
	}
	q.log.Warn("sequence numbers leap", "why", why, "from", q.next, "to", to)
	q.skip(q.next, to)
}

// prepare sees to it that Next does not wait for the disk soon.
func (q *seqFile) prepare() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.path != "" {
		q.provide()
	}
}

// Next gives out a number. It waits for the disk only when a reservation takes longer than half a block lasts. A
// range that was skipped before it comes along once.
func (q *seqFile) Next() (n uint64, skipped []Skipped) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.path != "" {
		q.provide()
	}
	n = q.next
	q.next++
	skipped, q.skipped = q.skipped, nil
	return n, skipped
}

// saw tells that the broker has number n, so that only what comes after it can be missing. It is to be called before
// the first Next.
func (q *seqFile) saw(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n < q.next {
		for i := range q.skipped {
			if s := &q.skipped[i]; s.First <= n && n < s.Last {
				s.First = n + 1
			}
		}
		return
	}
	q.next = n + 1
}

// provide sees to it that q.next is reserved.
func (q *seqFile) provide() {
	if q.next < q.reserved {
		if q.reserved-q.next <= seqBlock/2 && !q.busy && !q.failed {
			q.busy = true
			slot := q.slot(q.next, q.reserved+seqBlock)
			q.written.Go(func() { q.ahead(slot) })
		}
		return
	}
	if q.busy {
		q.mu.Unlock()
		q.written.Wait()
		q.mu.Lock()
		if q.next < q.reserved {
			return
		}
	}
	wasFailed := q.failed
	if q.write(q.slot(q.next, q.next+seqBlock)) {
		return
	}
	if !wasFailed {
		// The disk takes no reservation. No later run can know what is used from now on, but it will leap further.
		q.leap("the disk takes no reservation")
	}
	q.reserved = q.next + seqBlock // try the disk again after a block
}

// ahead reserves the next block while numbers are left.
func (q *seqFile) ahead(s seqSlotData) {
	err := q.store(s)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	q.settle(s, err)
}

func (q *seqFile) write(s seqSlotData) bool {
	err := q.store(s)
	q.settle(s, err)
	return err == nil
}

func (q *seqFile) settle(s seqSlotData, err error) {
	if err != nil {
		if !q.failed {
			q.log.Warn("sequence numbers cannot be reserved on disk", "err", err)
		}
		q.failed = true
		return
	}
	q.failed = false
	q.reserved = s.reserved
}

// slot is the next content of the file.
func (q *seqFile) slot(next, reserved uint64) seqSlotData {
	q.gen++
	return seqSlotData{q.gen, next, reserved}
}

// Close notes which numbers were not used, so that the next run skips none.
func (q *seqFile) Close() error {
	q.written.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.path == "" {
		return nil
	}
	var err error
	if q.f != nil {
		if q.skipped != nil { // it was never told: the next run shall
			err = q.store(q.slot(q.skipped[0].First, q.next))
		} else {
			err = q.store(q.slot(q.next, q.next))
		}
	}
	if q.f != nil {
		err = errors.Join(err, q.f.Close())
		q.f = nil
	}
	return err
}

// seqSlotData is what a slot says.
type seqSlotData struct{ gen, next, reserved uint64 }

// encode gives the slot's bytes.
func (s seqSlotData) encode() []byte {
	return seal(fmt.Appendf(nil, "edged seq %d next %d reserved %d", s.gen, s.next, s.reserved))
}

func decodeSeq(slot []byte) (s seqSlotData, ok bool) {
	line, ok := unseal(slot)
	if !ok {
		return s, false
	}
	_, err := fmt.Sscanf(line, "edged seq %d next %d reserved %d", &s.gen, &s.next, &s.reserved)
	return s, err == nil && s.next >= 1 && s.next <= s.reserved
}

// load reads the newest valid slot. A damaged file is set aside.
func (q *seqFile) load() (seqSlotData, error) {
	b, err := os.ReadFile(q.path)
	if err != nil {
		return seqSlotData{}, err
	}
	best, found := seqSlotData{}, false
	for slot := range slots(b) {
		if s, ok := decodeSeq(slot); ok && (!found || s.gen > best.gen) {
			best, found = s, true
		}
	}
	if found {
		return best, nil
	}
	if len(b) == 0 { // nothing was given out: the first reservation is on disk before
		return best, fs.ErrNotExist
	}
	return best, errors.Join(errors.New("both of its slots are damaged"), os.Rename(q.path, q.path+".damaged"))
}

// store writes a slot, and is back once it is on disk.
func (q *seqFile) store(s seqSlotData) error {
	if q.f == nil {
		if err := q.create(); err != nil {
			return err
		}
	}
	if _, err := q.f.WriteAt(s.encode(), slotAt(s.gen)); err != nil {
		return fmt.Errorf("reserve sequence numbers: %w", err)
	}
	if err := q.f.Sync(); err != nil {
		return fmt.Errorf("reserve sequence numbers: %w", err)
	}
	return nil
}

// create opens the file and makes sure that it is found after a power cut.
func (q *seqFile) create() error {
	f, err := os.OpenFile(q.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("reserve sequence numbers: %w", err)
	}
	dir, err := os.Open(filepath.Dir(q.path))
	if err != nil {
		return errors.Join(fmt.Errorf("reserve sequence numbers: %w", err), f.Close())
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return errors.Join(fmt.Errorf("reserve sequence numbers: %w", err), f.Close())
	}
	q.f = f
	return nil
}
