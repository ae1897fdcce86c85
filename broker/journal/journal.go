// SPDX-License-Identifier: Apache-2.0

// Package journal is the broker's log on disk: one stream of checked records in segments of fixed size, made durable in
// groups.
//
// Locks: Journal.mu is held for memory only, never while the disk is read or written. What the disk holds is changed by
// one goroutine at a time: the caller of Open and Start, then Run's.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// SegmentSize is the size of every segment file in bytes; a record never spans two.
const SegmentSize = 4 << 20

// ErrUnusable is wrapped by Open when the directory cannot be used at all: it is no directory, cannot be created or read,
// or another process holds it. Damaged contents, a full disk and a read-only disk are never the reason.
var ErrUnusable = errors.New("the journal's directory cannot be used")

// ErrClosed is what Wait returns once the journal is closed.
var ErrClosed = errors.New("the journal is closed")

// Pos is the place of a record: generation × SegmentSize + offset. Later records have greater places; 0 is none.
type Pos uint64

// Gen is the number of the segment that p lies in; the first is 1.
func (p Pos) Gen() uint64 { return uint64(p) / SegmentSize }

// Offset is where in its segment p lies.
func (p Pos) Offset() int64 { return int64(uint64(p) % SegmentSize) }

func place(gen uint64, off int64) Pos { return Pos(gen*SegmentSize + uint64(off)) }

// Config is what a journal needs from its owner.
type Config struct {
	Dir string       // made when it is missing
	FS  FS           // nil: the operating system
	Log *slog.Logger // nil: nothing is logged
	// Alarm is told when a condition begins (text says what and what to do) and when it is over (text is empty):
	// E601 the disk is full, E602 it cannot be written, E603 damaged records were skipped. It is called from Open, Start
	// and Run, by one goroutine at a time, and must neither block nor call the journal. May be nil.
	Alarm func(code, text string)
	// Reserve is how many bytes of the file system are left free; nil: what the journal itself needs. The first segments
	// are made in any case. It is called by one goroutine at a time.
	Reserve func() int64
	// Sleep is how the writer waits for company. nil: by a timer of the kernel.
	Sleep func(d time.Duration)
}

// chunk is a run of records of one segment that is not durable yet.
type chunk struct {
	ident
	off int64
	b   []byte
}

func (c *chunk) end() Pos { return place(c.gen, c.off+int64(len(c.b))) }

// Journal is an open log. Its methods may be called from any goroutine.
type Journal struct {
	path    string
	dir     Dir
	log     *slog.Logger
	alarm   func(code, text string)
	reserve func() int64

	durable atomic.Uint64 // Pos
	oldest  atomic.Uint64 // first, for readers
	written atomic.Uint64 // bytes
	work    chan struct{} // holds one: there is something to do for Run

	mu      sync.Mutex
	pending []chunk
	bytes   int       // of what is not durable
	records int       // that came since the last commit began, without notes
	latest  time.Time // when the latest of these came
	notes   int       // that came since then
	end     Pos
	salt    uint32 // of the segment that end lies in
	first   uint64 // the oldest generation kept
	trimmed Pos    // what was released goes once this is durable
	segs    []*segment
	newest  uint64         // generation of the newest segment that has a file, or had one
	spare   bool           // a spare segment is ready
	held    bool           // E601 or E602 is raised
	full    bool           // there was no room for a spare segment, or for a commit
	takes   taking         // what becomes of what publishers append
	found   map[uint64]int // generations in which readers met damage that nobody has looked at yet
	closed  bool           // nothing more is taken
	gone    bool           // the files are closed, or being closed
	room    chan struct{}  // closed when those in Wait should look again
	unused  []byte         // a buffer for the next chunk

	buffers  sync.Pool
	skipping sync.Mutex // one reader at a time searches a damaged segment, for that takes the memory of one

	telling sync.Mutex // guards the alarms; the journal's lock may be taken with it held
	watch
	committer
}

// taking says where records of publishers go.
type taking int

const (
	toDisk   taking = iota // to the disk, while it has room
	toMemory               // the disk fails: they wait in memory, up to a bound
	nowhere                // publishers wait
)

// Durable is the place up to which every record has reached the disk for good.
func (j *Journal) Durable() Pos { return Pos(j.durable.Load()) }

// End is the place that the next record gets, or a little before it.
func (j *Journal) End() Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// First is the oldest generation that is kept, and how many are.
func (j *Journal) First() (gen uint64, n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.first, int(j.end.Gen()-j.first) + 1
}

// Bytes is the length of the log from the start of its oldest kept segment to its end.
func (j *Journal) Bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.end - place(j.first, 0))
}

// Writable tells whether neither E601 nor E602 is raised.
func (j *Journal) Writable() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.held
}

// Append adds a record and returns its place; it is durable once Durable is past that place. It never waits for the disk.
// The body is copied; one longer than MaxBody is a defect of the caller and panics. After the journal is closed nothing
// is kept.
func (j *Journal) Append(kind byte, body []byte) Pos {
	if len(body) > MaxBody {
		panic(fmt.Sprintf("journal: a body of %d bytes; MaxBody is %d", len(body), MaxBody))
	}
	now := time.Now()
	j.mu.Lock()
	p := j.add(kind, body)
	j.records, j.latest = j.records+1, now
	j.mu.Unlock()
	j.wake()
	return p
}

// maxNotes is how many notes wait for somebody else's commit.
const maxNotes = 16

// Note is Append for a record that nobody waits for: alone it causes no commit. It is written with the next one, or
// within about a second, or with the sixteenth note.
func (j *Journal) Note(kind byte, body []byte) Pos {
	j.mu.Lock()
	p := j.add(kind, body)
	j.notes++
	due := j.notes >= maxNotes
	j.mu.Unlock()
	if due {
		j.wake()
	}
	return p
}

// Hurry has notes written: somebody does wait.
func (j *Journal) Hurry() {
	j.mu.Lock()
	due := j.notes > 0
	j.mu.Unlock()
	if due {
		j.wake()
	}
}

// add adds a record of the caller's and returns its place. j.mu is held.
func (j *Journal) add(kind byte, body []byte) Pos {
	if j.closed {
		return j.end
	}
	// A mark, the record, and the mark and seal of a segment that ends before the next.
	if j.end.Offset()+int64(len(body))+4*header > SegmentSize {
		j.put(kindSeal, nil)
		j.end, j.salt = place(j.end.Gen()+1, 0), newSalt()
	}
	return j.put(kind, body)
}

// put adds a record at the end. Each commit's part of a segment begins with a mark.
func (j *Journal) put(kind byte, body []byte) Pos {
	n := len(j.pending)
	if n == 0 || j.pending[n-1].gen != j.end.Gen() {
		c := chunk{ident: ident{j.end.Gen(), j.salt}, off: j.end.Offset(), b: j.unused}
		j.unused = nil
		j.pending = append(j.pending, c)
		n++
		if kind != kindMark {
			j.put(kindMark, nil)
		}
	}
	c, at := &j.pending[n-1], j.end
	c.b = c.append(c.b, kind, body)
	j.end += Pos(header + len(body))
	j.bytes += header + len(body)
	return at
}

func newSalt() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return binary.LittleEndian.Uint32(b[:])
}

func (j *Journal) wake() {
	select {
	case j.work <- struct{}{}:
	default:
	}
}

// Release lets go of all generations below gen as soon as everything that was appended before the call is durable.
func (j *Journal) Release(gen uint64) {
	j.mu.Lock()
	if gen = min(gen, j.end.Gen()); gen > j.first {
		j.first, j.trimmed = gen, j.end
		j.oldest.Store(gen)
	}
	j.mu.Unlock()
	j.wake()
}

const (
	maxPending = 4 << 20         // bytes that may wait for the disk before Wait holds publishers back
	roomy      = 4 * SegmentSize // free bytes that a failing disk must have for that
)

// Wait blocks while too much waits for the disk, or there may soon be no room for acknowledgements on it. Who publishes
// waits here before each Append, who acknowledges must not, for it is acknowledgements that give segments back. The error
// is that of ctx, or ErrClosed.
//
// A disk that fails or hangs does not make anybody wait at once: up to the bound, records stay in memory, and all that
// depends on them but their acknowledgement can go on. They are written when the disk is well.
func (j *Journal) Wait(ctx context.Context) error { return j.wait(ctx, j.crowded) }

// WaitForMemory is Wait for what is needed to serve anybody, as records of sessions: it blocks only while far too much
// waits for the disk.
func (j *Journal) WaitForMemory(ctx context.Context) error {
	return j.wait(ctx, func() bool { return j.bytes > 2*maxPending })
}

// wait blocks while full, which is called with the lock held.
func (j *Journal) wait(ctx context.Context, full func() bool) error {
	for {
		j.mu.Lock()
		closed, wait, room := j.closed, full(), j.room
		j.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case !wait:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-room:
		}
	}
}

// Crowded tells whether Wait would block.
func (j *Journal) Crowded() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.crowded()
}

// crowded tells whether publishers have to wait. Half a segment is left to acknowledgements, and to publishers that were
// let in at the same moment: were the disk found to be full only when a record lies before them that has no place, they
// could not be written, and nothing would ever be given back. The caller holds the lock.
func (j *Journal) crowded() bool {
	if j.takes != toDisk || j.bytes > maxPending {
		return j.takes == nowhere || j.bytes > maxPending
	}
	needed, spares := j.end.Gen()-min(j.newest, j.end.Gen()), uint64(0)
	if j.spare {
		spares = 1
	}
	return needed > spares || needed == spares && j.end.Offset() >= SegmentSize/2
}

// Tight tells whether the disk has no room for another segment, and none is about to be given back.
func (j *Journal) Tight() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.full && !j.spare && !(len(j.segs) > 0 && j.segs[0].gen < j.first)
}

// change runs fn with the lock held and lets those in Wait look again.
func (j *Journal) change(fn func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fn()
	close(j.room)
	j.room = make(chan struct{})
}

// shut tells whether the journal is closed.
func (j *Journal) shut() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed
}

// segment is that of a generation, nil when there is none; next is the generation to go on with behind it.
func (j *Journal) segment(gen uint64) (s *segment, parts []part, next uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	next = j.end.Gen()
	for _, t := range j.segs {
		if t.gen == gen {
			s, parts = t, t.parts
		} else if t.gen > gen {
			next = min(next, t.gen)
		}
	}
	return s, parts, max(next, gen+1)
}

// Close lets go of the files and the directory as they are: what is not durable is given up, and no stop is noted. Run
// closes by itself; Close is for a journal that Run was never called for. It may be called again.
func (j *Journal) Close() error {
	var segs []*segment
	done := false
	j.change(func() {
		done, j.gone, j.closed = j.gone, true, true
		segs, j.pending, j.bytes = j.segs, nil, 0
	})
	if done {
		return nil
	}
	var errs []error
	for _, s := range segs {
		errs = append(errs, closeParts(s.parts))
	}
	return errors.Join(append(errs, j.abortFill(), j.clock.Close(), j.dir.Close())...)
}

func closeParts(parts []part) error {
	var errs []error
	for _, p := range parts {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(errs...)
}
