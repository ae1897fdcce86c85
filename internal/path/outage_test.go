// SPDX-License-Identifier: Apache-2.0

package path

import (
	"testing"
	"time"
)

// stage is a road with a gateway, a cloud that counts, and traffic that has reached it.
func stage(t *testing.T, config string) (*road, *gateway, *cloud, *counter, *traffic) {
	t.Helper()
	r := newRoad(t)
	c := newCloud(t, r, "")
	n := watch(t, c)
	g := newGateway(t, r, config)
	f := flow(t, g)
	n.flows(t, 20*time.Second)
	pause(2 * time.Second)
	return r, g, c, n, f
}

// soon is how long after the repair of an outage data must flow again.
func soon(outage time.Duration) time.Duration {
	if outage <= 20*time.Second {
		return 5 * time.Second
	}
	return outage/4 + 5*time.Second
}

// flowsAfter checks that data flows in time after an outage that was repaired right now.
func flowsAfter(t *testing.T, n *counter, began time.Time) {
	t.Helper()
	outage := time.Since(began)
	took := n.flows(t, 2*time.Minute)
	t.Logf("an outage of %v; data flows %v after its repair", outage.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > soon(outage)+grace() {
		t.Errorf("data flows %v after the repair, promised are %v", took, soon(outage))
	}
}

func TestCloudStopped(t *testing.T) {
	t.Parallel()
	_, _, c, n, f := stage(t, plain(""))
	c.stop(t)
	began := time.Now()
	pause(15 * time.Second)
	c.start(t)
	flowsAfter(t, n, began)
	pause(time.Second)
	n.verdict(t, f, 30*time.Second, inflight) // mosquitto leaves without sending all that it has written for us
}

// A gateway that is stopped in order lets arrive what is on its way, so that nothing comes twice.
func TestGatewayStoppedInOrder(t *testing.T) {
	t.Parallel()
	_, g, _, n, f := stage(t, plain(""))
	for range 3 {
		g.stop(t)
		g.start(t)
		n.flows(t, 10*time.Second)
		pause(time.Second)
	}
	n.verdict(t, f, 30*time.Second, 0)
}

func TestLinkDown(t *testing.T) {
	t.Parallel()
	r, _, _, n, f := stage(t, plain(""))
	r.unplug(t)
	began := time.Now()
	pause(either(10*time.Second, 20*time.Second))
	r.plug(t)
	flowsAfter(t, n, began)
	pause(time.Second)
	n.verdict(t, f, 30*time.Second, inflight)
}

func TestSixShortFlaps(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	for range 6 {
		r.unplug(t)
		pause(time.Second)
		r.plug(t)
		pause(2 * time.Second)
	}
	n.flows(t, 15*time.Second)
	n.verdict(t, f, 30*time.Second, 6*inflight)
	if l := g.link(t); l.Reconnects > 6 {
		t.Errorf("%d reconnects in six flaps of a second", l.Reconnects)
	}
}
