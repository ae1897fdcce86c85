// SPDX-License-Identifier: Apache-2.0

package journal

import "time"

// Bounds of how long after a commit the next one gathers records under load.
const (
	gatherMin = 2 * time.Millisecond
	gatherMax = 20 * time.Millisecond
)

// pacer decides how long a commit waits for company. Who publishes at a pace of their own goes on while nothing is
// acknowledged: records come until the end of the time, and it pays to gather for longer. Who publishes again when the
// last message is acknowledged falls silent soon, and is made to wait little longer than until then. A record that comes
// after a rest never waits, nor does who publishes one message at a time, alone.
type pacer struct {
	last   time.Time     // when the last commit ended
	gather time.Duration // how long after that the next one gathers
	group  int           // records in the last
	early  int           // how many in turn were silent for more than half of the time
	direct int           // how many commits do not gather, because gathering brought nothing
}

// directRun is how many commits go without gathering after one that gathered nothing.
const directRun = 32

// earlyRun is how many commits in turn make the next ones gather for a shorter time: a burst may well come early.
const earlyRun = 4

// wait is how long the commit that could begin now should gather. crowded tells that records came while the last one
// was being written.
func (p *pacer) wait(now time.Time, crowded bool) time.Duration {
	if crowded {
		p.direct = 0
	}
	if p.direct > 0 {
		p.direct--
		return 0
	}
	return p.last.Add(p.gather).Sub(now)
}

// pause is how long nobody needs to look whether records have come, since they would only be gathered. It is asked for
// once after a commit.
func (p *pacer) pause(now time.Time) time.Duration {
	if p.group < 2 || p.direct > 0 {
		return 0
	}
	p.group = 0
	return p.last.Add(p.gather).Sub(now)
}

// gathered tells the pacer how many records there were before and after it had waited.
func (p *pacer) gathered(before, after int) {
	if after < 2 && after == before {
		p.direct = directRun
	}
}

// begin tells the pacer that a commit begins, of how many records, and when the latest of them came.
func (p *pacer) begin(records int, latest time.Time) {
	if p.group = records; records == 0 {
		return
	}
	silent := latest.Sub(p.last)
	if p.early++; silent > p.gather/2 {
		p.early = 0
	}
	switch {
	case records < 2 && silent > gatherMax, p.direct > 0:
		p.gather = gatherMin
	case p.early == 0:
		p.gather = min(2*p.gather, gatherMax)
	case p.early >= earlyRun:
		p.gather = max(silent*5/4, gatherMin)
	}
}

// done tells the pacer that the commit ended.
func (p *pacer) done(now time.Time) { p.last = now }
