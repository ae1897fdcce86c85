// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math/bits"
	"time"
)

const (
	forgive      = 3 // turns without an answer before a station that has answered is suspended
	try          = 2 // the same for one that never has
	pauseMin     = time.Second
	pauseMax     = time.Minute
	deadShare    = 50 // one part in so many of the line may be spent on the dead while others wait
	commandsRun  = 4  // commands in a row while somebody waits to ask
	unsteady     = 4  // times what a turn cost, for each of the last ones without an answer: pause of a station that answers at times
	disturbed    = 2  // of the last 8 turns may have no answer
	leastPatient = 100 * time.Millisecond
	slotWait     = 10 * time.Second // a station that is taken for dead waits for a time that keeps nobody waiting
	lookEvery    = time.Second      // at stations that want nothing, since they judge themselves when they are asked
)

// patience is what the bus thinks of a station since the line was opened.
type patience struct {
	heard  bool      // it has answered
	failed int       // turns without an answer since
	until  time.Time // no turn for asking before this
	pause  time.Duration
	served time.Time     // last turn
	recent uint8         // one bit for each of the last turns: no answer
	cost   time.Duration // how long the last turn without an answer took
}

// suspended says whether the station is taken for dead.
func (p *patience) suspended() bool { return p.failed >= forgive || p.failed >= try && !p.heard }

// answered notes a turn with an answer.
func (p *patience) answered() {
	p.heard, p.failed, p.pause, p.until, p.recent = true, 0, 0, time.Time{}, p.recent<<1
}

// silent notes one without, which took cost.
func (p *patience) silent(now time.Time, cost time.Duration) {
	p.failed++
	p.cost = cost
	p.recent = p.recent<<1 | 1
	if p.suspended() {
		p.pause = min(max(2*p.pause, pauseMin), pauseMax)
		p.until = now.Add(p.pause)
		return
	}
	// Who answers now and then would cost the others as much as who is dead. What a disturbance spoils costs nothing.
	p.until = now.Add(time.Duration(max(bits.OnesCount8(p.recent)-disturbed, 0)) * unsteady * cost)
}

// choice is a station that may have its turn.
type choice struct {
	seat   *Seat
	due    time.Time
	urgent bool
}

// before orders choices whose time has come: by due time, then who has waited longest.
func (c choice) before(o choice) bool {
	if o.seat == nil {
		return true
	}
	if c.urgent || c.due.Equal(o.due) { // commands take turns among stations
		return c.seat.patient.served.Before(o.seat.patient.served)
	}
	return c.due.Before(o.due)
}

// choose says who has the next turn; nobody: when to look again. Commands go first, but not so many in a row that nobody
// else is asked. A station that is taken for dead gets a turn when that keeps nobody waiting, and besides only so often
// that the others lose little.
func (l *line) choose(now time.Time) (s *Seat, again time.Time) {
	again = now.Add(lookEvery)
	sooner := func(t time.Time) {
		if t.Before(again) {
			again = t
		}
	}
	var command, poll, dead choice
	soonest := now.Add(time.Hour) // of those that live
	for _, seat := range l.bus.all() {
		c := choice{seat: seat}
		seat.do(func(x Station) { c.due, c.urgent = x.Next(now) })
		p := &seat.patient
		switch {
		case c.urgent:
			if c.before(command) {
				command = c
			}
			continue
		case c.due.IsZero():
			continue
		}
		if c.due.Before(p.until) {
			c.due = p.until
		}
		if c.due.After(now) {
			sooner(c.due)
		}
		switch {
		case p.suspended():
			if !c.due.After(now) && c.before(dead) {
				dead = c
			}
			continue
		case c.due.Before(soonest):
			soonest = c.due
		}
		if !c.due.After(now) && c.before(poll) {
			poll = c
		}
	}
	switch {
	case command.seat != nil && (l.commands < commandsRun || poll.seat == nil):
		l.commands++
		return command.seat, now
	case dead.seat != nil && (now.Add(dead.seat.patient.cost).Before(soonest) || !now.Before(later(l.mourn, dead.due.Add(slotWait)))):
		return dead.seat, now
	case poll.seat != nil:
		l.commands = 0
		return poll.seat, now
	case dead.seat != nil:
		sooner(later(l.mourn, dead.due.Add(slotWait)))
		sooner(soonest)
	}
	return nil, again
}
