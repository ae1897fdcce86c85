// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io/fs"
)

// readSize is how much a reader reads at once.
const readSize = 64 << 10

// patience is how many times a reader fails at one place before it takes it for damaged.
const patience = 5

// Reader reads durable records, onward from a place. It is used by one goroutine at a time.
type Reader struct {
	j        *Journal
	next     Pos
	id       ident  // of the segment that buf is from
	base     Pos    // of buf
	buf      []byte // what the disk holds, nothing that is not durable
	pooled   *[]byte
	failures int // at next
	err      error
	released bool
	damaged  int
}

// Read returns a reader that begins at p: the place of a record, the start of a segment, or a Durable or End of before.
// A p that is no longer kept, or 0, means the oldest record kept.
func (j *Journal) Read(p Pos) *Reader { return &Reader{j: j, next: p} }

// At is the place where Next goes on.
func (r *Reader) At() Pos { return r.next }

// Err is why the last Next found nothing although there is more.
func (r *Reader) Err() error { return r.err }

// Released tells whether a segment that the reader had not finished was released, so that it went on in the oldest one
// kept.
func (r *Reader) Released() bool { return r.released }

// Damaged is at how many places the reader skipped something unreadable.
func (r *Reader) Damaged() int { return r.damaged }

// Close gives the reader's buffer back.
func (r *Reader) Close() {
	if r.pooled != nil {
		r.j.buffers.Put(r.pooled)
	}
	r.pooled, r.buf = nil, nil
}

// Next returns the next durable record. It is false at the end of what is durable (Err is nil: ask again after the next
// commit) and when the disk could not be read (Err says why: ask again after a second; what stays unreadable is skipped
// as damage in the end).
func (r *Reader) Next() (Record, bool) {
	r.err = nil
	for r.err == nil && r.more() {
		kind, body, ok := r.id.parse(r.ahead())
		if !ok {
			r.fetch()
			continue
		}
		rec := Record{r.next, kind, body}
		r.next += Pos(header + len(body))
		if kind == kindSeal {
			_, _, gen := r.j.segment(rec.Pos.Gen())
			r.next = place(gen, 0)
		}
		if kind >= KindFirst {
			return rec, true
		}
	}
	return Record{}, false
}

// more tells whether something durable lies ahead, in a segment that is kept.
func (r *Reader) more() bool {
	if first := r.j.oldest.Load(); r.next.Gen() < first {
		r.released = r.released || r.next > 0
		r.next = place(first, 0)
	}
	return r.next < r.j.Durable()
}

// ahead is what of the buffer lies ahead.
func (r *Reader) ahead() []byte {
	if r.next < r.base || r.next >= r.base+Pos(len(r.buf)) {
		return nil
	}
	return r.buf[r.next-r.base:]
}

// fetch reads what is needed for the next record, or goes past what is no record.
func (r *Reader) fetch() {
	durable := r.j.Durable() // before the parts, for these hold at least as much
	s, parts, nextGen := r.j.segment(r.next.Gen())
	if s == nil { // what is missing was reported when the journal was opened
		r.next = min(place(nextGen, 0), durable)
		return
	}
	end := min(durable, place(s.gen+1, 0))
	have := r.ahead()
	want := max(claimed(have), header)
	if len(have) >= want || r.next+Pos(want) > end {
		r.skip(s, parts, end, nextGen)
		return
	}
	r.id = s.ident
	err := r.fill(parts, min(max(want, readSize), int(end-r.next)))
	switch {
	case err == nil:
		r.failures = 0
	case s.gen < r.j.oldest.Load():
	case errors.Is(err, fs.ErrClosed):
		if r.j.shut() {
			r.err = ErrClosed
		} // else a new file took the place of this one
	case r.failures >= patience:
		r.skip(s, parts, end, nextGen)
	default:
		r.failures++
		r.err = fmt.Errorf("read segment %s at %d: %w", s.stem(), r.next.Offset(), err)
	}
}

// fill reads n bytes from next on.
func (r *Reader) fill(parts []part, n int) error {
	r.Close()
	var buf []byte
	if n <= readSize {
		r.pooled = r.j.buffers.Get().(*[]byte)
		buf = (*r.pooled)[:n]
	} else {
		buf = make([]byte, n)
	}
	if _, err := readParts(parts, buf, r.next.Offset()); err != nil {
		r.Close()
		return err
	}
	r.buf, r.base = buf, r.next
	return nil
}

// skip goes to the next valid record, or to the end of what is durable of the segment.
func (r *Reader) skip(s *segment, parts []part, end Pos, nextGen uint64) {
	r.j.skipping.Lock()
	defer r.j.skipping.Unlock()
	r.Close()
	b := make([]byte, end-r.next)
	view(parts, b, r.next.Offset())
	budget := scanBudget
	k := s.resync(b, 0, &budget)
	switch {
	case r.j.shut():
		r.err = ErrClosed
		return
	case s.gen < r.j.oldest.Load():
		return
	case k == 0: // whole after all: a new file took over, or what cannot be read lies farther on
		r.id, r.buf, r.base = s.ident, b, r.next
		return
	}
	r.failures = 0
	r.damaged++
	r.j.mu.Lock()
	if r.j.found == nil {
		r.j.found = map[uint64]int{}
	}
	r.j.found[s.gen]++
	r.j.mu.Unlock()
	r.j.wake()
	switch {
	case k > 0:
		r.next += Pos(k)
	case end == place(s.gen+1, 0):
		r.next = place(nextGen, 0)
	default:
		r.next = end
	}
}
