// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"edged/mqtt/wire"
)

func TestReloadChangesLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.clean("c")
	c.publish("a/b/c", "x", 1, 1)
	c.wantAck(wire.Puback, 1)
	cfg := s.cfg
	cfg.Limits.TopicLevels = 2
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	c.publish("a/b/c", "x", 1, 2)
	c.wantEnd()
}
