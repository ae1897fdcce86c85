// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strings"
	"testing"

	"edged/mqtt/wire"
)

// aliased publishes with a topic of n bytes that gets an alias.
func (c *peer) aliased(n int, alias byte) {
	c.t.Helper()
	topic := strings.Repeat("x", n)
	m := wire.Message{Topic: topic, Props: []byte{0x23, 0, alias}}
	c.send(wire.AppendPublish(nil, &m, 5, 0, 0, false, false, nil, 0))
}

// Where topic aliases take more together than they may, the client goes that has most of them. Who has few is served, and
// what those had who are gone is given back, also of one that asked for more than there is for anybody.
func TestTopicAliasesAreBoundedInAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Memory = 8 << 20 }) // 256 KiB for aliases
	greedy := s.connect(five(""), false)
	greedy.aliased(60_000, 1)
	greedy.aliased(60_000, 2)
	if reason := greedy.wantEnd(); reason != wire.QuotaExceeded {
		t.Errorf("reason 0x%02x", reason)
	}
	eventually(t, "it is gone", func() bool { return s.Status().Clients == 0 })
	var hoarders []*peer
	for _, n := range []int{60_000, 60_000, 60_000, 60_000, 22_000} { // 144 bytes are left
		c := s.connect(five(""), false)
		c.aliased(n, 1)
		c.quiet()
		hoarders = append(hoarders, c)
	}
	few := s.connect(five(""), false)
	for i := range byte(20) {
		few.aliased(100, i+1)
	}
	few.quiet()
	s.wantHits("memory_shed", 0)
	good := s.connect(five(""), false)
	good.aliased(30_000, 1)
	good.quiet()
	s.wantHits("memory_shed", 1)
	eventually(t, "a hoarder is gone", func() bool { return s.Status().Clients == 6 })
	few.quiet()
	for _, c := range append(hoarders, good, few) {
		c.drop()
	}
	eventually(t, "nothing is taken", func() bool { return s.Status().Clients == 0 })
	idle := newSite(t, nil).Status().Memory
	eventually(t, "all is given back", func() bool { return s.Status().Memory == idle })
}
