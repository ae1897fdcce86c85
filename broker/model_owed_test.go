// SPDX-License-Identifier: Apache-2.0

package broker_test

import "edged/mqtt/wire"

// message is one that a client is about to send.
func (m *model) message(s *modelSession, topic string, qos byte) int {
	s.sent++
	m.messages = append(m.messages, &modelMessage{s.id, topic, qos, s.sent})
	return len(m.messages) - 1
}

// owe notes who has to get a message that was acknowledged, or, if it was not, may get it.
func (m *model) owe(index int, sure bool) {
	msg := m.messages[index]
	for _, s := range m.sessions {
		best, any := byte(0), false
		for f, q := range s.filters {
			if wire.Matches(f, msg.topic) {
				best, any = max(best, q), true
			}
		}
		if !any || !s.known || s.conn == nil && !s.kept {
			continue
		}
		if qos := min(best, msg.qos); qos > 0 && sure {
			s.must[index] = qos
		} else {
			s.may[index] = qos
		}
	}
}

// anyQoS is where it is not known at which a message comes.
const anyQoS = 9

// oweAgain is owe for a message that its client sends again: it was taken then or is taken now, so only who would have
// got it both times has to.
func (m *model) oweAgain(index int) {
	before := map[string]bool{}
	for id, s := range m.sessions {
		_, must := s.must[index]
		_, may := s.may[index]
		before[id] = must || may
	}
	m.owe(index, false)
	for id, s := range m.sessions {
		if qos, now := s.may[index]; now && before[id] && qos > 0 {
			s.must[index] = qos
		}
		if before[id] {
			s.may[index] = anyQoS // of then, or of now
		}
	}
}
