// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"edged/broker/journal"
	"edged/mqtt/wire"
)

// FuzzRestore replays any sequence of records. Each begins with its kind and the length of its body, of one byte each; a
// body that is longer than what is left is cut. What was restored must be within its bounds, and its own record must
// restore it as it is.
func FuzzRestore(f *testing.F) {
	f.Add(walk())
	f.Add([]byte{KindSettled, 2, 1, 1, KindInbound, 2, 1, 1, KindEnd, 1, 1, KindMessage, 0, 0xff, 200, 1})
	f.Fuzz(func(t *testing.T, all []byte) {
		env := &Env{Now: func() time.Time { return time.UnixMilli(1e12) }}
		r := NewRestorer(env)
		for pos := journal.Pos(journal.SegmentSize); len(all) > 1; pos += 64 << 10 {
			kind, n := all[0], min(int(all[1]), len(all)-2)
			r.Replay(journal.Record{Pos: pos, Kind: kind, Body: all[2 : 2+n]})
			all = all[2+n:]
		}
		restored, last := r.Sessions()
		for _, s := range restored {
			s.Lock()
			s.Weigh()
			st := s.Status()
			owed := s.head - s.tail
			if s.num > last || s.tail == 0 || s.tail > s.head || st.Messages > owed || s.acked.count() > owed || len(s.marks) > maxMarks+1 {
				t.Errorf("session %q: number %d of %d, tail %d, head %d, done %v, %d marks, %+v", s.ID, s.num, last, s.tail, s.head, s.acked, len(s.marks), st)
			}
			s.Oldest()
			s.Released()
			s.number(1)
			same(t, env, s.Session)
			s.Unlock()
		}
	})
}

// same fails the test unless a session's record restores it.
func same(t *testing.T, env *Env, s *Session) {
	t.Helper()
	again := NewRestorer(env)
	again.Replay(journal.Record{Pos: 1 << 40, Kind: KindSession, Body: s.encode()})
	all, _ := again.Sessions()
	if len(all) != 1 {
		t.Fatalf("the record of session %q restores %d sessions", s.ID, len(all))
	}
	x := all[0]
	if x.num != s.num || x.ID != s.ID || x.User != s.User || x.Version != s.Version || x.Expiry != s.Expiry || x.Left != s.Left ||
		x.tail != s.tail || x.head != s.head || !slices.Equal(x.acked, s.acked) || !maps.Equal(x.released, s.released) ||
		!maps.Equal(x.inbound, s.inbound) || !maps.Equal(x.subs, s.subs) || x.subsBytes != s.subsBytes || !reflect.DeepEqual(x.Will, s.Will) {
		t.Errorf("got  %+v\nwant %+v", x.Session, s)
	}
}

// walk is what a session writes in its life.
func walk() (all []byte) {
	add := func(kind byte, body []byte) { all = append(append(all, kind, byte(len(body))), body...) }
	s := New(&Env{Now: time.Now}, "c", "u", 1, 7)
	s.Version, s.Expiry = 5, 100
	s.Will = &Will{Message: wire.Message{Topic: "w", Payload: []byte("p"), Props: []byte{1, 1}, QoS: 1, User: "u"}, Life: 9, Delay: 8}
	s.Subscribe(Subscription{Subscription: wire.Subscription{Filter: "a/#", QoS: 2, NoLocal: true}, ID: 3}, 10)
	add(KindSession, s.encode())
	for n := range uint64(6) {
		r := Record{Message: wire.Message{Topic: "a/b", Payload: []byte("x"), QoS: 2}, Time: 1e12, Owed: []Share{{Num: 7, Owed: Owed{N: n + 1 + n/3, Gap: n / 3, QoS: 2}}}, Origin: 7, ID: uint16(n)}
		add(KindMessage, AppendRecord(nil, &r))
	}
	add(KindSettled, appendNumber(nil, 7, 1))
	add(KindReleased, appendNumber(nil, 7, 3))
	add(KindInbound, appendNumber(nil, 7, 2))
	s.tail, s.head, s.sent, s.acked = 2, 9, 5, ranges{{4, 6}}
	s.release(3)
	s.AddInbound(1)
	s.Will = nil
	add(KindSession, s.encode())
	return all
}

// A crash while an older message was not written yet, and PUBREC had come for a younger one, whose own record has gone with
// its segment: its PUBREL stays due until PUBCOMP, and then is over for good.
func TestReleasedBeyondWhatWasWritten(t *testing.T) {
	env := &Env{Now: time.Now}
	s := New(env, "c", "u", 1, 7)
	s.tail, s.head, s.sent = 5, 5, 7
	s.release(6)
	body := s.encode()
	body[1] |= flagConnected
	r := NewRestorer(env)
	r.Replay(journal.Record{Pos: 1, Kind: KindSession, Body: body})
	all, _ := r.Sessions()
	x := all[0].Session
	if got := x.Released(); len(got) != 1 || got[0] != packetID(6) || x.Status().Messages != 1 {
		t.Fatalf("PUBREL is due for %v, %+v", got, x.Status())
	}
	if n := x.number(packetID(6)); n != 6 {
		t.Fatalf("PUBCOMP is for number %d", n)
	}
	if x.settle(6); len(x.Released()) != 0 || x.Status().Messages != 0 || x.tail != x.head {
		t.Errorf("PUBREL is due for %v after PUBCOMP, tail %d, head %d", x.Released(), x.tail, x.head)
	}
}
