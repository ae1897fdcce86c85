// SPDX-License-Identifier: Apache-2.0

// Package journal is the broker's log on disk: one stream of checked records in segments of fixed size, made durable in
// groups.
package journal

import (
	"context"
	"errors"
	"log/slog"
)

// SegmentSize is the size of every segment file in bytes; a record never spans two.
const SegmentSize = 4 << 20

// MaxBody is the longest body in bytes that Append takes.
const MaxBody = SegmentSize / 2

// KindFirst is the first kind of record that belongs to the caller; the journal writes those below itself.
const KindFirst byte = 16

// ErrUnusable is wrapped by Open when the directory cannot be used at all: it is no directory, cannot be created or read,
// or another process holds it. Damaged contents, a full disk and a read-only disk are never the reason.
var ErrUnusable = errors.New("the journal's directory cannot be used")

// ErrClosed is what Wait returns once Run has ended.
var ErrClosed = errors.New("the journal is closed")

// Pos is the place of a record: generation × SegmentSize + offset. Later records have greater places; 0 is none.
type Pos uint64

// Gen is the number of the segment that p lies in; the first is 1.
func (p Pos) Gen() uint64 { return uint64(p) / SegmentSize }

// Offset is where in its segment p lies.
func (p Pos) Offset() int64 { return int64(uint64(p) % SegmentSize) }

// Record is one record as it is read. Body is valid until the next record is read.
type Record struct {
	Pos  Pos
	Kind byte
	Body []byte
}

// Config is what a journal needs from its owner.
type Config struct {
	Dir string       // made when it is missing
	FS  FS           // nil: the operating system
	Log *slog.Logger // nil: nothing is logged
	// Alarm is told when a condition begins (text says what and what to do) and when it is over (text is empty):
	// E601 the disk is full, E602 it cannot be written, E603 damaged records were skipped. It is called without any lock
	// held, from Open, Start and Run, and must not block. May be nil.
	Alarm func(code, text string)
}

// FS is the journal's seam to the operating system.
type FS interface{}

// Journal is an open log. Its methods may be called from any goroutine.
type Journal struct{}

// Open reads the log in cfg.Dir and gives every record to replay, oldest first. Damage never makes it fail: a damaged
// record is skipped, counted and reported (E603) and a copy of its segment set aside; what follows it is still read.
// Every error wraps ErrUnusable. Open writes nothing but that copy; the caller calls Start next, then Run.
func Open(cfg Config, replay func(Record)) (*Journal, error) { return &Journal{}, nil }

// Start makes the place ready where the next record goes. When the disk refuses, the alarm is up when Start returns and
// Run keeps trying.
func (j *Journal) Start() {}

// Run writes what is appended, in groups, until ctx ends; then it writes the rest and a mark of the orderly stop, and
// closes the files. committed is called after each group that has become durable, by Run's goroutine and without any lock
// held. The error says what could not be written at the end.
func (j *Journal) Run(ctx context.Context, committed func(durable Pos)) error { return nil }

// Append adds a record and returns its place; it is durable once Durable is past that place. It never waits for the disk.
// The body is copied; one longer than MaxBody is a defect of the caller and panics.
func (j *Journal) Append(kind byte, body []byte) Pos { return 0 }

// Durable is the place up to which every record has reached the disk for good.
func (j *Journal) Durable() Pos { return 0 }

// End is the place that the next record gets, or a little before it.
func (j *Journal) End() Pos { return 0 }

// First is the oldest generation that is kept, and how many are.
func (j *Journal) First() (gen uint64, n int) { return 0, 0 }

// Release lets go of all generations below gen as soon as everything that was appended before the call is durable.
func (j *Journal) Release(gen uint64) {}

// Wait blocks while too much waits for the disk, or the disk is full or cannot be written. Who publishes waits here
// before Append, who acknowledges must not, for it is acknowledgements that give segments back.
func (j *Journal) Wait(ctx context.Context) error { return nil }

// Writable tells whether neither E601 nor E602 is raised.
func (j *Journal) Writable() bool { return true }

// Bytes is the length of the log from the start of its oldest kept segment to its end.
func (j *Journal) Bytes() int64 { return 0 }

// Reader reads durable records, onward from a place. It is used by one goroutine at a time.
type Reader struct{}

// Read returns a reader that begins at p: the place of a record, the start of a segment, or a Durable or End of before.
// A p that is no longer kept, or 0, means the oldest record kept.
func (j *Journal) Read(p Pos) *Reader { return &Reader{} }

// Next returns the next durable record. It is false at the end of what is durable (Err is nil: ask again after the next
// commit) and when the disk could not be read (Err says why: ask again after a second; what stays unreadable is skipped
// as damage in the end).
func (r *Reader) Next() (Record, bool) { return Record{}, false }

// At is the place where Next goes on.
func (r *Reader) At() Pos { return 0 }

// Err is why the last Next found nothing although there is more.
func (r *Reader) Err() error { return nil }

// Released tells whether a segment that the reader had not finished was released, so that it went on in the oldest one
// kept.
func (r *Reader) Released() bool { return false }

// Damaged is at how many places the reader skipped something unreadable.
func (r *Reader) Damaged() int { return 0 }

// Close gives the reader's buffer back.
func (r *Reader) Close() {}
