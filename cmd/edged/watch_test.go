// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func plain(word string, _ bool) string { return word }

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want string
	}{
		{nil, ""},
		{[]float64{3}, "▅"},
		{[]float64{3, 3}, "▅▅"},
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, "▁▂▃▄▅▆▇█"},
		{[]float64{-5, 5, 0}, "▁█▅"},
	} {
		if got := sparkline(c.in); got != c.want {
			t.Errorf("%v: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestWatchedTellsLiveReadingsWithTheirUnits(t *testing.T) {
	w := &watched{devices: map[string]*watchedDevice{}}
	now := time.Date(2026, 11, 24, 16, 10, 5, 0, time.UTC)
	type message struct {
		topic, payload string
		retained, live bool
	}
	take := func(messages ...message) {
		t.Helper()
		for _, m := range messages {
			if _, live := w.take(m.topic, []byte(m.payload), m.retained, now); live != m.live {
				t.Errorf("%s %s: live is %v", m.topic, m.payload, live)
			}
		}
	}
	take(
		message{"edged/gw/dev/office/meta", `{"readings":{"t":{"unit":"°C"}}}`, true, false},
		message{"edged/gw/dev/office/data", `{"time":"2026-11-24T16:09:00.000Z","seq":1,"t":20}`, true, false},
		message{"edged/gw/dev/office/status", "online", true, false},
		message{"edged/gw/dev/office/data", `{"time":"2026-11-24T16:10:04.500Z","seq":2,"t":21.5,"door":"open\u001b[2J","on":true}`, false, true},
		message{"edged/gw/dev/office/data", `nonsense`, false, false},
		message{"edged/gw/event", `{}`, false, false},
	)
	d := w.devices["gw/office"]
	if got, want := d.line(false), "  office  door open?[2J  on true  t 21.5 °C"; !strings.HasSuffix(got, want) {
		t.Errorf("the line is %q, want it to end with %q", got, want)
	}
	v := &watchView{}
	screen := w.draw(v, 100, 10, now, plain)
	text := strings.Join(screen, "\n")
	for _, want := range []string{
		"  office          online  0.1 msg/s  measured 0.5 s ago",
		"    t                  21.5 °C        ▁█                              min 20  max 21.5",
		"    door               open?[2J",
		"q quit",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen has no %q:\n%s", want, text)
		}
	}
	take(
		message{"edged/gw/dev/office/status", "offline", false, false},
		message{"edged/gw/dev/office/health", `{"code":"E101","reason":"unplugged"}`, false, false},
	)
	if text := strings.Join(w.draw(v, 100, 10, now, plain), "\n"); !strings.Contains(text, "offline  unplugged E101") {
		t.Errorf("the screen does not say why it is offline:\n%s", text)
	}
}

// TestScreenFits draws more devices than have room, in every size, with each of them selected.
func TestScreenFits(t *testing.T) {
	w := &watched{devices: map[string]*watchedDevice{}}
	now := time.Now()
	for i := range 9 {
		topic := fmt.Sprintf("edged/gw%d/dev/d%d/", i%2, i)
		w.take(topic+"status", []byte("online"), true, now)
		w.take(topic+"data", []byte(`{"a":1,"b":2,"c":"ääää"}`), false, now)
	}
	for _, raw := range []bool{false, true} {
		v := &watchView{raw: raw, rawLines: []string{"one", "two\x1b[2J", strings.Repeat("x", 300)}}
		for width := 1; width < 90; width += 11 {
			for height := 1; height < 50; height += 7 {
				for range 9 {
					v.move(w, 1)
					lines := w.draw(v, width, height, now, plain)
					if len(lines) > height {
						t.Fatalf("%d×%d: %d lines", width, height, len(lines))
					}
					for _, line := range lines {
						if n := len([]rune(line)); n > width || strings.ContainsRune(line, 0x1b) {
							t.Fatalf("%d×%d: a line of %d: %q", width, height, n, line)
						}
					}
					if _, name, _ := strings.Cut(v.selected, "/"); width > 40 && height > 20 && !strings.Contains(strings.Join(lines, "\n"), "> "+v.selected) {
						t.Fatalf("%d×%d: %s is selected and not shown:\n%s", width, height, name, strings.Join(lines, "\n"))
					}
				}
			}
		}
	}
}
