// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"edged/broker/journal"
)

// Gap is what a session was owed and will not get.
type Gap struct {
	ClientID string
	Reason   string // "queue": more was owed than its session may be; "journal": the log was full; "reject": refused; "damage": unreadable
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
	g := given{
		from: s.tail, to: to, start: s.start(), end: s.last, reason: reason,
		carried: append([]carried(nil), s.carried...), delivered: append(ranges(nil), s.acked...),
	}
	if s.giveUp(to); s.tail == g.from {
		return
	}
	g.to = min(to, s.tail)
	if n := len(s.given); n > 0 && s.given[n-1].to == g.from && s.given[n-1].reason == reason {
		last := &s.given[n-1]
		last.to, last.end = g.to, g.end
		last.carried = append(last.carried, g.carried...)
		for _, x := range g.delivered {
			last.delivered.add(x.from, x.to)
		}
		return
	}
	s.given = append(s.given, g)
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
	s.scan(&gap, g, g.start, g.end, at)
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
