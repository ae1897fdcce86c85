// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// repaired checks what is promised after every poor network: data flows within a minute, and nothing is lost.
func repaired(t *testing.T, n *counter, f *traffic, repeats int) {
	t.Helper()
	t.Logf("data flows %v after the repair", n.flows(t, time.Minute).Round(time.Millisecond))
	pause(time.Second)
	n.verdict(t, f, 2*time.Minute, repeats)
}

func TestRandomLoss(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	had, began := n.arrived(), time.Now()
	r.fault(t, "numgen random mod 100 < 20 drop")
	pause(either(12*time.Second, 2*time.Minute))
	t.Logf("a fifth of all packets lost: %d messages came in %v, the link went down %d times", n.arrived()-had, time.Since(began).Round(time.Second), g.count(began, "cloud down"))
	r.heal(t)
	repaired(t, n, f, (g.count(began, "cloud down")+1)*inflight)
}

// A link that is slow is not taken for a dead one.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	had, began := n.arrived(), time.Now()
	r.slow(t, 64)
	pause(either(12*time.Second, 2*time.Minute))
	came := n.arrived() - had
	t.Logf("64 kbit/s: %d messages came in %v, the link went down %d times", came, time.Since(began).Round(time.Second), g.count(began, "cloud down"))
	if least := int(time.Since(began).Seconds()) * 64_000 / 8 / 2 / size; came < least {
		t.Errorf("%d messages came, less than half of what the link carries (%d)", came, least)
	}
	if !g.heard(began, "cloud down").IsZero() {
		t.Error("a slow link was taken for a dead one")
	}
	r.full(t)
	repaired(t, n, f, 0)
}

// A path that swallows large packets, and the messages that would say so. The session is accepted again and again: the
// status says all the time what is wrong.
func TestMTUBlackHole(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	began := time.Now()
	r.fault(t, "meta length > 600 drop")
	eventually(t, time.Minute, "the status names the path", func() bool { return g.link(t).Code == "E316" })
	t.Logf("named after %v", time.Since(began).Round(time.Millisecond))
	for end := time.Now().Add(either(8*time.Second, time.Minute)); time.Now().Before(end); pause(500 * time.Millisecond) {
		if l := g.link(t); l.Code != "E316" {
			t.Errorf("the status is %q %q %q in between", l.State, l.Code, l.Text)
		}
	}
	downs := g.count(began, "cloud down")
	t.Logf("packets above 600 bytes swallowed: the link went down %d times", downs)
	r.heal(t)
	repaired(t, n, f, (downs+1)*inflight)
	eventually(t, 30*time.Second, "the suspicion is taken back", func() bool { return g.link(t).Code == "" })
}

// A network that wants a login answers everything itself, in HTTP.
func TestCaptivePortal(t *testing.T) {
	t.Parallel()
	r, g, _, n, f := stage(t, plain(""))
	portal(t, r)
	r.nft(t, "add rule ip nat captive iifname in0 tcp dport 1883 redirect to :8080")
	began := time.Now()
	r.forget(t)
	seen(t, g, began, underTraffic)
	g.named(t, 30*time.Second, "down", "captive portal")
	r.heal(t)
	repaired(t, n, f, inflight)
}

// portal is a web server at the NAT that sends everybody to its page.
func portal(t *testing.T, r *road) {
	t.Helper()
	l := r.nat.listen(t, "0.0.0.0:8080")
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { turnAway(nc) })
		}
	})
	t.Cleanup(func() { closed(t, l.Close()); serving.Wait() })
}

func turnAway(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	if nc.SetDeadline(time.Now().Add(10*time.Second)) != nil {
		return
	}
	if _, err := nc.Read(make([]byte, 4096)); err == nil {
		fmt.Fprint(nc, "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}
}
