// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math"
	"slices"
	"time"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

const everything = math.MaxUint64

// backlog is what a connected session is owed and has not in its queue. It is read from the journal up to until; what
// comes with a number from there on waits in after. Until the reader has been at the end of the journal once, until is
// everything: a session that is far behind keeps nothing.
type backlog struct {
	behind      bool
	from        journal.Pos // where to begin to read
	next, until uint64
	last        journal.Pos // of the record of until-1
	after       []item
	feeder      *feeder
}

// feeder is the goroutine that reads a backlog.
type feeder struct {
	s       *Session
	reader  *journal.Reader
	live    []journal.Pos // of messages that go first: they are read before anything else
	carried []carried     // and these then
	wake    chan struct{} // holds one: there is room in the queue
	stop    chan struct{} // closed: there is nobody to read for
	batch   []item
	size    int
	ended   bool // the batch ends where the durable journal does
	first   bool // the batch is of what goes first
}

// batchBytes is how much a feeder reads before it hands over.
const batchBytes = 64 << 10

// retryRead is how long a feeder waits when the disk cannot be read.
const retryRead = time.Second

// awaitMemory is how long it waits when too much waits for clients already.
const awaitMemory = 50 * time.Millisecond

// feed starts the feeder, or tells it that there is room.
func (s *Session) feed() {
	f := s.back.feeder
	if f == nil {
		f = &feeder{s: s, wake: make(chan struct{}, 1), stop: make(chan struct{}), carried: slices.Clone(s.carried), live: s.unread()}
		s.back.feeder = f
		from := s.back.from
		s.env.Go(func() { f.run(from) })
		return
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// stopFeeding lets the feeder end; it is waited for only when the broker stops, for it may be waiting for the disk.
func (s *Session) stopFeeding() {
	for i := range s.back.after {
		s.charge(-s.back.after[i].size)
	}
	if f := s.back.feeder; f != nil {
		s.back.feeder = nil
		close(f.stop)
	}
}

// run reads until the session has caught up or its connection is gone.
func (f *feeder) run(from journal.Pos) {
	f.reader = f.s.env.Log.Read(from)
	defer f.reader.Close()
	for {
		commit := f.s.env.Commit()
		durable := f.s.env.Log.Durable()
		if !f.wanted() {
			return
		}
		if !f.begin() {
			return
		}
		f.read()
		var r Round
		on, full := f.hand(&r, durable)
		r.Flush()
		f.end()
		switch {
		case !on:
			return
		case full:
			select {
			case <-f.wake:
			case <-f.stop:
			}
		case f.reader.Err() != nil:
			f.pause(retryRead)
		case f.ended:
			select {
			case <-commit:
			case <-f.stop:
			}
		}
	}
}

// begin waits for a place among those who read, and for memory. It is false when there is nobody to read for.
func (f *feeder) begin() bool {
	for !f.s.env.Memory.FitsPart(batchBytes, Full) {
		if f.pause(awaitMemory); !f.wanted() {
			return false
		}
	}
	if f.s.env.Feeding == nil {
		return true
	}
	select {
	case <-f.stop:
		return false
	case f.s.env.Feeding <- struct{}{}:
		return true
	}
}

func (f *feeder) end() {
	clear(f.batch)
	if f.s.env.Feeding != nil {
		<-f.s.env.Feeding
	}
}

func (f *feeder) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.stop:
	}
}

func (f *feeder) wanted() bool {
	f.s.Lock()
	defer f.s.Unlock()
	return f.s.back.feeder == f
}

// read fills the batch, without any lock.
func (f *feeder) read() {
	f.batch, f.size, f.ended = f.batch[:0], 0, false
	if f.first = len(f.live) > 0; f.first {
		f.readLive()
		return
	}
	f.readCarried()
	for f.size < batchBytes {
		rec, ok := f.reader.Next()
		if !ok {
			f.ended = f.reader.Err() == nil
			return
		}
		if rec.Kind != KindMessage {
			continue
		}
		m, o, ok := decodeOwed(rec.Body, f.s.num)
		if !ok {
			continue
		}
		f.add(m, o, rec.Pos)
	}
}

// add puts a message, which is a view, into the batch.
func (f *feeder) add(m wire.Message, o Owed, pos journal.Pos) {
	o.Pos = pos
	it := item{Owed: o, m: m.Keep(), size: itemBytes + m.Size()}
	f.batch = append(f.batch, it)
	f.size += it.size
}

// hand puts the batch into the session's queue. durable is how far the journal was before the batch was read. on is
// false when there is nothing more to do, full when the queue has to be sent first.
func (f *feeder) hand(r *Round, durable journal.Pos) (on, full bool) {
	s := f.s
	s.Lock()
	defer s.Unlock()
	if s.back.feeder != f {
		return false, false
	}
	select {
	case <-f.wake: // it was for the room that is looked at now
	default:
	}
	if f.first {
		s.takeLive(f.batch, len(f.live) == 0)
		s.Pump(r)
		return s.back.feeder == f, s.qbytes >= feedBelow
	}
	for i := range f.batch {
		it := &f.batch[i]
		if it.N < s.back.next || it.N >= s.back.until {
			continue
		}
		s.lose(it.N)
		s.back.next = it.N + 1
		if !s.passed(it.N) && !s.isLive(it.N) {
			s.queue = append(s.queue, *it)
			s.charge(it.size)
		}
	}
	if f.ended {
		if s.back.until == everything {
			s.back.until, s.back.last = s.head, s.last
		}
		if durable > s.back.last {
			s.lose(s.back.until)
		}
	}
	if s.back.next >= s.back.until {
		s.joinAfter()
		s.Pump(r)
		return false, false
	}
	s.Pump(r)
	if s.back.feeder != f {
		return false, false
	}
	return true, s.qbytes >= feedBelow
}
