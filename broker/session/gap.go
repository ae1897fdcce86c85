// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"
	"time"

	"edged/broker/journal"
)

// Gap is what a session was owed and will not get.
type Gap struct {
	ClientID string
	Reason   string // "queue", "journal", "disk": what was full; "age"; "reject": refused; "damage": unreadable; "untold": before a crash
	Messages uint64
	Bytes    int64 // of those that could be read, roughly
	Topics   []GapTopic
}

// GapTopic is what of a gap was published to one topic.
type GapTopic struct {
	Topic       string
	Messages    uint64
	First, Last []byte // payloads; nil for one that is long
}

const (
	gapTopics  = 32      // topics that a gap names; what others lost is only counted
	gapPayload = 4 << 10 // bytes of a payload that is kept
)

// given is a stretch of numbers that was given up and is still to be looked up in the journal.
type given struct {
	from, to  uint64
	start     journal.Pos // where to begin to read, and the record after which there is nothing of it
	end       journal.Pos
	carried   []carried // those that lie elsewhere
	delivered ranges    // of the numbers, those that were settled before
	reason    string
	damaged   uint64 // so many have no record that can be read: there is nothing to look up
}

// giveUpFor is giveUp, of which the session remembers what to look up.
func (s *Session) giveUpFor(reason string, to uint64) {
	if len(s.parked) > 0 {
		to = min(to, s.parked[0].N)
	}
	g := given{from: s.front(), to: to, start: s.start(), end: s.last, reason: reason, delivered: slices.Clone(s.acked)}
	if to <= g.from {
		return
	}
	g.delivered.dropBelow(g.from)
	if reason == reasonAge {
		s.keeper.reserved = slices.DeleteFunc(s.keeper.reserved, func(c carried) bool { return c.n < to })
	} else {
		s.keepBelow(to)
	}
	for _, c := range s.carried {
		switch {
		case c.n < g.from, c.n >= to:
		case c.stays:
			g.delivered.add(c.n, c.n+1)
		default:
			g.carried = append(g.carried, c)
			g.end = max(g.end, c.pos)
		}
	}
	before := s.dropped
	s.giveUp(to)
	if s.skipTo(to); s.dropped == before {
		return
	}
	if n := len(s.given); n > 0 && s.given[n-1].to == g.from && s.given[n-1].reason == reason {
		last := &s.given[n-1]
		last.to, last.end = g.to, max(last.end, g.end)
		last.carried = append(last.carried, g.carried...)
		for _, x := range g.delivered {
			last.delivered.add(max(x.from, g.from), x.to) // below it lies what last gives up
		}
		return
	}
	s.given = append(s.given, g)
}

// Told notes that somebody has heard for good of so many messages that were given up, so that this is not told again after
// a crash.
func (s *Session) Told(messages uint64) {
	s.told = min(s.told+messages, s.dropped)
	s.RecordLater()
}

// untold is a gap of what was given up before a crash and nobody had heard of; of its topics nothing is known any more.
func (s *Session) untold() (gap Gap, some bool) {
	return Gap{ClientID: s.ID, Reason: reasonUntold, Messages: s.dropped - s.told}, s.dropped > s.told
}

// Given reads what the session gave up since the last call. It reads from the disk: the session must not be locked. It is
// false while some of that is not on disk yet: ask again after the next commit. Nothing that it may have to read may be
// released before.
func (s *Session) Given() (gaps []Gap, all bool) {
	for {
		s.Lock()
		if s.refusal.Messages > 0 {
			gap := s.refusal
			gap.ClientID, gap.Reason, s.refusal = s.ID, Reject, Gap{}
			gaps = append(gaps, gap)
		}
		if s.lostTrack.Messages > 0 {
			gaps = append(gaps, s.lostTrack)
			s.lostTrack = Gap{}
		}
		if len(s.given) == 0 {
			s.Unlock()
			return gaps, true
		}
		g := s.given[0]
		if g.end >= s.env.Log.Durable() {
			s.Unlock()
			return gaps, false
		}
		s.given = s.given[1:]
		s.Unlock()
		gaps = append(gaps, s.lookUp(&g))
	}
}

// tellDamage remembers that n messages could not be read from the journal.
func (s *Session) tellDamage(n uint64) {
	if k := len(s.given); k > 0 && s.given[k-1].damaged > 0 {
		s.given[k-1].damaged += n
		return
	}
	s.given = append(s.given, given{reason: "damage", damaged: n})
}

// lookUp finds what was given up in the journal. What cannot be read is only counted.
func (s *Session) lookUp(g *given) Gap {
	gap := Gap{ClientID: s.ID, Reason: g.reason, Messages: g.damaged}
	if g.damaged > 0 {
		return gap
	}
	at := s.env.Now()
	for _, c := range g.carried {
		s.scan(&gap, g, c.pos, c.pos, at)
	}
	if g.start > 0 {
		s.scan(&gap, g, g.start, g.end, at)
	}
	gap.Messages += g.to - g.from - g.delivered.below(g.to).count()
	return gap
}

// scan adds what lies from start up to and with end.
func (s *Session) scan(gap *Gap, g *given, start, end journal.Pos, at time.Time) {
	r := s.env.Log.Read(start)
	defer r.Close()
	for {
		rec, ok := r.Next()
		if !ok || rec.Pos > end {
			return
		}
		if rec.Kind != KindMessage {
			continue
		}
		m, o, ok := decodeOwed(rec.Body, s.num)
		switch {
		case !ok || o.N < g.from || g.delivered.has(o.N):
		case o.N >= g.to:
			return
		case m.Expires > 0 && m.Expires <= at.Unix(): // nobody would have got it
			g.delivered.add(o.N, o.N+1)
		default:
			g.delivered.add(o.N, o.N+1) // one that was copied lies in two places
			gap.add(m.Topic, m.Payload, m.Size())
		}
	}
}

func (g *Gap) add(topic string, payload []byte, size int) {
	g.Messages++
	g.Bytes += int64(size)
	var t *GapTopic
	for i := range g.Topics {
		if g.Topics[i].Topic == topic {
			t = &g.Topics[i]
		}
	}
	if t == nil {
		if len(g.Topics) == gapTopics {
			return
		}
		g.Topics = append(g.Topics, GapTopic{Topic: topic})
		t = &g.Topics[len(g.Topics)-1]
	}
	t.Messages++
	t.Last = nil
	if len(payload) <= gapPayload {
		t.Last = append([]byte{}, payload...)
	}
	if t.Messages == 1 {
		t.First = t.Last
	}
}
