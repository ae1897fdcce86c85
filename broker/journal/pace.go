// SPDX-License-Identifier: Apache-2.0

package journal

import "time"

// Bounds of how long a commit gathers records under load.
const (
	gatherMin = 2 * time.Millisecond
	gatherMax = 20 * time.Millisecond
)

// pacer decides how long a commit waits for company. The longer the disk takes for one, the longer it pays to gather; a
// record that comes after a rest never waits; and who publishes one message at a time is not made to wait again and
// again for company that never comes.
type pacer struct {
	cost   time.Duration // of a commit, averaged
	last   time.Time     // when the last commit ended
	direct int           // how many commits do not gather, because gathering brought nothing
}

// directRun is how many commits go without gathering after one that gathered nothing.
const directRun = 32

// wait is how long the commit that could begin now should gather. crowded tells that records came while the last one
// was being written.
func (p *pacer) wait(now time.Time, crowded bool) time.Duration {
	gather := min(max(p.cost, gatherMin), gatherMax)
	rest := p.last.Add(gather).Sub(now)
	if p.last.IsZero() || rest <= 0 {
		return 0
	}
	if crowded {
		p.direct = 0
	}
	if p.direct > 0 {
		p.direct--
		return 0
	}
	return rest
}

// gathered tells the pacer whether waiting brought company.
func (p *pacer) gathered(company bool) {
	if !company {
		p.direct = directRun
	}
}

// done tells the pacer when a commit began and ended.
func (p *pacer) done(began, ended time.Time) {
	took := ended.Sub(began)
	if p.cost == 0 {
		p.cost = took
	}
	p.cost += (took - p.cost) / 8
	p.last = ended
}
