// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The cloud forgets all that it had kept for the gateway, while what was in flight is unacknowledged.
func TestCloudLosesSession(t *testing.T) {
	t.Parallel()
	r, g, c, n, f := stage(t, plain(""))
	for range either(2, 10) {
		began := time.Now()
		r.blackHole(t)
		pause(2 * time.Second)
		eventually(t, 20*time.Second, "the impostor connects", c.impostor) // also ends the gateway's session, behind the black hole
		r.heal(t)
		seen(t, g, began, underTraffic)
		n.flows(t, 20*time.Second)
		if g.link(t).SessionPresent {
			t.Error("the cloud's session was not lost: this shows nothing")
		}
		pause(time.Second)
	}
	n.verdict(t, f, 60*time.Second, either(2, 10)*inflight)
	c.say(t, "edged/gw/dev/x/set", `{"a":1}`) // the subscription was lost too
	here := listen(t, g, "edged/gw/dev/+/set")
	eventually(t, 10*time.Second, "a command comes in", func() bool {
		c.say(t, "edged/gw/dev/x/set", `{"a":1}`)
		return here.other("edged/gw/dev/x/set") == `{"a":1}`
	})
}

// A cloud that hangs keeps its connections open, and its kernel goes on taking what fits.
func TestCloudFrozen(t *testing.T) {
	t.Parallel()
	_, g, c, n, f := stage(t, plain(""))
	began := time.Now()
	c.signal(syscall.SIGSTOP)
	seen(t, g, began, underTraffic)
	pause(either(15*time.Second, 40*time.Second) - time.Since(began))
	c.signal(syscall.SIGCONT)
	flowsAfter(t, n, began)
	pause(time.Second)
	n.verdict(t, f, 60*time.Second, inflight)
}

// script is a server in the cloud that answers each CONNECT with the same bytes and then nothing.
type script struct {
	mu    sync.Mutex
	tries []time.Time
}

func (s *script) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// answering starts a script on a port.
func answering(t *testing.T, at *host, port int, answer string, hangUp bool) *script {
	t.Helper()
	s := &script{}
	l := at.listen(t, fmt.Sprint("0.0.0.0:", port))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(nc, answer, hangUp) })
			t.Cleanup(func() { closed(t, nc.Close()) })
		}
	})
	t.Cleanup(func() { closed(t, l.Close()); serving.Wait() })
	return s
}

func (s *script) serve(nc net.Conn, answer string, hangUp bool) {
	buf := make([]byte, 4096)
	for asked := false; ; {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		if !asked && n > 0 && buf[0] == 0x10 {
			asked = true
			s.mu.Lock()
			s.tries = append(s.tries, time.Now())
			s.mu.Unlock()
			if _, err := nc.Write([]byte(answer)); err != nil || hangUp && nc.Close() == nil {
				return
			}
		}
	}
}

// A server that accepts and then says nothing is as dead as one that is not there.
func TestFrozenAfterConnack(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	s := answering(t, r.cloud, 1883, "\x20\x02\x00\x00", false)
	g := newGateway(t, r, plain(""))
	f := flow(t, g)
	eventually(t, 10*time.Second, "the gateway connects", func() bool { return len(s.times()) > 0 })
	seen(t, g, s.times()[0], underTraffic)
	g.named(t, 20*time.Second, "down", "nothing was acknowledged")
	eventually(t, 30*time.Second, "it tries again", func() bool { return len(s.times()) > 1 })
	f.stop()
}

// Each refusal has its code, and is tried again when that can be of use.
func TestConnackRefusals(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	for _, c := range []struct {
		code  byte
		state string
		named string
		slow  bool
	}{{1, "refused", "E310", true}, {2, "refused", "E314", true}, {3, "down", "E315", false}, {4, "refused", "E311", true}, {5, "refused", "E312", true}} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			t.Parallel()
			port := 2000 + int(c.code)
			s := answering(t, r.cloud, port, "\x20\x02\x00"+string(rune(c.code)), true)
			g := &gateway{at: r.gateway, dir: t.TempDir(), bin: program(), port: 3000 + int(c.code)}
			g.state = filepath.Join(g.dir, "state")
			g.launch(t, fmt.Sprintf("[gateway]\nid = \"gw\"\n[uplink]\nurl = \"mqtt://%s:%d\"\nusername = \"u\"\n", cloudIP, port))
			g.named(t, 10*time.Second, c.state, c.named)
			if !c.slow {
				eventually(t, 20*time.Second, "it is tried again soon", func() bool { return len(s.times()) > 2 })
				return
			}
			pause(either(5*time.Second, 58*time.Second))
			if n := len(s.times()); n != 1 {
				t.Errorf("%d tries although the server does not want us", n)
			}
			if full() {
				eventually(t, 35*time.Second, "it is tried again", func() bool { return len(s.times()) > 1 })
			}
		})
	}
}

// Another client with our id takes the session over again and again: that is named, met with patience, and costs nothing.
func TestTakenOverEachSecond(t *testing.T) {
	t.Parallel()
	_, g, c, n, f := stage(t, plain(""))
	began := time.Now()
	for time.Since(began) < either(25*time.Second, 60*time.Second) {
		c.impostor()
		pause(time.Second)
	}
	lost := g.count(began, "cloud down")
	t.Logf("taken over for %v: the link went down %d times", time.Since(began).Round(time.Second), lost)
	if g.heard(began, "E313").IsZero() {
		t.Error("nobody was told that another client uses our id (E313)")
	}
	n.flows(t, 60*time.Second)
	eventually(t, 30*time.Second, "the warning is taken back", func() bool { l := g.link(t); return l.State == "up" && l.Code == "" })
	n.verdict(t, f, 60*time.Second, (lost+1)*inflight)
}
