// SPDX-License-Identifier: Apache-2.0

// Package retained holds the retained messages: the newest of each topic, and where in the journal it lies.
//
// The store writes no records itself. Who changes it hands in the function that does, which is called under the store's
// lock, so that the order in memory is that of the journal: the newest message of a topic is the same before and after
// a crash.
package retained

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// Kept is a retained message. It never changes.
type Kept struct {
	Message *wire.Message
	Version uint64 // of the subscriptions that got it when it was published; 0: before this start
}

// Limits bound the store.
type Limits struct {
	Messages int
	Bytes    int // as wire.Message.Size counts
}

// Store holds retained messages. Its methods may be called from any goroutine.
type Store struct {
	mu       sync.Mutex // guards what follows
	limits   Limits
	entries  map[string]*entry
	perGen   map[uint64]int
	dirty    map[string]*entry // not in the journal as they are
	count    int               // entries that hold a message
	bytes    int
	restated func(topic string) bool
	changes  uint64   // of which topics there are
	sorted   []*entry // all entries by topic, as of sortedAt
	sortedAt uint64
}

// entry is one topic. What is nil stands for a message that was cleared, as long as the journal does not know.
type entry struct {
	topic string
	what  *Kept
	pos   journal.Pos // 0: none
}

// New returns an empty store. Messages at QoS 0 of the topics that restated tells, if any, are never dirty: who publishes
// them says them anew after each start.
func New(limits Limits, restated func(topic string) bool) *Store {
	return &Store{limits: limits, restated: restated, entries: map[string]*entry{}, perGen: map[uint64]int{}, dirty: map[string]*entry{}, changes: 1}
}

// Limit changes the limits. What is beyond them stays.
func (s *Store) Limit(limits Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = limits
}

// Room tells whether a message can be retained within the limits.
func (s *Store) Room(topic string, payload, size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if payload == 0 {
		return true
	}
	messages, bytes := s.count+1, s.bytes+size
	if e := s.entries[topic]; e != nil && e.what != nil {
		messages, bytes = messages-1, bytes-e.what.Message.Size()
	}
	return messages <= s.limits.Messages && bytes <= s.limits.Bytes
}

// Put makes m, which owns its bytes, the retained message of its topic, or clears the topic if m has no payload. record
// writes it to the journal; when it is nil, or returns 0, the message is dirty until [Store.Write].
func (s *Store) Put(m *wire.Message, version uint64, record func() journal.Pos) (pos journal.Pos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if record != nil {
		pos = record()
	}
	s.set(m, version, pos)
	return pos
}

// Restore puts in what a record of the journal says; a later one of the same topic takes its place.
func (s *Store) Restore(m *wire.Message, pos journal.Pos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(m, 0, pos)
}

func (s *Store) set(m *wire.Message, version uint64, pos journal.Pos) {
	e := s.entries[m.Topic]
	if e == nil {
		if len(m.Payload) == 0 {
			return
		}
		e = &entry{topic: m.Topic}
		s.entries[m.Topic] = e
		s.changes++
	}
	s.empty(e)
	if len(m.Payload) > 0 {
		e.what = &Kept{m, version}
		s.count++
		s.bytes += m.Size()
	}
	s.place(e, pos)
}

// empty takes the message out of an entry.
func (s *Store) empty(e *entry) {
	if e.what != nil {
		s.count--
		s.bytes -= e.what.Message.Size()
		e.what = nil
	}
}

// place notes where the record of an entry lies, and forgets an entry that is cleared in the journal too.
func (s *Store) place(e *entry, pos journal.Pos) {
	if e.pos != 0 {
		if s.perGen[e.pos.Gen()]--; s.perGen[e.pos.Gen()] <= 0 {
			delete(s.perGen, e.pos.Gen())
		}
		e.pos = 0
	}
	if pos == 0 && s.lives(e) {
		delete(s.dirty, e.topic)
		return
	}
	if pos == 0 {
		s.dirty[e.topic] = e
		return
	}
	delete(s.dirty, e.topic)
	if e.what == nil {
		delete(s.entries, e.topic)
		s.changes++
		return
	}
	e.pos = pos
	s.perGen[pos.Gen()]++
}

// lives tells whether what an entry holds need not be in the journal. That a topic is cleared has to be, for an older
// record may be there.
func (s *Store) lives(e *entry) bool {
	return s.restated != nil && e.what != nil && e.what.Message.QoS == 0 && s.restated(e.topic)
}

// Get returns the retained message of a topic, nil without one.
func (s *Store) Get(topic string) *Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[topic]; e != nil {
		return e.what
	}
	return nil
}

// Renew writes k again, by record, if it is still the retained message of its topic.
func (s *Store) Renew(k *Kept, record func() journal.Pos) (pos journal.Pos, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k.Message.Topic]
	if e == nil || e.what != k {
		return 0, false
	}
	pos = record()
	s.place(e, pos)
	return pos, true
}

// Expire drops k, whose time is over, if it is still the retained message of its topic. The journal need not know: its
// record carries the time.
func (s *Store) Expire(k *Kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[k.Message.Topic]; e != nil && e.what == k {
		s.empty(e)
		s.place(e, 0)
		delete(s.dirty, e.topic)
		delete(s.entries, e.topic)
		s.changes++
	}
}

// Find returns the retained messages whose topics match a filter, by topic. A filter with wildcards is matched without
// the lock, against the topics that begin as it does.
func (s *Store) Find(filter string) []*Kept {
	head, _, wild := cutWild(filter)
	if !wild {
		if k := s.Get(filter); k != nil {
			return []*Kept{k}
		}
		return nil
	}
	all := s.topics()
	from, _ := slices.BinarySearchFunc(all, head, func(e *entry, head string) int { return strings.Compare(e.topic, head) })
	var match []*entry
	for _, e := range all[from:] {
		if !strings.HasPrefix(e.topic, head) {
			break
		}
		if wire.Matches(filter, e.topic) {
			match = append(match, e)
		}
	}
	return s.kept(match)
}

// cutWild splits a filter before its first wildcard. The head has no slash at its end, for a/# matches a too.
func cutWild(filter string) (head, rest string, wild bool) {
	i := strings.IndexAny(filter, "+#")
	if i < 0 {
		return filter, "", false
	}
	return strings.TrimSuffix(filter[:i], "/"), filter[i:], true
}

// topics returns all entries by topic; they are sorted without the lock.
func (s *Store) topics() []*entry {
	s.mu.Lock()
	at := s.changes
	if s.sortedAt == at {
		defer s.mu.Unlock()
		return s.sorted
	}
	all := slices.Collect(maps.Values(s.entries))
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *entry) int { return strings.Compare(a.topic, b.topic) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if at > s.sortedAt {
		s.sorted, s.sortedAt = all, at
	}
	return all
}

// batch is how many entries are looked at under the lock at a time.
const batch = 256

// kept returns what the entries hold.
func (s *Store) kept(entries []*entry) []*Kept {
	found := make([]*Kept, 0, len(entries))
	for part := range slices.Chunk(entries, batch) {
		s.mu.Lock()
		for _, e := range part {
			if e.what != nil {
				found = append(found, e.what)
			}
		}
		s.mu.Unlock()
	}
	return found
}
