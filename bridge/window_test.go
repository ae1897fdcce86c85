// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
)

// A broker that acknowledges nothing for long gets every reading all the same, in order, and soon after it was measured,
// and knows when the device goes; once it acknowledges again, readings are at QoS 1 as before.
func TestReadingsFlowWhileNothingIsAcknowledged(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.send("{\"n\":0}\n")
		r.broker.hold(true)
		const all = 300
		for i := 1; i <= all; i++ {
			r.sleep(time.Second)
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
			if i > 80 && !strings.Contains(r.broker.last(r.topic("data")), fmt.Sprintf(`"n":%d}`, i)) {
				t.Fatalf("reading %d is not there, but %s", i, r.broker.last(r.topic("data")))
			}
		}
		if got := r.broker.on(r.topic("data")); len(got) != all+1 || r.bridge.Status().GivenUp != 0 {
			t.Errorf("%d of %d came, %d given up", len(got), all+1, r.bridge.Status().GivenUp)
		}
		r.ports.wire().unplug()
		r.sleep(time.Second)
		if r.status() != "offline" {
			t.Errorf("status %q after the unplug", r.status())
		}
		r.broker.hold(false)
		r.sleep(10 * time.Second)
		r.send("{\"n\":999}\n")
		r.broker.mu.Lock()
		defer r.broker.mu.Unlock()
		last := slices.IndexFunc(r.broker.log, func(m message) bool { return strings.Contains(m.payload, `"n":999}`) })
		if last < 0 || r.broker.log[last].qos != 1 {
			t.Errorf("the last reading was published as %+v", r.broker.log[max(last, 0)])
		}
	})
}

// A disk that stalls for a moment costs no reading its QoS.
func TestAShortStallCostsNoPromise(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.broker.hold(true)
		for i := range 90 {
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
		}
		r.sleep(4 * time.Second)
		r.broker.hold(false)
		r.sleep(time.Second)
		r.broker.mu.Lock()
		defer r.broker.mu.Unlock()
		for _, m := range r.broker.log {
			if strings.HasSuffix(m.topic, "/data") && m.qos != 1 {
				t.Errorf("%s at QoS %d", m.payload, m.qos)
			}
		}
	})
}

// The same with the real broker on a disk that is dead: live subscribers see each reading.
func TestReadingsFlowOnADeadDisk(t *testing.T) {
	disk := journaltest.New()
	w, y := newWhole(t, broker.Options{FS: disk}), newTTY(t)
	b, _ := w.carry(onTTY("dev", y), nil)
	open(t, b)
	y.send("{\"n\":0}\n")
	eventually(t, 10*time.Second, "the first reading", func() bool { return len(w.on("edged/gw/dev/dev/data")) == 1 })
	disk.SetFault(func(op journaltest.Op) error {
		if op.Kind == "write" || op.Kind == "datasync" || op.Kind == "create" {
			return errors.New("input/output error")
		}
		return nil
	})
	const all = 90 // more than may be unacknowledged on the way, fewer than a bridge keeps
	for i := 1; i < all; i++ {
		y.send(fmt.Sprintf("{\"n\":%d}\n", i))
	}
	eventually(t, 20*time.Second, "all readings are there", func() bool { return len(w.on("edged/gw/dev/dev/data")) == all })
	for i := all; i < all+20; i++ {
		y.send(fmt.Sprintf("{\"n\":%d}\n", i))
		eventually(t, 2*time.Second, "the next reading is there", func() bool { return len(w.on("edged/gw/dev/dev/data")) == i+1 })
	}
	for i, m := range w.on("edged/gw/dev/dev/data") {
		if !strings.Contains(m, fmt.Sprintf(`"n":%d}`, i)) {
			t.Fatalf("reading %d is %s", i, m)
		}
	}
	if s := b.Status(); s.GivenUp != 0 || s.State != "online" {
		t.Errorf("the device: %+v", s)
	}
	disk.SetFault(nil)
	eventually(t, 10*time.Second, "the disk is well", func() bool { return len(w.broker.Status().Alarms) == 0 })
}

// On a full disk the broker keeps nothing of what devices publish. Live subscribers see their statuses and readings.
func TestReadingsFlowOnAFullDisk(t *testing.T) {
	disk := journaltest.New()
	disk.SetLimit(1)
	w, y := newWhole(t, broker.Options{FS: disk}), newTTY(t)
	b, stop := w.carry(onTTY("dev", y), nil)
	open(t, b)
	const all = 200
	for i := range all {
		y.send(fmt.Sprintf("{\"n\":%d}\n", i))
		// What was let in just before the disk was full is not acknowledged, and so once the window is waited for.
		eventually(t, 15*time.Second, "the next reading is there", func() bool { return len(w.on("edged/gw/dev/dev/data")) == i+1 })
	}
	if s := w.state("dev"); s != "online" || w.broker.Status().Alarms["E601"] == "" || w.broker.Status().Limits["unkept"] == 0 {
		t.Errorf("status %q, %+v", s, w.broker.Status())
	}
	stop()
	eventually(t, 5*time.Second, "it is offline", func() bool { return w.state("dev") == "offline" })
	disk.SetLimit(0)
	eventually(t, 10*time.Second, "the disk is well", func() bool { return len(w.broker.Status().Alarms) == 0 })
}
