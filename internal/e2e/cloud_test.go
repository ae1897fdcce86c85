// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"sync"
	"testing"
	"time"
)

func TestCloudOutageLosesNothing(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	y := newTTY(t)
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port) + jsonDevice("s", y)}.start(t)
	opened(t, e, 1)
	far := subscribe(t, cloud.port, "far", "#", "-c") // a session that survives the cloud's restart; it connects again by itself
	const lines = 1500
	var writing sync.WaitGroup
	writing.Go(func() { y.write(t, 0, lines, 20*time.Millisecond) })
	pause(5 * time.Second)
	cloud.stop(t)
	pause(15 * time.Second)
	cloud.start(t)
	writing.Wait()
	const topic = "edged/gw/dev/s/data"
	eventually(t, 30*time.Second, "everything is in the cloud", func() bool {
		all := far.on(topic)
		return len(all) > 0 && *data(t, all[len(all)-1]).N == lines-1
	})
	repeats := onceInOrder(t, far.on(topic), lines)
	t.Logf("%d repeats", repeats)
	if repeats > 100 {
		t.Errorf("%d repeats, but only 100 can be in flight", repeats)
	}
}

// onceInOrder checks that n counts up without a gap; what repeats must be a run that was sent before. It returns how
// many repeat.
func onceInOrder(t *testing.T, got []message, count int) (repeats int) {
	t.Helper()
	next := 0
	for _, m := range got {
		d := data(t, m)
		switch {
		case d.N == nil || *d.N > next:
			t.Fatalf("%s came where %d was due", m.payload, next)
		case *d.N == next:
			next++
		default:
			repeats++
		}
	}
	if next != count {
		t.Fatalf("%d of %d came", next, count)
	}
	return repeats
}
