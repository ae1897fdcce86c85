// SPDX-License-Identifier: Apache-2.0

package path

import (
	"testing"
	"time"
)

// seen checks that the gateway noticed a fault of the link in time.
func seen(t *testing.T, g *gateway, began time.Time, within time.Duration) {
	t.Helper()
	eventually(t, within+10*time.Second, "the gateway sees that the link is dead", func() bool { return !g.heard(began, "cloud down").IsZero() })
	took := g.heard(began, "cloud down").Sub(began)
	t.Logf("seen after %v", took.Round(time.Millisecond))
	if took > within+grace() {
		t.Errorf("a dead link was seen after %v, promised are %v", took, within)
	}
}

const underTraffic = 8 * time.Second // within which a dead link is seen

func TestBlackHole(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	began := time.Now()
	r.blackHole(t)
	seen(t, g, began, underTraffic)
	pause(either(15*time.Second, 30*time.Second) - time.Since(began))
	r.heal(t)
	flowsAfter(t, n, began)
	pause(time.Second)
	n.verdict(t, f, 60*time.Second, inflight)
}

// Where only the way back is broken, each try that gets anything through repeats the window.
func TestAcknowledgementsDropped(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	began := time.Now()
	r.fault(t, `iifname "out0" drop`)
	seen(t, g, began, underTraffic)
	pause(either(15*time.Second, 30*time.Second) - time.Since(began))
	r.heal(t)
	flowsAfter(t, n, began)
	pause(time.Second)
	n.verdict(t, f, 60*time.Second, inflight)
}

func TestNATForgetsUnderTraffic(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	for range either(1, 3) {
		began := time.Now()
		r.forget(t)
		seen(t, g, began, underTraffic)
		n.flows(t, 10*time.Second)
		pause(2 * time.Second)
	}
	n.verdict(t, f, 60*time.Second, either(1, 3)*inflight)
}

// A command that waits in the cloud behind a mapping that is gone waits no longer than it takes to see that.
func TestNATForgetsIdle(t *testing.T) {
	t.Parallel()
	keepAlive := either(12*time.Second, 60*time.Second)
	promised := keepAlive + 5*time.Second
	r := newRoad(t)
	c := newCloud(t, r, "")
	g := newGateway(t, r, plain("keepalive = \""+keepAlive.String()+"\"\nreceive = [\"edged/gw/dev/+/set\"]\n"))
	g.linked(t, 20*time.Second)
	here := listen(t, g, "edged/gw/dev/+/set")
	c.say(t, "edged/gw/dev/x/set", `{"first":1}`)
	eventually(t, 10*time.Second, "a command comes in", func() bool { return here.other("edged/gw/dev/x/set") == `{"first":1}` })
	pause(time.Second)
	began := time.Now()
	r.forget(t)
	c.say(t, "edged/gw/dev/x/set", `{"second":1}`)
	seen(t, g, began, promised)
	eventually(t, keepAlive, "the command that waited comes in", func() bool { return here.other("edged/gw/dev/x/set") == `{"second":1}` })
	took := time.Since(began)
	t.Logf("the command waited %v", took.Round(time.Millisecond))
	if took > promised+grace() {
		t.Errorf("the command waited %v, promised are %v", took, promised)
	}
}
