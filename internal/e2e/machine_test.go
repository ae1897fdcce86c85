// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestTheMachineItselfIsADevice reads the machine that the test runs on.
func TestTheMachineItselfIsADevice(t *testing.T) {
	t.Parallel()
	e := gateway{config: `[gateway]
id = "gw"
[device.box]
driver = "system"
every = "200ms"
[device.air]
driver = "bme280"
port = "sim"
every = "200ms"
[device.relays]
driver = "mcp23017"
port = "sim"
outputs = "a0 a1"
publish = "on-change"
[device.tank]
driver = "w1"
address = "28-00000000dead"
`}.start(t)
	near := subscribe(t, e.port, "near", "edged/gw/dev/box/#")
	const topic = "edged/gw/dev/box/data"
	eventually(t, 20*time.Second, "the machine was read three times", func() bool { return len(near.on(topic)) >= 3 })
	var uptime float64
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &uptime); err != nil {
		t.Fatal(err)
	}
	got := near.on(topic)
	var x struct{ CPU, Load, Memory, Disk, Uptime *float64 }
	if err := json.Unmarshal([]byte(got[len(got)-1].payload), &x); err != nil {
		t.Fatal(err)
	}
	if x.CPU == nil || x.Load == nil || x.Memory == nil || x.Disk == nil || x.Uptime == nil || *x.Uptime < uptime-60 || *x.Uptime > uptime+1 {
		t.Errorf("the machine says %s, /proc/uptime %v", got[len(got)-1].payload, uptime)
	}
	if got := near.last("edged/gw/dev/box/status"); got != "online" {
		t.Errorf("its status is %q", got)
	}
	chips(t, e)
}

// chips looks at devices that are pretended, and at one that is not there.
func chips(t *testing.T, e *edged) {
	t.Helper()
	near := subscribe(t, e.port, "chips", "edged/gw/dev/#")
	eventually(t, 20*time.Second, "the air was measured", func() bool { return len(near.on("edged/gw/dev/air/data")) >= 3 })
	e.run(t, "pub", "edged/gw/dev/relays/set", `{"a1":true,"id":7}`)
	eventually(t, 20*time.Second, "the relay is switched", func() bool {
		return near.last("edged/gw/dev/relays/result") == `{"id":7,"ok":true,"readings":{"a1":true}}`
	})
	e.run(t, "pub", "edged/gw/dev/relays/set", `{"b1":true,"id":8}`)
	eventually(t, 20*time.Second, "an input is not switched", func() bool {
		return near.last("edged/gw/dev/relays/result") == `{"id":8,"ok":false,"text":"there is no command \"b1\", but a0, a1"}`
	})
	eventually(t, 20*time.Second, "the thermometer is not there", func() bool {
		out, _ := e.run(t, "status", "--json")
		var s struct {
			Devices []struct{ Name, State, Code, Port string }
		}
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		for _, d := range s.Devices {
			if d.Name == "tank" {
				return d.State == "offline" && d.Code == "E101" && d.Port == "28-00000000dead"
			}
		}
		return false
	})
}

// TestATotalSurvivesAKill counts pretended pulses, kills the gateway, and looks where it goes on.
func TestATotalSurvivesAKill(t *testing.T) {
	t.Parallel()
	e := gateway{config: `[gateway]
id = "gw"
[device.meter]
driver = "pulse"
port = "sim"
gpio = "GPIO17"
unit = "pulses"
per_unit = 1
every = "100ms"
`}.start(t)
	const topic = "edged/gw/dev/meter/data"
	near := subscribe(t, e.port, "near", topic)
	count := func(m message) float64 {
		var x struct{ Count *float64 }
		if err := json.Unmarshal([]byte(m.payload), &x); err != nil || x.Count == nil {
			t.Fatalf("%s: %v", m.payload, err)
		}
		return *x.Count
	}
	newest := func(s *subscriber) float64 {
		all := s.on(topic)
		if len(all) == 0 {
			return 0
		}
		return count(all[len(all)-1])
	}
	eventually(t, 60*time.Second, "two pulses were counted", func() bool { return newest(near) >= 2 })
	e.kill()
	before := newest(near)
	e = e.relaunch(t)
	e.ready(t)
	after := subscribe(t, e.port, "after", topic)
	eventually(t, 20*time.Second, "the meter is read again", func() bool { return len(after.on(topic)) >= 3 })
	for _, m := range after.on(topic) {
		if n := count(m); n < before || n > before+20 {
			t.Errorf("%v after %v before the kill", n, before)
		}
	}
}
