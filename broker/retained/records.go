// SPDX-License-Identifier: Apache-2.0

package retained

import (
	"edged/broker/journal"
	"edged/mqtt/wire"
)

// Count is how many messages are retained, and their bytes.
func (s *Store) Count() (messages, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.bytes
}

// In is how many retained messages have their record in the segment of a generation.
func (s *Store) In(gen uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.perGen[gen]
}

// Lying returns the retained messages whose records lie in the segment of a generation.
func (s *Store) Lying(gen uint64) []*Kept {
	s.mu.Lock()
	if s.perGen[gen] == 0 {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	var found []*Kept
	all := s.topics()
	for len(all) > 0 {
		part := all[:min(batch, len(all))]
		all = all[len(part):]
		s.mu.Lock()
		for _, e := range part {
			if e.what != nil && e.pos != 0 && e.pos.Gen() == gen {
				found = append(found, e.what)
			}
		}
		s.mu.Unlock()
	}
	return found
}

// Write gives record every dirty message as it is at that moment, a cleared one without payload, and notes where it lies
// now. It stops when record returns 0.
func (s *Store) Write(record func(m *wire.Message) journal.Pos) {
	for s.writeOne(record) {
	}
}

func (s *Store) writeOne(record func(m *wire.Message) journal.Pos) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, e := range s.dirty {
		m := &wire.Message{Topic: topic, Retain: true}
		if e.what != nil {
			m = e.what.Message
		}
		pos := record(m)
		if pos == 0 {
			return false
		}
		s.place(e, pos)
		return len(s.dirty) > 0
	}
	return false
}

// Sweep drops the retained messages whose time is over; now is Unix seconds.
func (s *Store) Sweep(now int64) {
	for _, k := range s.kept(s.topics()) {
		if k.Message.Expires > 0 && k.Message.Expires <= now {
			s.Expire(k)
		}
	}
}
