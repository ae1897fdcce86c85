// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/json"
	"fmt"
	"sync"
)

// count is what the pretend cloud knows of a gateway's readings, by their seq alone: how many came, how many are
// missing, how many came twice, and whether those could have been in flight when the link was cut.
type count struct {
	mu      sync.Mutex
	devices map[string]*series
	total   tally
}

// series is one device's numbers.
type series struct {
	next    uint64 // one more than the newest
	missing map[uint64]struct{}
	seen    int
	rewind  bool   // the link was mended since the last message: what was in flight at the cut may come again
	again   uint64 // the repeat that is due, while the repeats after a mend run; 0: none
}

// tally sums up over all devices.
type tally struct {
	came     int // different readings
	repeated int // came again right after the link was mended, in one run up to the newest: in flight at the cut
	stray    int // came again otherwise
	lost     int // numbers between the first and the newest that never came
	behind   int // came after a newer one of the same device
}

func newCount() *count { return &count{devices: map[string]*series{}} }

// add takes one message of a topic that ends in …/dev/NAME/data.
func (c *count) add(topic string, payload []byte) error {
	var d struct {
		Seq *uint64 `json:"seq"`
	}
	if err := json.Unmarshal(payload, &d); err != nil {
		return fmt.Errorf("read the seq of %s: %q: %w", topic, payload, err)
	}
	if d.Seq == nil {
		return fmt.Errorf("read the seq of %s: %q has none", topic, payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.devices[topic]
	if s == nil {
		s = &series{next: *d.Seq, missing: map[uint64]struct{}{}}
		c.devices[topic] = s
	}
	s.add(*d.Seq, &c.total)
	return nil
}

func (s *series) add(seq uint64, total *tally) {
	rewound := s.rewind
	s.rewind = false
	if _, awaited := s.missing[seq]; awaited {
		delete(s.missing, seq)
		s.seen++
		total.behind++
		return
	}
	if seq < s.next {
		if rewound || seq == s.again && seq > 0 {
			total.repeated++
			s.again = seq + 1
		} else {
			total.stray++
		}
		return
	}
	for n := s.next; n < seq; n++ {
		s.missing[n] = struct{}{}
	}
	s.next, s.again = seq+1, 0
	s.seen++
}

// mended says that the link was cut and is up again.
func (c *count) mended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.devices {
		s.rewind, s.again = true, 0
	}
}

// tally tells the present state.
func (c *count) tally() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.total
	for _, s := range c.devices {
		t.came += s.seen
		t.lost += len(s.missing)
	}
	return t
}
