// SPDX-License-Identifier: Apache-2.0

package broker

import "sync"

// setup sees to it that one connection at a time is attached to the session of a client identifier, or parted from it.
type setup struct {
	mu   sync.Mutex
	held map[string]*holder
}

type holder struct {
	mu   sync.Mutex
	want int
}

// lock waits for the client identifier.
func (s *setup) lock(id string) (unlock func()) {
	s.mu.Lock()
	if s.held == nil {
		s.held = map[string]*holder{}
	}
	h := s.held[id]
	if h == nil {
		h = &holder{}
		s.held[id] = h
	}
	h.want++
	s.mu.Unlock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		if h.want--; h.want == 0 {
			delete(s.held, id)
		}
	}
}
