// SPDX-License-Identifier: Apache-2.0

package session

import "slices"

// Classes is how many kinds of messages a session's backlog is told by. The first is that of most.
const Classes = 3

// Classed says of which session the backlog is told by class, and of which class a topic is. The zero value is of none.
type Classed struct {
	ClientID string
	Of       func(topic string) (class int) // below Classes
}

// Backlog is what a session is owed.
type Backlog struct {
	Messages uint64
	Bytes    int64 // roughly
}

// run is a stretch of numbers of one class other than the first, none of another between them.
type run struct {
	from, to uint64
	bytes    uint64
	class    int
}

// maxRuns bounds what is remembered; of what comes when there are as many, the class is taken for the first.
const maxRuns = 1024

// classify notes of which class number n is.
func (s *Session) classify(n uint64, topic string, size int) {
	if s.env.Classed.Of == nil || s.ID != "" && s.ID != s.env.Classed.ClientID {
		return
	}
	class := s.env.Classed.Of(topic)
	if class == 0 {
		return
	}
	if k := len(s.runs); k > 0 && s.runs[k-1].to == n && s.runs[k-1].class == class {
		s.runs[k-1].to++
		s.runs[k-1].bytes += uint64(size)
		return
	}
	if slices.ContainsFunc(s.runs, func(r run) bool { return r.from <= n && n < r.to }) {
		return // it was copied in the journal, and is heard of twice
	}
	s.runs = slices.DeleteFunc(s.runs, func(r run) bool { return r.to <= s.tail })
	if len(s.runs) < maxRuns {
		s.runs = append(s.runs, run{n, n + 1, uint64(size), class})
	}
}

// open is how many numbers from from up to to, exclusive, are not settled.
func (s *Session) open(from, to uint64) (n uint64) {
	if from = max(from, s.tail); from >= to {
		return 0
	}
	n = to - from
	for _, r := range s.acked {
		if a, b := max(r.from, from), min(r.to, to); a < b {
			n -= b - a
		}
	}
	return n
}

// byClass tells what of all that is owed is of which class.
func (s *Session) byClass(all Backlog) (classes [Classes]Backlog) {
	classes[0] = all
	for _, r := range s.runs {
		n := min(s.open(r.from, r.to), classes[0].Messages)
		bytes := min(int64(float64(r.bytes)*float64(n)/float64(r.to-r.from)), classes[0].Bytes)
		classes[r.class].Messages += n
		classes[r.class].Bytes += bytes
		classes[0].Messages -= n
		classes[0].Bytes -= bytes
	}
	return classes
}
