// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

const (
	parkFor      = 250 * time.Millisecond // how long a message waits for acknowledgements before it is written
	parkMessages = 10000                  // how many wait at most: what comes then is written at once
	parkBytes    = 4 << 20                // and their bytes
)

// numbersAhead is how many numbers a session gives out that the journal does not hear of. numbersLost is how many it
// leaves out after a crash: none of those that its client may have seen is given to another message, although some of
// what said so had not reached the disk.
const (
	numbersAhead = 4096
	numbersLost  = 2 * numbersAhead
)

// Parked is a QoS 1 message that no disk has yet, since all sessions that are owed it are about to acknowledge it. It is
// over once each has done so or has it in the journal.
type Parked struct {
	lot      *Lot
	m        *wire.Message
	at       int64 // when it was published, Unix milliseconds
	due      time.Time
	sessions []*Session // those that were owed it, in the order of their locks
	open     atomic.Int32
	pos      atomic.Uint64 // of its latest record
	waiter   atomic.Value  // a waiter
}

// Waiter waits for a parked message to be over.
type Waiter interface {
	// Over is called, with a session locked, when it is. The connection adds what it sends to the round, or, where that is
	// nil, sends it after the next commit.
	Over(r *Round)
}

type waiter struct{ Waiter }

// parkedShare is a session's share of a parked message.
type parkedShare struct {
	Owed
	p *Parked
}

// Over tells whether nobody is to acknowledge the message any more, and where its latest record lies; 0: none was needed.
func (p *Parked) Over() (over bool, pos journal.Pos) {
	return p.open.Load() == 0, journal.Pos(p.pos.Load())
}

// Await makes w hear of the end, unless that has come: the caller then looks again.
func (p *Parked) Await(w Waiter) { p.waiter.Store(waiter{w}) }

// close is called when one session needs the message no more, because it took it or has it at pos.
func (p *Parked) close(r *Round, pos journal.Pos) {
	for old := p.pos.Load(); uint64(pos) > old && !p.pos.CompareAndSwap(old, uint64(pos)); old = p.pos.Load() {
	}
	if p.open.Add(-1) > 0 {
		return
	}
	p.lot.leave(p)
	if w, ok := p.waiter.Load().(waiter); ok {
		w.Over(r)
	}
}

// Lot holds the parked messages of a broker, in the order in which they came.
type Lot struct {
	mu    sync.Mutex
	all   []*Parked
	n     int // of all, those that are not over
	bytes int
	wake  chan struct{} // holds one: there is one again
}

// NewLot returns an empty lot.
func NewLot() *Lot { return &Lot{wake: make(chan struct{}, 1)} }

// room tells whether one more fits.
func (l *Lot) room() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n < parkMessages && l.bytes < parkBytes
}

func (l *Lot) leave(p *Parked) {
	l.mu.Lock()
	l.n--
	l.bytes -= p.m.Size()
	p.m = nil // it may stand in line for a while yet
	l.mu.Unlock()
}

// Park keeps a message, whose bytes are its own, for sessions that are locked and that MayPark; shares[i] is what
// sessions[i] is owed.
func (l *Lot) Park(m *wire.Message, sessions []*Session, shares []Owed) *Parked {
	now := time.Now()
	p := &Parked{lot: l, m: m, at: sessions[0].env.clock(), due: now.Add(parkFor), sessions: slices.Compact(slices.Clone(sessions))}
	p.open.Store(int32(len(sessions)))
	for i, s := range sessions {
		s.parked = append(s.parked, parkedShare{shares[i], p})
	}
	l.mu.Lock()
	for len(l.all) > 0 && l.all[0].open.Load() == 0 {
		l.all[0] = nil
		l.all = l.all[1:]
	}
	l.all = append(l.all, p)
	l.n++
	l.bytes += m.Size()
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return p
}

// Run writes what was not acknowledged in time, until ctx ends.
func (l *Lot) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := l.writeDue(time.Now())
		if next <= 0 {
			select {
			case <-ctx.Done():
				return
			case <-l.wake:
			}
			next = parkFor
		}
		timer.Reset(next)
	}
}

// writeDue writes what is due, and says when to look again; 0: once there is something.
func (l *Lot) writeDue(now time.Time) time.Duration {
	for {
		l.mu.Lock()
		if len(l.all) == 0 {
			l.all = nil
			l.mu.Unlock()
			return 0
		}
		p := l.all[0]
		if p.open.Load() > 0 && p.due.After(now) {
			l.mu.Unlock()
			return p.due.Sub(now)
		}
		l.all[0] = nil
		l.all = l.all[1:]
		l.mu.Unlock()
		p.write()
	}
}

// write writes one record for all sessions that have not acknowledged the message. What came before it was written before.
func (p *Parked) write() {
	if p.open.Load() == 0 {
		return
	}
	for _, s := range p.sessions {
		s.Lock()
		defer s.Unlock()
	}
	if p.open.Load() == 0 {
		return
	}
	r := p.record()
	var owed []*Session
	for _, s := range p.sessions {
		for _, x := range s.parked {
			if x.p == p {
				x.Gap = s.gap(x.N)
				r.Owed = append(r.Owed, Share{s.num, x.Owed})
				owed = append(owed, s)
			}
		}
	}
	for len(r.Owed) > 0 {
		n := r.Fit()
		part := r
		part.Owed = r.Owed[:n]
		pos := p.sessions[0].env.Log.Append(KindMessage, AppendRecord(nil, &part))
		for i, s := range owed[:n] {
			s.noteParked(part.Owed[i].N, pos)
		}
		r.Owed, owed = r.Owed[n:], owed[n:]
	}
}

// record is what of a message's record is the same for all. What is retained is written by itself.
func (p *Parked) record() Record {
	m := *p.m
	m.Retain = false
	return Record{Message: m, Time: p.at}
}

// MayPark tells whether the session's next QoS 1 message may wait for its acknowledgement unwritten: the client is there
// and not behind.
func (s *Session) MayPark() bool {
	if s.env.Lot == nil || s.sink == nil || s.ended || s.back.behind || !s.env.Lot.room() {
		return false
	}
	if s.head < s.known+numbersAhead {
		return true
	}
	if s.record >= s.env.Log.Durable() { // the disk has not heard of the numbers before either
		return false
	}
	s.Record(1)
	return s.head < s.known+numbersAhead
}

// firstParked is the first number without a record that may yet get one, or the next number.
func (s *Session) firstParked() uint64 {
	if len(s.parked) > 0 {
		return s.parked[0].N
	}
	return s.head
}

// Gap returns how many numbers before n, which is going to be written, have no record. What is parked is written first.
func (s *Session) Gap(n uint64) uint64 {
	s.WriteParked()
	return s.gap(n)
}

func (s *Session) gap(n uint64) uint64 {
	before := s.written
	s.written = n + 1
	return n - before
}

// findParked finds a number among those that are not written.
func (s *Session) findParked(n uint64) (i int, ok bool) {
	return slices.BinarySearchFunc(s.parked, n, func(x parkedShare, n uint64) int { return cmp.Compare(x.N, n) })
}

// unpark forgets a number that the session is done with. It is false when the number has a record.
func (s *Session) unpark(r *Round, n uint64) bool {
	i, ok := s.findParked(n)
	if !ok {
		return false
	}
	p := s.parked[i].p
	s.takeParked(i)
	p.close(r, 0)
	return true
}

func (s *Session) takeParked(i int) {
	if i == 0 {
		s.parked[0] = parkedShare{}
		s.parked = s.parked[1:]
	} else {
		s.parked = slices.Delete(s.parked, i, i+1)
	}
	if len(s.parked) == 0 {
		s.parked = nil
	}
}

// WriteParked writes what the session has not acknowledged, for it alone: nobody is there to do so, or what follows has to
// be written.
func (s *Session) WriteParked() {
	for len(s.parked) > 0 {
		x := s.parked[0]
		x.Gap = s.gap(x.N)
		r := x.p.record()
		r.Owed = []Share{{s.num, x.Owed}}
		s.noteParked(x.N, s.env.Log.Append(KindMessage, AppendRecord(nil, &r)))
	}
}

// noteParked notes that the record of n, which was parked, lies at pos.
func (s *Session) noteParked(n uint64, pos journal.Pos) {
	i, _ := s.findParked(n)
	p := s.parked[i].p
	s.takeParked(i)
	s.note(n, pos, p.m.Topic, p.m.Size(), p.at)
	p.close(nil, pos)
	s.bound()
}

// forgetParked is for a session that has ended.
func (s *Session) forgetParked() {
	for len(s.parked) > 0 {
		p := s.parked[0].p
		s.takeParked(0)
		p.close(nil, 0)
	}
}
