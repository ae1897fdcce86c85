// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
	"edged/broker/session"
	"edged/mqtt/wire"
)

// world is a journal in memory and what sessions share.
type world struct {
	t    testing.TB
	disk *journaltest.Disk
	log  *journal.Journal
	env  *session.Env

	change func(*world) // of each env; nil: nothing
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, disk: journaltest.New()}
	w.open(func(journal.Record) {})
	w.log.Start()
	return w
}

func (w *world) open(replay func(journal.Record)) {
	w.t.Helper()
	j, err := journal.Open(journal.Config{Dir: "j", FS: w.disk}, replay)
	if err != nil {
		w.t.Fatal(err)
	}
	w.log = j
	w.env = &session.Env{
		Log: j, Now: time.Now, Gate: true, MayRead: func(*session.Session, string) bool { return true },
		Commit: func() <-chan struct{} { return nil }, Go: func(f func()) { go f() }, Dropped: func(uint64) {}, QueueFull: func() {},
	}
	if w.change != nil {
		w.change(w)
	}
}

// again stops the journal in order and restores the sessions from it.
func (w *world) again() []session.Restored {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.log.Run(ctx, nil); err != nil {
		w.t.Fatal(err)
	}
	var rec *session.Restorer
	records := []journal.Record{}
	w.open(func(r journal.Record) {
		records = append(records, journal.Record{Pos: r.Pos, Kind: r.Kind, Body: bytes.Clone(r.Body)})
	})
	rec = session.NewRestorer(w.env)
	for _, r := range records {
		rec.Replay(r)
	}
	w.log.Start()
	all, _ := rec.Sessions()
	return all
}

// owe gives a session a message as the broker does.
func (w *world) owe(s *session.Session, payload string, qos byte) uint64 {
	s.Lock()
	defer s.Unlock()
	m := wire.Message{Topic: "t", Payload: []byte(payload), QoS: qos}
	o := session.Owed{N: s.Next(), QoS: qos}
	r := session.Record{Message: m, Time: time.Now().UnixMilli(), Owed: []session.Share{{Num: s.Num(), Owed: o}}}
	o.Pos = w.log.Append(session.KindMessage, session.AppendRecord(nil, &r))
	var round session.Round
	s.Deliver(&round, &session.Copy{Message: &m}, o)
	return o.N
}

// sink is a connection that takes what it is given, up to a number of messages.
type sink struct {
	got  []session.Delivery
	text []string
	room int
}

func (k *sink) Publish(_ *session.Round, m *wire.Message, d session.Delivery) bool {
	k.got, k.text = append(k.got, d), append(k.text, string(m.Payload))
	return true
}
func (k *sink) Room(int, int) bool { return len(k.got) < k.room }
func (k *sink) AfterCommit()       {}

func fresh(w *world, num uint32) *session.Session {
	s := session.New(w.env, "c", "u", uint64(num), num)
	s.Queue.Size = 1 << 30
	s.Expiry = 100
	return s
}

// All of a session that its record tells comes back as it was.
func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := fresh(w, 7)
	s.Lock()
	s.Version = 5
	s.Attach(&sink{room: 100}, 100)
	for _, sub := range []session.Subscription{
		{Subscription: wire.Subscription{Filter: "a/#", QoS: 2, NoLocal: true}, ID: 268435455},
		{Subscription: wire.Subscription{Filter: "$share/g/b", QoS: 1, RetainAsPublished: true}},
	} {
		if !s.Subscribe(sub, 10) {
			t.Fatal("no room")
		}
	}
	s.AddInbound(1)
	s.AddInbound(65535)
	s.Will = &session.Will{Message: wire.Message{Topic: "w", Payload: []byte("p"), Props: []byte{1, 1}, QoS: 2, Retain: true, User: "u"}, Life: 9, Delay: 8, Due: 77}
	want := s.Subscriptions()
	s.Record(2)
	s.Unlock()
	all := w.again()
	if len(all) != 1 || !all[0].Crashed {
		t.Fatalf("got %+v", all)
	}
	x := all[0].Session
	if x.ID != "c" || x.User != "u" || x.Num() != 7 || x.Version != 5 || x.Expiry != 100 || !reflect.DeepEqual(x.Subscriptions(), want) || !reflect.DeepEqual(x.Will, s.Will) {
		t.Errorf("got %+v, will %+v", x, x.Will)
	}
	for _, id := range []uint16{1, 65535} {
		if held, n := x.Inbound(id); !held || n != 2 {
			t.Errorf("inbound %d: %v of %d", id, held, n)
		}
	}
}

// Whatever a session went through, it is owed the same after a restart as before, in the same order and under the same
// identifiers: random walks of owing, acknowledging out of order, PUBREC, and writing the record or not.
func TestRestoredIsWhatItWas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		s := fresh(w, 3)
		k := &sink{room: 1 << 30}
		s.Lock()
		s.Attach(k, 1000)
		s.Record(2)
		s.Unlock()
		var round session.Round
		open := map[uint16]bool{} // true: released
		for range 300 {
			before := len(k.got)
			switch n := rnd.IntN(10); {
			case n < 5:
				w.owe(s, strconv.Itoa(rnd.IntN(1000)), 1)
				for _, d := range k.got[before:] {
					open[d.ID] = false
				}
			case n == 5:
				s.Lock()
				s.Record(1)
				s.Unlock()
			default:
				for id, released := range open {
					s.Lock()
					if n < 8 || released {
						s.Acknowledged(&round, id)
						delete(open, id)
					} else {
						s.Received(id)
						open[id] = true
					}
					s.Unlock()
					break
				}
			}
		}
		var want, due []uint16
		for id, released := range open {
			if want = append(want, id); released {
				due = append(due, id)
			}
		}
		slices.Sort(due)
		all := w.again()
		if len(all) != 1 {
			t.Fatalf("seed %d: %d sessions", seed, len(all))
		}
		x := all[0].Session
		x.Lock()
		got := x.Status().Messages
		released := x.Released()
		x.Unlock()
		if got != uint64(len(want)) || !slices.Equal(released, due) {
			t.Errorf("seed %d: %d owed, want %d; PUBREL due for %v, want %v", seed, got, len(want), released, due)
		}
	}
}

// A session's record that was written again behind its messages still gets them; one that has ended gets none.
func TestRecordBehindItsMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, gone, never := fresh(w, 3), session.New(w.env, "gone", "u", 4, 4), session.New(w.env, "never", "u", 5, 5)
	for i := range 5 {
		for _, x := range []*session.Session{s, gone, never} {
			w.owe(x, strconv.Itoa(i), 1)
		}
	}
	s.Lock()
	s.Record(1)
	s.Unlock()
	gone.Lock()
	gone.Record(1)
	gone.End()
	gone.Unlock()
	all := w.again()
	if len(all) != 1 || all[0].ID != "c" {
		t.Fatalf("got %v", all)
	}
	all[0].Lock()
	defer all[0].Unlock()
	if st := all[0].Status(); st.Messages != 5 {
		t.Errorf("got %+v", st)
	}
}

// A message that was carried behind a later one is still owed after a restart, although the journal begins with the later.
func TestCarriedBehindALaterMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := fresh(w, 3)
	s.Lock()
	first := s.Next() // its record has gone with its segment
	s.Unlock()
	w.owe(s, "later", 1)
	s.Lock()
	s.Record(2)
	s.Unlock()
	r := session.Record{Message: wire.Message{Topic: "t", Payload: []byte("carried"), QoS: 1}, Owed: []session.Share{{Num: 3, Owed: session.Owed{N: first, QoS: 1}}}}
	w.log.Append(session.KindMessage, session.AppendRecord(nil, &r))
	all := w.again()
	x := all[0].Session
	x.Lock()
	defer x.Unlock()
	if st := x.Status(); st.Messages != 2 {
		t.Errorf("got %+v, want both", st)
	}
}

// The marks of a long backlog are bounded, and tell its size and age roughly.
func TestMemoryDoesNotGrowWithTheBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := fresh(w, 3)
	payload := string(make([]byte, 60000))
	const n = 700 // 42 MB
	for range n {
		w.owe(s, payload, 1)
	}
	s.Lock()
	defer s.Unlock()
	if st := s.Status(); st.Messages != n || st.Bytes < n*55000 || st.Bytes > n*65000 {
		t.Errorf("got %+v", st)
	}
	s.GiveUpSegment("journal", 3, 0)
	st := s.Status()
	if oldest, needs := s.Oldest(); !needs || oldest <= 3 || st.Dropped+st.Messages != n {
		t.Errorf("oldest %d %v, %+v", oldest, needs, st)
	}
}

// What is given up while it is under way makes room in the window.
func TestGivingUpMakesRoomInTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := fresh(w, 3)
	k := &sink{room: 100}
	s.Lock()
	s.Attach(k, 2)
	s.Unlock()
	for i := range 2 {
		w.owe(s, strconv.Itoa(i), 1)
	}
	s.Lock()
	s.GiveUpSegment("journal", 1, 0)
	s.Unlock()
	for i := range 2 {
		w.owe(s, strconv.Itoa(i+2), 1)
	}
	if !slices.Equal(k.text, []string{"0", "1", "2", "3"}) {
		t.Errorf("sent %q", k.text)
	}
}

// A client whose messages were all given up while it was silent gets what follows once it acknowledges any of them.
func TestGivenUpWhileSilentGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := fresh(w, 3)
	k := &sink{room: 100}
	s.Lock()
	s.Attach(k, 2)
	s.Unlock()
	for i := range 2 {
		w.owe(s, strconv.Itoa(i), 1)
	}
	first := w.log.End().Gen()
	for w.log.End().Gen() == first { // the rest is in another segment
		w.log.Append(session.KindClock, make([]byte, 1<<20))
	}
	for i := range 3 {
		w.owe(s, strconv.Itoa(i+2), 1)
	}
	s.Lock()
	defer s.Unlock()
	if !slices.Equal(k.text, []string{"0", "1"}) {
		t.Fatalf("sent %q", k.text)
	}
	s.GiveUpSegment("journal", first, 0)
	var r session.Round
	if s.Acknowledged(&r, k.got[0].ID) {
		t.Error("what was given up is known")
	}
	if !slices.Equal(k.text, []string{"0", "1", "2", "3"}) {
		t.Errorf("sent %q", k.text)
	}
}

func FuzzRecords(f *testing.F) {
	r := session.Record{
		Message: wire.Message{Topic: "t", Payload: []byte("x"), Props: []byte{1, 1}, User: "u", QoS: 2, Retain: true, Expires: 5},
		Origin:  3, ID: 4, Owed: []session.Share{{Num: 1, Owed: session.Owed{N: 9, QoS: 1, SubIDs: []uint32{1, 2}}}},
	}
	f.Add(session.KindMessage, session.AppendRecord(nil, &r))
	f.Add(session.KindSession, []byte{1, 3, 5, 100, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 'c', 1, 'u', 0, 0, 0, 0})
	f.Add(session.KindSettled, []byte{1, 1})
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		rec := session.NewRestorer(&session.Env{Now: time.Now})
		for _, k := range []byte{session.KindSession, kind, session.KindMessage, session.KindReleased, session.KindInbound, session.KindSettled} {
			rec.Replay(journal.Record{Pos: 1 << 23, Kind: k, Body: body})
		}
		all, _ := rec.Sessions()
		for _, s := range all {
			s.Lock()
			s.Status()
			s.Unlock()
		}
		if got, ok := session.ReadRecord(body); ok && len(body) < 1000 {
			back, ok := session.ReadRecord(session.AppendRecord(nil, &got))
			if !ok || !reflect.DeepEqual(back, got) && len(got.Message.Payload) > 0 && len(got.Message.Props) > 0 {
				t.Errorf("%+v came back as %+v", got, back)
			}
		}
	})
}
