// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"time"

	"edged/broker/journal"
	"edged/broker/retained"
	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

const (
	maintainEvery = time.Second // what could not be written at once is tried again
	retainEvery   = time.Minute // how often retained messages that nobody waits for are written
)

// maintain keeps the journal short and writes what was put off, until ctx ends.
func (b *Broker) maintain(ctx context.Context) {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	written := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.trim:
			b.contain("the journal's upkeep", b.shorten)
		case now := <-tick.C:
			b.contain("the bounds of queues", func() {
				b.expireOld()
				b.tellGaps()
				if b.journal.Tight() {
					b.shorten()
				}
			})
			if !b.journal.Writable() {
				continue
			}
			b.contain("the journal's upkeep", func() {
				b.recordClock(0)
				b.recordUnrecorded()
				if now.Sub(written) >= retainEvery && b.writeRetained() {
					written = now
				}
				b.retained.Sweep(now.Unix())
			})
		}
	}
}

// expireOld gives up what is older than its session's queue allows.
func (b *Broker) expireOld() {
	for _, s := range b.all() {
		s.Lock()
		s.ExpireOld()
		s.Unlock()
	}
}

func (b *Broker) recordUnrecorded() {
	for _, s := range b.all() {
		s.Lock()
		if s.Unrecorded() && b.journal.Pending() <= maxPending { // else at the next time
			s.Record(1)
		}
		s.Unlock()
	}
}

// writeRetained writes the retained messages that are not in the journal. At a time no more than a little waits for the
// disk, since these may be many; all tells whether that was all.
func (b *Broker) writeRetained() (all bool) {
	all = true
	write := b.retainedWriter()
	b.retained.Write(func(m *wire.Message) journal.Pos {
		if all = b.journal.Pending() <= maxPending; !all {
			return 0
		}
		return write(m)
	})
	return all
}

// retainedWriter returns a function that appends a retained message to the journal.
func (b *Broker) retainedWriter() func(m *wire.Message) journal.Pos {
	var body []byte
	return func(m *wire.Message) journal.Pos {
		r := session.Record{Message: *m, Time: b.clock.now()}
		body = session.AppendRecord(body[:0], &r)
		return b.journal.Append(session.KindMessage, body)
	}
}

// shorten gives back the segments that nobody needs, oldest first. What lives on in the oldest, as sessions' records and
// retained messages, is written again at the end.
func (b *Broker) shorten() {
	b.tellGaps()
	limit := max(int(b.limits().Journal/journal.SegmentSize), 2)
	for {
		first, n := b.journal.First()
		if n <= limit {
			b.wall.set(nil)
		}
		// A disk that fails takes nothing, so what is written again here would only wait. A full one gets room by this.
		if n <= 1 || b.alarms.raised("E602") && n <= limit {
			return
		}
		reason := ""
		switch {
		case n > limit:
			reason = "journal"
		case b.journal.Tight() && b.yields(first):
			reason = "disk"
		}
		if b.pinned(first, n, reason) || !b.tellGaps() {
			return
		}
		if !b.moveRetained(first, n) {
			return
		}
		if !b.writeRetained() { // an older record of a dirty one may be in the segment that goes
			return // the commits that follow come by here again
		}
		b.recordClock(first)
		b.journal.Release(first + 1)
	}
}

// pinned tells whether the segment of gen, the oldest, has to stay, because a session is owed something from it. What is
// little is copied to the end instead, if the journal is long enough for that to pay. With a reason each session gives up
// what it would keep. Sessions' records that lie there are written again.
func (b *Broker) pinned(gen uint64, n int, reason string) bool {
	all := b.all()
	room := carryBytes
	for _, s := range all {
		s.Lock()
		oldest, needs := s.Oldest()
		needs = needs && oldest <= gen && s.Persistent()
		light := needs && s.Carriable(gen)
		s.Unlock()
		if !needs || light && (n >= carryFrom || reason != "") && carry(s, gen, &room) {
			continue
		}
		if reason == "" {
			return true
		}
		b.counters.Hit(statistics.Journal)
		if !b.giveUpSegment(s, gen, n, reason) {
			return true
		}
	}
	for _, s := range all {
		s.Lock()
		if s.Persistent() && s.Recorded() <= gen {
			s.Record(1)
		}
		s.Unlock()
	}
	return false
}

// giveUpSegment makes a session give up what it is owed from a segment. It is false when the session keeps it.
func (b *Broker) giveUpSegment(s *session.Session, gen uint64, n int, reason string) bool {
	s.Lock()
	rejects := s.Queue.WhenFull == session.Reject
	if !rejects {
		s.GiveUpSegment(reason, gen, int64(n)*journal.SegmentSize/16)
	}
	oldest, needs := s.Oldest()
	s.Unlock()
	switch {
	case rejects:
		b.wall.set(s)
		return false
	case !needs || oldest > gen:
		return true
	case b.journal.Durable().Gen() <= gen:
		return false // some of what stays cannot be read yet
	}
	load, fits := s.Load(gen, journal.SegmentSize)
	if fits {
		load.CarryStaying()
	}
	return fits
}

// yields tells whether some session gives up what it is owed from the segment of gen for want of space on the disk, and no
// other keeps the segment: what is little is copied.
func (b *Broker) yields(gen uint64) bool {
	willing, room := false, carryBytes
	for _, s := range b.all() {
		s.Lock()
		oldest, needs := s.Oldest()
		needs = needs && oldest <= gen && s.Persistent()
		keeps := s.Queue.WhenFull == "" || s.Queue.WhenFull == session.Reject
		light := s.Carriable(gen)
		s.Unlock()
		switch {
		case !needs:
		case !keeps:
			willing = true
		case !light || !carry(s, gen, &room):
			return false
		}
	}
	return willing
}

const (
	carryFrom  = 4                       // segments from which on what little is owed from the oldest is copied
	carryBytes = journal.SegmentSize / 8 // and how much of a segment that may be
)

// carry copies what a session is owed from a segment.
func carry(s *session.Session, gen uint64, room *int) bool {
	load, fits := s.Load(gen, *room)
	if !fits {
		return false
	}
	*room -= load.Bytes()
	return load.Carry()
}

// moveRetained writes the retained messages of a segment again, unless the journal is short anyway.
func (b *Broker) moveRetained(gen uint64, n int) bool {
	if b.retained.In(gen) == 0 {
		return true
	}
	if _, bytes := b.retained.Count(); n*journal.SegmentSize < 2*bytes+4*journal.SegmentSize {
		return false
	}
	for _, k := range b.retained.Lying(gen) {
		b.renew(k)
	}
	return b.retained.In(gen) == 0
}

func (b *Broker) renew(k *retained.Kept) {
	r := session.Record{Message: *k.Message, Time: b.clock.now()}
	body := session.AppendRecord(nil, &r)
	b.retained.Renew(k, func() journal.Pos { return b.journal.Append(session.KindMessage, body) })
}
