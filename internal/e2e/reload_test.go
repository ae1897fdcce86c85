// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReloadRestartsWhatChangedAndNothingElse(t *testing.T) {
	t.Parallel()
	cloud, other := newMosquitto(t), newMosquitto(t)
	far, farther := subscribe(t, cloud.port, "far", "edged/#"), subscribe(t, other.port, "far", "edged/#")
	same, changed, gone, added := newTTY(t), newTTY(t), newTTY(t), newTTY(t)
	const gw = "[gateway]\nid = \"gw\"\n"
	e := gateway{config: gw + uplinkTo(cloud.port) + jsonDevice("same", same) + jsonDevice("changed", changed) + jsonDevice("gone", gone)}.start(t)
	opened(t, e, 3)
	near := subscribe(t, e.port, "near", "edged/#")
	for _, y := range []*tty{same, changed, gone} {
		y.send(t, []byte("{\"n\":0}\n"))
	}
	eventually(t, 10*time.Second, "all are online in the cloud", func() bool {
		return far.last("edged/gw/dev/same/status") == "online" && far.last("edged/gw/dev/changed/status") == "online" && len(far.on("edged/gw/dev/gone/data")) == 1
	})
	before := len(near.on("edged/gw/dev/same/status"))

	e.write(t, gw+uplinkTo(other.port)+jsonDevice("same", same)+jsonDevice("changed", changed)+"keepalive = \"40s\"\n"+jsonDevice("added", added))
	e.signal(syscall.SIGHUP)
	e.ready(t)
	opened(t, e, 3)
	for _, y := range []*tty{same, changed, added} {
		y.send(t, []byte("{\"n\":1}\n"))
	}
	eventually(t, 10*time.Second, "the new cloud has what came since", func() bool {
		return len(farther.on("edged/gw/dev/changed/data")) >= 1 && len(farther.on("edged/gw/dev/added/data")) >= 1 && len(farther.on("edged/gw/dev/same/data")) >= 1
	})
	if got := near.on("edged/gw/dev/same/status"); len(got) != before {
		t.Errorf("the device that is the same was restarted: %v", got[before:])
	}
	if got := near.on("edged/gw/dev/changed/status"); len(got) < 3 || got[len(got)-2].payload != "offline" || got[len(got)-1].payload != "online" {
		t.Errorf("the changed device was not restarted: %v", got)
	}
	inOrder(t, "of the changed device", near.on("edged/gw/dev/changed/data"), 2)
	eventually(t, 5*time.Second, "what was retained of the device that is gone is cleared", func() bool {
		late := subscribe(t, e.port, "late", "edged/gw/dev/gone/#")
		defer late.kill()
		return len(late.got) == len(late.on("e2e/ready/late"))
	})
	out, _ := e.run(t, "status", "--json")
	if strings.Contains(out, `"gone"`) || !strings.Contains(out, `"added"`) {
		t.Errorf("status: %s", out)
	}
	if talk, exit := e.run(t, "config", "apply", "--json"); exit != 0 || !strings.Contains(talk, `"changed":[]`) {
		t.Errorf("config apply with nothing to apply: exit %d, %s", exit, talk)
	}
}

func TestFaultyReloadKeepsRunning(t *testing.T) {
	t.Parallel()
	y := newTTY(t)
	const gw = "[gateway]\nid = \"gw\"\n"
	good := gw + jsonDevice("good", y)
	e := gateway{config: good}.start(t)
	opened(t, e, 1)
	near := subscribe(t, e.port, "near", "edged/#")
	e.write(t, good+"seriel = \"9600 8N1\"\n")
	e.signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "an event tells", func() bool { return strings.Contains(near.last("edged/gw/event"), "config-rejected") })
	if out, exit := e.run(t, "status"); exit != 1 || !strings.Contains(out, "config-rejected") {
		t.Errorf("status: exit %d\n%s", exit, out)
	}
	if _, exit := e.run(t, "config", "apply"); exit != 78 {
		t.Errorf("config apply of a faulty file: exit %d, want 78", exit)
	}
	y.send(t, []byte("{\"n\":1}\n"))
	eventually(t, 5*time.Second, "the device is served on", func() bool { return near.last("edged/gw/dev/good/data") != "" })
	if e.write(t, good); len(near.on("edged/gw/event")) != 1 {
		t.Errorf("one fault is told %d times", len(near.on("edged/gw/event")))
	}
	if talk, exit := e.run(t, "config", "apply"); exit != 0 {
		t.Errorf("config apply of the mended file: exit %d, %s", exit, talk)
	}
	if out, _ := e.run(t, "status", "--json"); strings.Contains(out, "config-rejected") {
		t.Errorf("status after the file was mended: %s", out)
	}
}
