// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
)

// hub is the gateway's session with devices that do not run.
type hub struct {
	*rig
	gateway *bridge.Gateway

	mu     sync.Mutex
	health bridge.Health
	info   bridge.Info
}

func setUpHub(t *testing.T, configs ...bridge.Config) *hub {
	t.Helper()
	h := &hub{rig: &rig{t: t, broker: newFakeBroker(t), ports: newFakePorts()}, health: bridge.Health{State: "up"}}
	h.gateway = bridge.NewGateway(bridge.GatewayDeps{
		Gateway: "gw", Version: "1.2.3", Dial: h.broker.Dial, Log: slog.New(slog.DiscardHandler),
		Info:   func() bridge.Info { h.mu.Lock(); defer h.mu.Unlock(); return h.info },
		Health: func() bridge.Health { h.mu.Lock(); defer h.mu.Unlock(); return h.health },
	})
	var all []*bridge.Bridge
	for _, c := range configs {
		b, err := bridge.New(c, driver(t, c.Driver), bridge.Deps{
			Gateway: "gw", Dial: h.broker.Dial, Ports: h.ports, Event: h.gateway.Event, Changed: h.gateway.Announce,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	h.gateway.SetDevices(all...)
	if len(all) > 0 {
		h.bridge = all[0]
	}
	return h
}

// runHub starts the gateway's session; the function ends it in order.
func (h *hub) runHub() (halt func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.gateway.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
		h.broker.serving.Wait()
	}
}

func (h *hub) set(change func(*bridge.Health)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.health)
}

func TestGatewayTellsOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := setUpHub(t)
		h.info = bridge.Info{Version: "1.2.3", UptimeS: 5, Addresses: []string{"192.0.2.1"}, ConfigHash: "abc"}
		halt := h.runHub()
		if got, _ := h.broker.keeps("edged/gw/status"); got != "online" {
			t.Errorf("status %q", got)
		}
		if got, _ := h.broker.keeps("edged/gw/info"); got != `{"version":"1.2.3","uptime_s":5,"addresses":["192.0.2.1"],"clock":{"believed":false},"config_hash":"abc"}` {
			t.Errorf("info %s", got)
		}
		if got, _ := h.broker.keeps("edged/gw/health"); !strings.HasPrefix(got, `{"state":"up","backlog":{"messages":0,`) {
			t.Errorf("health %s", got)
		}
		h.gateway.Event(bridge.Event{Time: time.Now(), Code: "E601", Level: "error", Text: "disk nearly full"})
		synctest.Wait()
		if got := h.broker.last("edged/gw/event"); got != `{"time":"2000-01-01T00:00:00.000Z","code":"E601","level":"error","text":"disk nearly full"}` {
			t.Errorf("event %s", got)
		}
		if _, kept := h.broker.keeps("edged/gw/event"); kept {
			t.Error("an event is retained")
		}
		halt()
		if got, _ := h.broker.keeps("edged/gw/status"); got != "offline" {
			t.Errorf("after an orderly stop: %q", got)
		}
	})
}

func TestGatewaysHealthFollowsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := setUpHub(t)
		halt := h.runHub()
		defer halt()
		count := func() int { return len(h.broker.on("edged/gw/health")) }
		h.sleep(5*time.Minute + time.Second)
		if n := count(); n != 6 {
			t.Errorf("%d health messages in 5 quiet minutes, want one each", n)
		}
		before := count()
		h.set(func(x *bridge.Health) { x.Backlog.Messages = 10 })
		h.gateway.Changed()
		h.sleep(time.Second)
		h.set(func(x *bridge.Health) { x.Backlog.Messages = 20 }) // no news
		h.gateway.Changed()
		h.sleep(5 * time.Second)
		if n := count() - before; n != 1 {
			t.Errorf("%d messages for a backlog that began", n)
		}
		before = count()
		for i := range 40 { // the link flaps four times a second
			h.set(func(x *bridge.Health) { x.State = []string{"down", "up"}[i%2] })
			h.gateway.Changed()
			h.sleep(250 * time.Millisecond)
		}
		if n := count() - before; n < 4 || n > 11 {
			t.Errorf("%d messages in 10 s of a flapping link, at most one a second", n)
		}
	})
}

func TestGatewayIsToldByItsWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := setUpHub(t, sensor("pms5003", nil))
		halt := h.runHub()
		defer halt()
		h.broker.refuse(true)
		h.broker.drop("edged-gateway")
		synctest.Wait()
		if got, _ := h.broker.keeps("edged/gw/status"); got != "offline" {
			t.Errorf("the will: %q", got)
		}
		h.gateway.Event(bridge.Event{Time: time.Now(), Code: "E120", Level: "warning", Device: "dev", Text: "kept"})
		h.broker.refuse(false)
		h.sleep(6 * time.Second)
		if got, _ := h.broker.keeps("edged/gw/status"); got != "online" {
			t.Errorf("connected again: %q", got)
		}
		if got := h.broker.last("edged/gw/event"); !strings.Contains(got, `"device":"dev","text":"kept"`) {
			t.Errorf("event %q", got)
		}
	})
}

func TestWhatAnEarlierRunLeftIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := setUpHub(t, sensor("pms5003", nil))
		for topic, payload := range map[string]string{
			"edged/gw/status": "online", "edged/gw/dev/dev/status": "online", "edged/gw/dev/dev/data": `{"seq":77,"pm25":1}`,
			"edged/gw/dev/gone/status": "online", "edged/gw/dev/gone/data": `{"seq":5}`, "edged/gw/dev/gone/meta": "{}",
			"edged/gw/dev/gone/health": "{}", "homeassistant/device/edged_gw_gone/config": "{}",
			"homeassistant/device/edged_gw_dev/config": "{}", "homeassistant/device/edged_other_gone/config": "{}",
			"homeassistant/device/zigbee/config": "{}", "edged/other/dev/x/status": "online",
			"edged/gw/dev/off/status": "online", "edged/gw/dev/off/data": `{"seq":1}`,
		} {
			h.broker.send(topic, payload, true)
		}
		if err := h.gateway.Prepare(t.Context(), "off"); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"edged/gw/status": "offline", "edged/gw/dev/dev/status": "offline", "edged/gw/dev/dev/data": `{"seq":77,"pm25":1}`,
			"homeassistant/device/edged_gw_dev/config": "{}", "homeassistant/device/edged_other_gone/config": "{}",
			"homeassistant/device/zigbee/config": "{}", "edged/other/dev/x/status": "online",
			"edged/gw/dev/off/status": "offline", "edged/gw/dev/off/data": `{"seq":1}`,
		}
		h.broker.serving.Wait()
		for topic, m := range h.broker.retained {
			if m.payload != want[topic] {
				t.Errorf("%s is %q, want %q", topic, m.payload, want[topic])
			}
			delete(want, topic)
		}
		if len(want) > 0 {
			t.Errorf("cleared, and should not be: %v", want)
		}
		// The device goes on behind the seq that the broker has.
		h.run()
		h.send("\x42\x4d\x00\x1c\x00\x00\x00\x08\x00\x08\x00\x00\x00\x08\x00\x08\x00\xd2\x00\x46\x00\x2d\x00\x1e\x00\x00\x00\x00\x97\x00\x02\xc5")
		if got := h.broker.last("edged/gw/dev/dev/data"); !strings.Contains(got, `"seq":78,`) {
			t.Errorf("data %s", got)
		}
		h.halt()
	})
}

func TestSkippedSeqIsToldBeforeTheNextData(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := bridge.OpenSeq(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		with := func(d *bridge.Deps) { d.Seq = store }
		r := setUp(t, jsonLines(), nil, with)
		r.run()
		r.send("{\"n\":1}\n{\"n\":2}\n")
		crashed, err := os.ReadFile(filepath.Join(dir, "dev.seq")) // what kill -9 would leave
		if err != nil {
			t.Fatal(err)
		}
		r.halt()
		if err := os.WriteFile(filepath.Join(dir, "dev.seq"), crashed, 0o600); err != nil {
			t.Fatal(err)
		}
		r = setUp(t, jsonLines(), nil, with)
		r.run()
		r.send("{\"n\":3}\n{\"n\":4}\n")
		r.halt()
		got := strings.Join(r.broker.topics("/event", "/data"), "\n")
		var at []int
		for _, part := range []string{"event E605 seq skipped after a crash: 1 to 4096\n", `"seq":4097,"n":3}`, `"seq":4098,"n":4}`} {
			at = append(at, strings.Index(got, part))
		}
		if at[0] != 0 || !slices.IsSorted(at) {
			t.Errorf("%s", got)
		}
	})
}

func TestDiscovery(t *testing.T) {
	scaled := jsonLines()
	precision, low := 1, -40.0
	scaled.StaleAfter = 90 * time.Second
	scaled.Readings = map[string]bridge.Reading{
		"temperature": {Unit: "°C", Class: "temperature", Precision: &precision, Min: &low, Rename: "outside"},
		"2m":          {Unit: "m"},
		"raw":         {Skip: true},
	}
	machine := sensor("system", nil)
	machine.Port = ""
	door := sensor("gpio-in", map[string]any{"gpio": "GPIO17", "class": "door"})
	relay := sensor("gpio-out", map[string]any{"gpio": "GPIO27"})
	meter := sensor("pulse", map[string]any{"gpio": "GPIO22"})
	door.Port, relay.Port, meter.Port = "", "", ""
	for name, c := range map[string]bridge.Config{
		"pms5003": sensor("pms5003", nil), "sds011": sensor("sds011", nil), "line": scaled, "system": machine,
		"gpio-in": door, "gpio-out": relay, "pulse": meter,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := setUpHub(t, c)
				halt := h.runHub()
				defer halt()
				if name == "line" { // it tells of its readings as it goes
					h.run()
					h.send(`{"temperature":1,"raw":2,"open":true,"name":"x","count":3}` + "\n")
					defer h.end()
				}
				got, _ := h.broker.keeps("homeassistant/device/edged_gw_dev/config")
				golden(t, name, got)
				n := len(h.broker.on("homeassistant/device/edged_gw_dev/config"))
				h.broker.send("homeassistant/status", "offline", false)
				synctest.Wait()
				h.broker.send("homeassistant/status", "online", false)
				synctest.Wait()
				if again := len(h.broker.on("homeassistant/device/edged_gw_dev/config")); again != n+1 {
					t.Errorf("announced %d times after Home Assistant came", again-n)
				}
			})
		})
	}
}

// golden compares JSON with testdata/discovery-NAME.json; EDGED_GOLDEN=write makes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(got), "", "  "); err != nil {
		t.Fatalf("%v in %q", err, got)
	}
	out.WriteByte('\n')
	file := filepath.Join("testdata", "discovery-"+name+".json")
	if os.Getenv("EDGED_GOLDEN") == "write" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%s differs:\n%s", file, out.Bytes())
	}
}

func TestMeta(t *testing.T) {
	c := sensor("sds011", nil)
	c.Tags = map[string]string{"room": "hall"}
	max := 500.0
	c.Readings = map[string]bridge.Reading{"pm10": {Skip: true}, "pm25": {Max: &max}}
	inBubble(t, c, func(t *testing.T, r *rig) {
		var m struct {
			Driver, Title, Model string
			Tags                 map[string]string
			StaleAfter           string `json:"stale_after"`
			Readings             map[string]struct {
				Unit, Class string
				Max         *float64
			}
			Commands map[string]struct{ Kind string }
		}
		got, _ := r.broker.keeps(r.topic("meta"))
		if err := json.Unmarshal([]byte(got), &m); err != nil {
			t.Fatal(err)
		}
		if m.Driver != "sds011" || m.Tags["room"] != "hall" || m.StaleAfter != "auto" || len(m.Readings) != 1 ||
			m.Readings["pm25"].Unit != "µg/m³" || *m.Readings["pm25"].Max != 500 || m.Commands["sleep"].Kind != "bool" {
			t.Errorf("meta %s", got)
		}
	})
}
