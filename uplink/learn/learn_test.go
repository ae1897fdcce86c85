// SPDX-License-Identifier: Apache-2.0

package learn_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edged/uplink/learn"
)

// Whatever the network forgets after, what is used lives, is not much shorter than it could be, and is found soon.
func TestSearch(t *testing.T) {
	for _, c := range []struct{ forgets, limit time.Duration }{
		{15 * time.Second, time.Hour},
		{31 * time.Second, time.Hour},
		{61 * time.Second, time.Hour},
		{4 * time.Minute, time.Hour},
		{350 * time.Second, time.Hour},
		{9 * time.Minute, time.Hour},
		{24 * time.Hour, time.Hour},
		{24 * time.Hour, 90 * time.Second},
		{24 * time.Hour, 30 * time.Second},
		{5 * time.Minute, 230 * time.Second},
	} {
		var s learn.Search
		tries, spent := 0, time.Duration(0)
		for {
			idle, more := s.Next(c.limit)
			if !more {
				break
			}
			if idle > c.limit {
				t.Errorf("%+v: %v was tried", c, idle)
			}
			s = s.Learn(idle, idle < c.forgets)
			if tries, spent = tries+1, spent+idle; tries > 20 {
				t.Fatalf("%+v: no end with %+v", c, s)
			}
		}
		got, could := s.KeepAlive(c.limit), min(c.forgets, c.limit, learn.Most)
		if got > c.limit || got >= c.forgets || got < could*4/5-2*time.Second {
			t.Errorf("%+v: uses %v after %d tries in %v", c, got, tries, spent)
		}
		if spent > 2*time.Hour {
			t.Errorf("%+v: took %v", c, spent)
		}
	}
	if got := (learn.Search{}).KeepAlive(time.Hour); got != learn.Start {
		t.Errorf("uses %v before anything is known", got)
	}
	if got := (learn.Search{Lived: 10 * time.Minute}).Learn(5*time.Minute, false).KeepAlive(time.Hour); got > learn.Start {
		t.Errorf("uses %v in a network that is another", got)
	}
}

func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "networks")
	m, err := learn.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	home := learn.Search{Lived: 4 * time.Minute, Died: 5 * time.Minute}
	keep := func(network string, s learn.Search) {
		t.Helper()
		if err := m.Keep(network, s); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		keep(fmt.Sprint("train ", i), learn.Search{Lived: time.Minute})
		keep("home", home)
	}
	if m, err = learn.Open(path); err != nil || m.Of("home") != home || m.Of("train 39").Lived != time.Minute || m.Of("train 0") != (learn.Search{}) {
		t.Errorf("read back %+v, %v", m, err)
	}
	for i, died := range []bool{true, false, true, true} {
		if err := m.Doubt("home", died); err != nil {
			t.Fatal(err)
		}
		if known := m.Of("home").Lived != 0; known != (i < 3) {
			t.Errorf("after link %d: known %t", i, known)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err = learn.Open(path); err == nil || m.Of("home") != (learn.Search{}) || m.Keep("home", home) != nil {
		t.Errorf("a damaged file: %+v, %v", m, err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`[{"network":"a","lived":1,"died":2}]`))
	f.Add([]byte(`[{"network":"a","lived":-1}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "networks")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		m, _ := learn.Open(path)
		if use := m.Of("a").KeepAlive(time.Hour); use < 0 || use > time.Hour {
			t.Errorf("uses %v", use)
		}
	})
}
