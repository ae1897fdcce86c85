// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"
	"sync"
	"time"
)

const (
	recentTurns = 128 // of which a station's figures are
	minute      = 60  // seconds of which the line's figures are
)

// Figures are those of one station.
type Figures struct {
	Turns, Silent uint64        // requests that want an answer, and those that got none, since the gateway started
	ErrorRate     float64       // share of its last turns without an answer, 0 to 1
	ReplyP95      time.Duration // from the request's first byte to the answer's last; 0: no answer yet
	Suspended     bool          // it is asked rarely, since it does not answer
}

// Status is how a line is.
type Status struct {
	Name, Port  string
	Open        bool
	Utilisation float64 // share of the last minute in which somebody had a turn, 0 to 1
	Stray       uint64  // bytes in nobody's turn, since the gateway started
}

// figures counts a station's turns.
type figures struct {
	mu            sync.Mutex
	turns, missed uint64
	recent        [recentTurns]time.Duration // a ring; negative: no answer
	suspended     bool
}

// note counts a turn: how long the answer took, negative when there was none; suspended is what the station is from then on.
func (f *figures) note(d time.Duration, suspended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent[f.turns%recentTurns] = d
	f.turns++
	f.suspended = suspended
	if d < 0 {
		f.missed++
	}
}

// of gives the recent times of answers, ordered, and how many turns had none.
func (f *figures) of() (replies []time.Duration, missed int) {
	for _, d := range f.recent[:min(f.turns, recentTurns)] {
		if d < 0 {
			missed++
		} else {
			replies = append(replies, d)
		}
	}
	slices.Sort(replies)
	return replies, missed
}

// usual says how long it makes sense to wait for a station that has not answered lately; or where it never did.
func (f *figures) usual(or time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	replies, _ := f.of()
	if len(replies) == 0 {
		return or
	}
	return max(4*replies[len(replies)-1], leastPatient)
}

// Figures gives the station's.
func (s *Seat) Figures() Figures {
	s.figures.mu.Lock()
	defer s.figures.mu.Unlock()
	replies, missed := s.figures.of()
	f := Figures{Turns: s.figures.turns, Silent: s.figures.missed, Suspended: s.figures.suspended}
	if n := len(replies); n > 0 {
		f.ReplyP95 = replies[(n-1)*95/100]
	}
	if n := len(replies) + missed; n > 0 {
		f.ErrorRate = float64(missed) / float64(n)
	}
	return f
}

// lineFigures counts what goes on on the line; the bus's mu guards it.
type lineFigures struct {
	open  bool
	stray uint64
	began time.Time             // of this opening
	busy  [minute]time.Duration // of each second, a ring by the second since began
	at    int                   // the newest second
}

// second gives the place of a time, after clearing those that have passed since the last one.
func (f *lineFigures) second(t time.Time) int {
	n := int(t.Sub(f.began) / time.Second)
	for i := max(f.at+1, n-minute+1); i <= n; i++ {
		f.busy[i%minute] = 0
	}
	f.at = max(f.at, n)
	return n
}

func (b *Bus) opened(is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = lineFigures{open: is, stray: b.line.stray, began: time.Now()}
}

func (b *Bus) strayed(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line.stray += uint64(n)
}

// occupied notes that somebody had the line.
func (b *Bus) occupied(from, to time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &b.line
	for from.Before(to) {
		n := f.second(from)
		end := f.began.Add(time.Duration(n+1) * time.Second)
		if end.After(to) {
			end = to
		}
		if n > f.at-minute {
			f.busy[n%minute] += end.Sub(from)
		}
		from = end
	}
}

// Status tells how the line is.
func (b *Bus) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &b.line
	s := Status{Name: b.cfg.Name, Port: b.cfg.Port, Open: f.open, Stray: f.stray}
	if !f.open {
		return s
	}
	now := time.Now()
	f.second(now)
	var sum time.Duration
	for _, d := range f.busy {
		sum += d
	}
	if passed := min(now.Sub(f.began), minute*time.Second); passed > 0 {
		s.Utilisation = min(float64(sum)/float64(passed), 1)
	}
	return s
}
