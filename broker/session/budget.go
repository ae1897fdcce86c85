// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"sync/atomic"
)

// Budget bounds bytes that are kept in memory. The zero value has no bound.
type Budget struct{ limit, used atomic.Int64 }

// SetLimit sets the bound, 0 for none.
func (b *Budget) SetLimit(n int64) { b.limit.Store(n) }

// Used is how many bytes are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take takes n bytes, or gives them back where n is negative. It does not look at the bound.
func (b *Budget) Take(n int) { b.used.Add(int64(n)) }

// Fits tells whether n more bytes are within the bound.
func (b *Budget) Fits(n int) bool {
	limit := b.limit.Load()
	return limit == 0 || b.used.Load()+int64(n) <= limit
}

// FitsPart tells whether n more bytes are within so many quarters of the bound, for what must leave room for others.
func (b *Budget) FitsPart(n, quarters int) bool {
	limit := b.limit.Load()
	return limit == 0 || b.used.Load()+int64(n) <= limit/4*int64(quarters)
}

// Quarters of the budget: up to Plenty nobody saves, from Scarce on slow readers get less, and Full is what queues and
// output may fill at all. The rest is left to packets that come in.
const (
	Plenty = 1
	Scarce = 2
	Full   = 3
)

// Excess is how many bytes have to go so that n more fit, or 0.
func (b *Budget) Excess(n int) int64 {
	limit := b.limit.Load()
	if limit == 0 {
		return 0
	}
	return max(b.used.Load()+int64(n)-limit, 0)
}

// What a session takes in memory, roughly, without what it is owed.
const (
	baseBytes = 1200 // itself, and its places in tables
	subBytes  = 200  // a subscription, without its filter's levels
	idBytes   = 12   // an identifier that is under way
)

// Weigh counts what the session itself takes: subscriptions, will and identifiers that are under way. It is called after
// these have changed.
func (s *Session) Weigh() {
	now := 0
	if !s.ended {
		now = baseBytes + len(s.ID) + len(s.User) + 2*s.subsBytes + subBytes*len(s.subs) + 32*len(s.marks) +
			idBytes*(len(s.inbound)+len(s.released)+len(s.acked))
		if s.Will != nil {
			now += s.Will.Message.Size()
		}
	}
	s.env.State.Take(now - s.weight)
	s.weight = now
}

// Holds is how many bytes wait in the session's queues.
func (s *Session) Holds() int { return s.qbytes }

// Inside tells whether the session is that of an in-process client, of this run or an earlier one.
func (s *Session) Inside() bool { return strings.HasPrefix(s.User, "~") }
