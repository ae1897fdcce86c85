// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"strings"
	"testing"
	"time"

	"edged/broker/session"
	"edged/mqtt/wire"
)

func classed(w *world) {
	w.env.Classed = session.Classed{ClientID: "c", Of: func(topic string) int {
		return map[byte]int{'e': 1, 's': 2}[topic[0]]
	}}
}

// oweTo gives a session a message to each topic.
func oweTo(w *world, s *session.Session, topics ...string) {
	s.Lock()
	defer s.Unlock()
	for _, topic := range topics {
		m := wire.Message{Topic: topic, Payload: []byte("0123456789"), QoS: 1}
		o := session.Owed{N: s.Next(), QoS: 1}
		r := session.Record{Message: m, Time: time.Now().UnixMilli(), Owed: []session.Share{{Num: s.Num(), Owed: o}}}
		o.Pos = w.log.Append(session.KindMessage, session.AppendRecord(nil, &r))
		var round session.Round
		s.Deliver(&round, &session.Copy{Message: &m}, o)
	}
}

// backlog is how many messages of each class a session is owed.
func backlog(t *testing.T, s *session.Session) (counts [session.Classes]uint64) {
	t.Helper()
	s.Lock()
	defer s.Unlock()
	st := s.Status()
	sum, bytes := uint64(0), int64(0)
	for i, c := range st.Classes {
		counts[i] = c.Messages
		sum += c.Messages
		bytes += c.Bytes
		if (c.Messages > 0) != (c.Bytes > 0) {
			t.Errorf("class %d: %d messages of %d bytes", i, c.Messages, c.Bytes)
		}
	}
	if sum != st.Messages || bytes != st.Bytes {
		t.Errorf("the classes are %v, all is %d messages of %d bytes", st.Classes, st.Messages, st.Bytes)
	}
	return counts
}

func TestBacklogByClass(t *testing.T) {
	w := newWorld(t)
	classed(w)
	s := fresh(w, 1)
	s.Lock()
	s.Attach(&sink{room: 100}, 100)
	s.Unlock()
	oweTo(w, s, "r", "e", "e", "r", "s", "e", "r", "r")
	if got := backlog(t, s); got != [3]uint64{4, 3, 1} {
		t.Errorf("the backlog is %v", got)
	}
	s.Lock()
	s.Record(2)
	var round session.Round
	for _, id := range []uint16{1, 2, 6} { // r, e, and the last e, out of order
		s.Acknowledged(&round, id)
	}
	s.Unlock()
	if got := backlog(t, s); got != [3]uint64{3, 1, 1} {
		t.Errorf("after acknowledgements the backlog is %v", got)
	}
	s.Lock()
	s.Detach()
	s.Unlock()
	all := w.again()
	if len(all) != 1 {
		t.Fatalf("%d sessions are restored", len(all))
	}
	classed(w)
	if got := backlog(t, all[0].Session); got != [3]uint64{5, 0, 0} {
		t.Errorf("restored without classes, the backlog is %v", got)
	}
}

func TestBacklogByClassAfterARestart(t *testing.T) {
	w := newWorld(t)
	classed(w)
	s, other := fresh(w, 1), session.New(w.env, "d", "u", 2, 2)
	s.Lock()
	s.Record(2)
	s.Unlock()
	oweTo(w, s, "r", "e", "s", "r", "e")
	oweTo(w, other, "e", "e")
	if got := backlog(t, other); got != [3]uint64{2, 0, 0} {
		t.Errorf("a session that is not classed is owed %v", got)
	}
	w.change = classed
	for _, r := range w.again() {
		want := [3]uint64{2, 2, 1}
		if r.Session.ID != "c" {
			want = [3]uint64{2, 0, 0}
		}
		if got := backlog(t, r.Session); got != want {
			t.Errorf("%q: restored, the backlog is %v, want %v", r.Session.ID, got, want)
		}
	}
}

// What is remembered is bounded; what is beyond counts as of the first class.
func TestClassesThatAlternateWithoutEnd(t *testing.T) {
	w := newWorld(t)
	classed(w)
	s := fresh(w, 1)
	oweTo(w, s, strings.Split(strings.Repeat("e r ", 1500)+"r", " ")...)
	if got := backlog(t, s); got != [3]uint64{1977, 1024, 0} {
		t.Errorf("the backlog is %v", got)
	}
}
