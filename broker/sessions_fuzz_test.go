// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// FuzzSessions drives a few sessions at random: connections of all kinds, subscriptions, publishes, acknowledgements,
// deaths, take-overs, stops and crashes. Nothing that was acknowledged is lost, QoS 2 comes exactly once, order holds per
// topic and publisher, no identifier is used for two, nobody gets what it did not ask for.
func FuzzSessions(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		b := make([]byte, 60+r.IntN(300))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m := newModel(t, in[:min(len(in), 600)])
		for len(m.in) > 0 {
			m.step()
		}
		m.settle()
	})
}

// settle lets every session that is kept get all it is owed.
func (m *model) settle() {
	m.note("the end")
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		s := m.sessions[id]
		if s.conn != nil {
			s.lazy = false
			s.catchUp()
		} else if s.kept && s.known && !s.unsure {
			s.lazy = false
			m.attach(s, true, s.version, -1)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		s := m.sessions[id]
		end := time.Now().Add(patience)
		for more := true; more && s.conn != nil && time.Now().Before(end); more = !s.satisfied() {
			for !s.satisfied() && time.Now().Before(end) {
				m.look()
			}
			m.look() // what comes unasked for
		}
		if s.conn != nil {
			m.judge(s)
		}
	}
}
