// SPDX-License-Identifier: Apache-2.0

package retained_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"edged/broker/journal"
	"edged/broker/retained"
	"edged/mqtt/wire"
)

// log stands for the journal: it remembers the last record of each topic.
type log struct {
	mu   sync.Mutex
	at   journal.Pos
	last map[string]string
}

func newLog(gen uint64) *log {
	return &log{at: journal.Pos(gen * journal.SegmentSize), last: map[string]string{}}
}

func (l *log) append(m *wire.Message) journal.Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at += 100
	l.last[m.Topic] = string(m.Payload)
	return l.at
}

func message(topic, payload string) *wire.Message {
	return &wire.Message{Topic: topic, Payload: []byte(payload), Retain: true}
}

func put(s *retained.Store, l *log, topic, payload string) {
	m := message(topic, payload)
	s.Put(m, 1, func() journal.Pos { return l.append(m) })
}

func payloads(found []*retained.Kept) []string {
	got := []string{}
	for _, k := range found {
		got = append(got, k.Message.Topic+"="+string(k.Message.Payload))
	}
	return got
}

func newStore() *retained.Store {
	return retained.New(retained.Limits{Messages: 100, Bytes: 1 << 20}, nil)
}

func TestFind(t *testing.T) {
	s, l := newStore(), newLog(1)
	for _, topic := range []string{"a", "a/b", "a/b/c", "ab", "b", "$SYS/x", "a/"} {
		put(s, l, topic, "1")
	}
	put(s, l, "a/b", "2")
	put(s, l, "b", "")
	put(s, l, "never there", "")
	for _, c := range []struct {
		filter string
		want   []string
	}{
		{"a", []string{"a=1"}},
		{"b", nil},
		{"x", nil},
		{"a/b", []string{"a/b=2"}},
		{"a/#", []string{"a=1", "a/=1", "a/b=2", "a/b/c=1"}},
		{"a/+", []string{"a/=1", "a/b=2"}},
		{"a/+/c", []string{"a/b/c=1"}},
		{"+", []string{"a=1", "ab=1"}},
		{"#", []string{"a=1", "a/=1", "a/b=2", "a/b/c=1", "ab=1"}},
		{"$SYS/#", []string{"$SYS/x=1"}},
		{"z/#", nil},
	} {
		if got := payloads(s.Find(c.filter)); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.filter, got, c.want)
		}
	}
	if n, _ := s.Count(); n != 6 {
		t.Errorf("count %d, want 6", n)
	}
}

func TestLimits(t *testing.T) {
	s := retained.New(retained.Limits{Messages: 2, Bytes: 400}, nil)
	s.Put(message("a", "1"), 1, nil)
	s.Put(message("b", "1"), 1, nil)
	for _, c := range []struct {
		name, topic, payload string
		want                 bool
	}{
		{"a third", "c", "1", false},
		{"another of a topic", "a", "2", true},
		{"another, but too large", "a", strings.Repeat("x", 300), false},
		{"to clear", "c", "", true},
	} {
		if got := s.Room(c.topic, len(c.payload), message(c.topic, c.payload).Size()); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRecordsOfASegment(t *testing.T) {
	s, l := newStore(), newLog(1)
	put(s, l, "stays", "1")
	put(s, l, "changes", "1")
	put(s, l, "goes", "1")
	l.at = 2 * journal.SegmentSize
	put(s, l, "changes", "2")
	put(s, l, "goes", "")
	if n := s.In(1); n != 1 {
		t.Fatalf("%d in segment 1, want 1", n)
	}
	lying := s.Lying(1)
	if got := payloads(lying); !slices.Equal(got, []string{"stays=1"}) {
		t.Fatalf("got %q", got)
	}
	if _, ok := s.Renew(lying[0], func() journal.Pos { return l.append(lying[0].Message) }); !ok || s.In(1) != 0 || s.In(2) != 2 {
		t.Errorf("after renewal: %v, %d, %d", ok, s.In(1), s.In(2))
	}
	put(s, l, "stays", "2")
	if _, ok := s.Renew(lying[0], func() journal.Pos { t.Error("an old message was written again"); return 1 }); ok {
		t.Error("renewed what had been replaced")
	}
}

// A message that is not in the journal is written later, as it is then; a topic that was cleared is written too.
func TestDirty(t *testing.T) {
	s, l := newStore(), newLog(1)
	put(s, l, "cleared", "1")
	s.Put(message("cleared", ""), 1, nil)
	s.Put(message("new", "1"), 1, nil)
	s.Put(message("new", "2"), 1, func() journal.Pos { return 0 })
	s.Put(message("gone before it was written", "1"), 1, nil)
	put(s, l, "gone before it was written", "")
	if got := payloads(s.Find("#")); !slices.Equal(got, []string{"new=2"}) {
		t.Errorf("before: %q", got)
	}
	s.Write(func(*wire.Message) journal.Pos { return 0 })
	s.Write(l.append)
	if l.last["new"] != "2" || l.last["cleared"] != "" {
		t.Errorf("journal: %q", l.last)
	}
	s.Write(func(m *wire.Message) journal.Pos { t.Errorf("%s is written twice", m.Topic); return 1 })
	if n := s.In(1); n != 1 {
		t.Errorf("%d in segment 1, want 1", n)
	}
}

func TestExpiry(t *testing.T) {
	s := newStore()
	m := message("a", "1")
	m.Expires = 100
	s.Put(m, 1, nil)
	old := s.Find("a")[0]
	s.Sweep(99)
	if len(s.Find("a")) != 1 {
		t.Fatal("went early")
	}
	s.Put(message("a", "2"), 1, nil)
	s.Expire(old)
	s.Sweep(100)
	if len(s.Find("a")) != 1 {
		t.Fatal("a message without expiry went")
	}
	m2 := message("b", "1")
	m2.Expires = 100
	s.Put(m2, 1, nil)
	s.Sweep(100)
	if len(s.Find("b")) != 0 {
		t.Error("stayed too long")
	}
}

// Whoever comes last in the journal is retained, however publishers race.
func TestOrderIsThatOfTheJournal(t *testing.T) {
	s, l := retained.New(retained.Limits{Messages: 1000, Bytes: 1 << 20}, nil), newLog(1)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 300 {
				payload := fmt.Sprintf("%d-%d", i, k)
				if k%3 == 0 {
					payload = ""
				}
				put(s, l, fmt.Sprintf("t/%d", k%50), payload)
				s.Find("t/#")
			}
		})
	}
	wg.Wait()
	got := map[string]string{}
	for _, k := range s.Find("#") {
		got[k.Message.Topic] = string(k.Message.Payload)
	}
	for topic, want := range l.last {
		if got[topic] != want {
			t.Errorf("%s: memory has %q, the journal %q", topic, got[topic], want)
		}
	}
}

func TestGet(t *testing.T) {
	s := newStore()
	s.Put(message("a", "1"), 3, nil)
	if k := s.Get("a"); k == nil || k.Version != 3 || string(k.Message.Payload) != "1" {
		t.Errorf("got %+v", k)
	}
	s.Put(message("a", ""), 4, nil)
	if k := s.Get("a"); k != nil || s.Get("b") != nil {
		t.Errorf("got %+v of a topic that was cleared", k)
	}
}

// What is said anew after each start is not written, but that it is cleared is.
func TestRestatedIsNotWritten(t *testing.T) {
	s := retained.New(retained.Limits{Messages: 100, Bytes: 1 << 20}, func(topic string) bool { return topic == "health" })
	written := func() (topics []string) {
		s.Write(func(m *wire.Message) journal.Pos {
			topics = append(topics, m.Topic)
			return 7
		})
		return topics
	}
	s.Put(&wire.Message{Topic: "health", Payload: []byte("{}"), Retain: true}, 0, nil)
	if got := written(); len(got) != 0 {
		t.Errorf("%q was written", got)
	}
	if k := s.Get("health"); k == nil || string(k.Message.Payload) != "{}" {
		t.Errorf("the store holds %v", k)
	}
	s.Put(&wire.Message{Topic: "health", Payload: []byte("{}"), Retain: true, QoS: 1}, 0, nil)
	if got := written(); len(got) != 1 {
		t.Errorf("at QoS 1, %q was written", got)
	}
	s.Put(&wire.Message{Topic: "health", Payload: []byte("{}"), Retain: true}, 0, nil)
	s.Put(&wire.Message{Topic: "health", Retain: true}, 0, nil)
	if got := written(); len(got) != 1 {
		t.Errorf("when it was cleared, %q was written", got)
	}
}
