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
	e := gateway{config: "[gateway]\nid = \"gw\"\n[device.box]\ndriver = \"system\"\nevery = \"200ms\"\n"}.start(t)
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
}
