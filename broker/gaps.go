// SPDX-License-Identifier: Apache-2.0

package broker

import "edged/broker/session"

// Gap is what a session was owed and will not get.
type Gap = session.Gap

// GapTopic is what of a gap was published to one topic.
type GapTopic = session.GapTopic

// tellGaps tells of what sessions gave up, read from the journal before its segments go. It is false while some of that
// is not on disk yet.
func (b *Broker) tellGaps() (all bool) {
	all = true
	b.untold.Store(false)
	for _, s := range b.all() {
		gaps, told := s.Given()
		all = all && told
		for _, g := range gaps {
			if b.opts.Gap != nil && g.Messages > 0 {
				b.opts.Gap(g)
			}
		}
	}
	if !all {
		b.untold.Store(true)
	}
	return all
}

// Told notes that a gap was told for good: it is not told again after a crash.
func (b *Broker) Told(g *Gap) {
	if s := b.find(g.ClientID); s != nil && g.Reason != session.Reject {
		s.Lock()
		s.Told(g.Messages)
		s.Unlock()
	}
}
