// SPDX-License-Identifier: Apache-2.0

package path

import (
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// crashes lets the gateway die so many times under traffic, with the cloud linked or not.
func crashes(t *testing.T, r *road, g *gateway, n *counter, times int, outage bool, die func()) {
	t.Helper()
	f := flow(t, g)
	n.flows(t, 20*time.Second)
	began := time.Now()
	if outage {
		r.unplug(t)
		pause(2 * time.Second)
	}
	for range times {
		f.more(t)
		pause(rand.N(time.Second))
		die()
		g.start(t)
		f.more(t)
		if !outage {
			n.flows(t, 20*time.Second)
		}
	}
	if outage {
		pause(either(0, 15*time.Second-time.Since(began)))
		r.plug(t)
		n.flows(t, 60*time.Second)
	}
	pause(time.Second)
	// What comes twice was on its way, or its acknowledgement was on its way to the disk: with no more traffic unacknowledged
	// than its window, a commit holds no more than that. In an outage nothing is sent after the first death.
	repeats := times * (inflight + window)
	if outage {
		repeats = inflight
	}
	n.verdict(t, f, 60*time.Second, repeats)
}

func TestKill(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		more   string // of [uplink]
		times  int
		outage bool
	}{
		{"online", "", either(2, 12), false},
		{"in an outage", "", either(2, 12), true},
		{"online, MQTT 5", "version = \"5\"\n", either(1, 12), false},
		{"in an outage, MQTT 5", "version = \"5\"\n", either(1, 12), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRoad(t)
			n := watch(t, newCloud(t, r, ""))
			g := newGateway(t, r, plain(c.more))
			crashes(t, r, g, n, c.times, c.outage, func() { g.kill() })
		})
	}
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, fs := range []string{"ext4", "xfs"} {
		for name, outage := range map[string]bool{"online": false, "in an outage": true} {
			t.Run(fs+" "+name, func(t *testing.T) {
				t.Parallel()
				r := newRoad(t)
				n := watch(t, newCloud(t, r, ""))
				g := &gateway{at: r.gateway, dir: t.TempDir(), bin: program(), port: 1883}
				g.state = filepath.Join(g.dir, "state")
				v := newVolume(t, fs, 320, g.state)
				g.launch(t, plain(""))
				crashes(t, r, g, n, either(2, 12), outage, func() {
					// The kernel may let an fdatasync succeed that the shutdown has overtaken, which no power cut does. So what is
					// under way is let to end first.
					g.signal(syscall.SIGSTOP)
					pause(100 * time.Millisecond)
					v.cut(t)
					g.kill()
					v.detach(t)
					v.attach(t)
				})
			})
		}
	}
}
