// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// everything are figures in which nothing is missing.
func everything(devices int) Figures {
	number, share, low, age := uint64(5), 1.5, true, time.Second
	counts := map[string]uint64{"a": 1, "b": 2}
	f := Figures{
		Gateway: "g", Version: "v", Problems: map[string]int{"error": 1}, Temperature: &share, UnderVoltage: &low,
		Broker: Broker{Refused: counts, Limits: counts},
		Disk:   Disk{Free: &number, Size: &number, Written: &number, LifeYears: &share},
		Uplink: &Uplink{
			Connected: true, LastAck: time.UnixMilli(1500), LastAckAge: &age, Backlog: map[string]Backlog{"event": {Messages: 3, Bytes: 4}},
			Reconnects: counts, Dropped: counts, CommandsRefused: counts,
			Certificates: []Certificate{{Owner: "server", Name: "mqtt.example.com", End: time.Unix(2e9, 0)}},
		},
	}
	for i := range devices {
		f.Devices = append(f.Devices, Device{Name: fmt.Sprintf("d%d", i), Online: true, Line: &Line{Requests: 1}})
	}
	f.Buses = []Bus{{Name: "hall", Open: true}}
	return f
}

func scrape(t testing.TB, f Figures) string {
	t.Helper()
	w := httptest.NewRecorder()
	New(func() Figures { return f }).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("a scrape answers %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func names(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		all[m[1]] = true
	}
	return all
}

func TestExpositionIsAsPrometheusWantsIt(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, everything(2)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryFamilyHasASample(t *testing.T) {
	got := names(scrape(t, everything(1)))
	for _, f := range families() {
		if !got[f.name] {
			t.Errorf("%s has no sample although everything is known", f.name)
		}
	}
}

// What is exported and what docs/metrics.md lists are the same.
func TestPageListsWhatIsExported(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)(\\{([a-z, ]+)\\})?` \\| (\\w+) \\|").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = m[4] + "{" + m[3] + "}"
	}
	text := scrape(t, everything(1))
	for name := range names(text) {
		if listed[name] == "" {
			t.Errorf("docs/metrics.md has no line for %s", name)
		}
	}
	for name := range listed {
		if !names(text)[name] {
			t.Errorf("docs/metrics.md lists %s, which is not exported", name)
		}
	}
	for _, f := range families() {
		kind := map[bool]string{true: "counter", false: "gauge"}[f.kind == counter]
		if want := kind + "{" + strings.Join(f.labels, ", ") + "}"; listed[f.name] != want {
			t.Errorf("docs/metrics.md says that %s is a %s; it is a %s", f.name, listed[f.name], want)
		}
	}
}

// A connection proves nothing: when the cloud last acknowledged anything stands beside it in every scrape.
func TestConnectedIsNeverAlone(t *testing.T) {
	for name, u := range map[string]*Uplink{"never acknowledged": {Connected: true}, "acknowledged": {Connected: true, LastAck: time.UnixMilli(1500)}, "no cloud": nil} {
		text := scrape(t, Figures{Uplink: u})
		said := strings.Contains(text, "\nedged_uplink_connected ")
		if said != (u != nil) || said != strings.Contains(text, "\nedged_uplink_last_acknowledged_timestamp_seconds ") {
			t.Errorf("%s: a scrape has\n%s", name, text)
		}
	}
	if text := scrape(t, everything(0)); !strings.Contains(text, "\nedged_uplink_last_acknowledged_timestamp_seconds 1.5\n") {
		t.Errorf("a scrape has\n%s", text)
	}
}

// What is not known is absent, not zero.
func TestUnknownIsAbsent(t *testing.T) {
	got := names(scrape(t, Figures{}))
	for _, name := range []string{"edged_temperature_celsius", "edged_under_voltage", "edged_disk_free_bytes", "edged_disk_life_years", "edged_device_online", "edged_uplink_inflight_messages"} {
		if got[name] {
			t.Errorf("%s is told although nobody knows it", name)
		}
	}
	if !got["edged_broker_clients"] {
		t.Errorf("a scrape has only %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestFaultyLabelFailsTheScrapeOnly(t *testing.T) {
	h := New(func() Figures { return Figures{Gateway: "\xff"} })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "edged_info") {
		t.Errorf("a label that is no text gives %d: %s", w.Code, w.Body)
	}
}

func BenchmarkScrape50Devices(b *testing.B) {
	f := everything(50)
	h := New(func() Figures { return f })
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
