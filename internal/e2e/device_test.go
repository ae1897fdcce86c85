// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/hex"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestADeviceIsAddedAndRemovedWithoutEditingAFile finds one by ear, adds it to a running gateway, and removes it with
// everything that was retained of it.
func TestADeviceIsAddedAndRemovedWithoutEditingAFile(t *testing.T) {
	frame, err := hex.DecodeString(dust)
	if err != nil {
		t.Fatal(err)
	}
	y := newTTY(t)
	y.speak(t, frame, 200*time.Millisecond)
	e := gateway{config: "# a comment\n[gateway]\nid = \"gw\" # and another\n"}.start(t)
	before := e.text(t)
	far := subscribe(t, e.port, "far", "#")
	_, talk, code := e.command(t, "", "device", "add", y.name, "--name", "air")
	if code != 0 || !strings.Contains(talk, "device air is in "+e.config) || !strings.Contains(talk, "air  online") {
		t.Fatalf("add: exit %d, %q", code, talk)
	}
	if want := before + "\n[device.air]\ndriver = \"pms5003\"\nport = \"" + y.name + "\"\n"; e.text(t) != want {
		t.Errorf("the file is\n%s\nwant\n%s", e.text(t), want)
	}
	retained := []string{
		"homeassistant/device/edged_gw_air/config", "edged/gw/dev/air/status", "edged/gw/dev/air/meta", "edged/gw/dev/air/data",
		"edged/gw/dev/air/health",
	}
	for _, topic := range retained {
		eventually(t, 20*time.Second, topic+" is there", func() bool { return far.last(topic) != "" })
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"add " + y.name + " --name air --driver line", 64, "a device air already"},
		{"add " + y.name + " --name two --driver pms5003", 78, "already the port of another device"},
		{"add sim --name two --driver pms5004", 78, "no driver \"pms5004\""},
		{"add sim --name Two --driver pms5003", 64, "character 'T'"},
		{"add sim --name two", 64, "--driver is needed"},
		{"add sim", 64, "--name is needed"},
		{"add ttyUSB0 --name two --driver pms5003", 64, "is no port"},
		{"rm attic", 64, "no device \"attic\""},
	} {
		_, talk, code := e.command(t, "", append([]string{"device"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(talk, c.says) {
			t.Errorf("edged device %s: exit %d, %q; want %d, %q", c.args, code, talk, c.code, c.says)
		}
	}
	_, talk, code = e.command(t, "", "device", "add", "sim", "--name", "office", "--driver", "line",
		"--set", `format = "template"`, "--set", `parse = "T={t}"`, "--set", `reading.t = { unit = "°C" }`)
	if code != 0 || !strings.Contains(talk, "office  online  t ") {
		t.Errorf("add office: exit %d, %q", code, talk)
	}
	for _, name := range []string{"office", "air"} {
		if _, talk, code := e.command(t, "", "device", "rm", name); code != 0 || !strings.Contains(talk, "in force: device."+name) {
			t.Errorf("rm %s: exit %d, %q", name, code, talk)
		}
	}
	if e.text(t) != before {
		t.Errorf("the file is\n%s\nwant\n%s", e.text(t), before)
	}
	eventually(t, 20*time.Second, "nothing is retained of the device", func() bool {
		for _, topic := range retained {
			if far.last(topic) != "" && far.on(topic)[len(far.on(topic))-1].payload != "" {
				return false
			}
		}
		return true
	})
	again := subscribe(t, e.port, "again", "#")
	for _, topic := range retained {
		if m := again.on(topic); len(m) > 0 && m[0].payload != "" {
			t.Errorf("%s is still %q", topic, m[0].payload)
		}
	}

	// Without a gateway the file is changed all the same, and the next start forgets the device.
	if _, talk, code := e.command(t, "", "device", "add", "sim", "--name", "late", "--driver", "pms5003"); code != 0 {
		t.Fatalf("exit %d, %q", code, talk)
	}
	e.signal(syscall.SIGTERM)
	e.wait(t, 10*time.Second)
	if _, talk, code := e.command(t, "", "device", "rm", "late"); code != 0 || !strings.Contains(talk, "edged is not running") {
		t.Errorf("exit %d, %q", code, talk)
	}
	e.relaunch(t).ready(t)
	last := subscribe(t, e.port, "last", "homeassistant/#")
	if m := last.on("homeassistant/device/edged_gw_late/config"); len(m) > 0 {
		t.Errorf("Home Assistant still finds %q", m[0].payload)
	}
}

func (e *edged) text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
