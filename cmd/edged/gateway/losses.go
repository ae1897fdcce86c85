// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"sync"

	"edged/broker"
	"edged/uplink"
)

// losses counts what the uplink's session gave up since the start, by reason.
type losses struct {
	mu sync.Mutex
	by map[string]uint64
}

// count adds a gap. What was refused is no loss, and what the cloud takes in no case the uplink counts itself.
func (l *losses) count(x *broker.Gap) {
	if x.ClientID != uplink.ClientID || x.Reason == refused || x.Reason == unsendable {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]uint64{}
	}
	l.by[x.Reason] += x.Messages
}

// with returns all counts, those of the link itself among them.
func (l *losses) with(u *uplink.Status) map[string]uint64 {
	all := map[string]uint64{
		"queue": 0, "journal": 0, "disk": 0, "age": 0, "untold": 0, damaged: 0,
		"qos0": u.Discarded, "expired": u.Expired, unsendable: u.Unsendable,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(all, l.by)
	return all
}
