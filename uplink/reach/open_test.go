// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink/reach"
)

// network is where TCP leads in a test: addresses answer after a while, refuse at once, or swallow everything.
type network struct {
	answers map[string]time.Duration // by address
	refuses map[string]bool

	mu      sync.Mutex
	dialled []string
}

func (n *network) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, to.String())
	n.mu.Unlock()
	a := to.Addr().String()
	if n.refuses[a] {
		return nil, syscall.ECONNREFUSED
	}
	after, ok := n.answers[a]
	if !ok {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(after):
		ours, _ := net.Pipe()
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// took returns what was dialled since the last call.
func (n *network) took() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.dialled
	n.dialled = nil
	return got
}

func names(addrs ...string) func(context.Context, string, string) ([]netip.Addr, error) {
	return func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		var found []netip.Addr
		for _, s := range addrs {
			if a := netip.MustParseAddr(s); a.Is4() == (network == "ip4") {
				found = append(found, a)
			}
		}
		return found, nil
	}
}

func target(t *testing.T, s string) reach.Target {
	t.Helper()
	got, err := reach.ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const (
	four, five = "192.0.2.4", "192.0.2.5"
	six        = "2001:db8::6"
)

func TestAddressesSideBySide(t *testing.T) {
	for _, c := range []struct {
		name    string
		net     *network
		addrs   []string
		took    time.Duration // the first time
		again   time.Duration
		address string // that wins
		code    string // "": one wins
	}{
		{"both answer", &network{answers: map[string]time.Duration{four: 40 * time.Millisecond, six: 50 * time.Millisecond}}, []string{four, six}, 50 * time.Millisecond, 50 * time.Millisecond, six, ""},
		{"IPv6 is a black hole", &network{answers: map[string]time.Duration{four: 40 * time.Millisecond}}, []string{four, six}, 290 * time.Millisecond, 40 * time.Millisecond, four, ""},
		{"IPv6 is refused", &network{answers: map[string]time.Duration{four: 40 * time.Millisecond}, refuses: map[string]bool{six: true}}, []string{four, six}, 40 * time.Millisecond, 40 * time.Millisecond, four, ""},
		{"the first of two is a black hole", &network{answers: map[string]time.Duration{five: 40 * time.Millisecond}}, []string{four, five}, 290 * time.Millisecond, 40 * time.Millisecond, five, ""},
		{"the first is slow", &network{answers: map[string]time.Duration{six: 400 * time.Millisecond, four: 300 * time.Millisecond}}, []string{four, six}, 400 * time.Millisecond, 400 * time.Millisecond, six, ""},
		{"all are black holes", &network{}, []string{four, five, six}, 5 * time.Second, 5 * time.Second, "", "E307"},
		{"all refuse", &network{refuses: map[string]bool{four: true, six: true}}, []string{four, six}, 0, 0, "", "E307"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := reach.New(reach.Config{}, reach.Deps{Dial: c.net.dial, Resolve: names(c.addrs...)})
				for i, want := range []time.Duration{c.took, c.again} {
					began := time.Now()
					var tcp reach.Step
					conn, err := d.Open(t.Context(), target(t, "mqtt://cloud.test"), func(s reach.Step) { tcp = s })
					var f *reach.Failure
					if errors.As(err, &f) != (c.code != "") || f != nil && f.Code != c.code || time.Since(began) != want {
						t.Errorf("try %d: %v after %v, want %q after %v", i, err, time.Since(began), c.code, want)
					}
					if conn != nil {
						conn.Worked()
						conn.Close()
						if tcp.Name != "tcp" || tcp.Took != want || tcp.Text != netip.AddrPortFrom(netip.MustParseAddr(c.address), 1883).String() {
							t.Errorf("try %d: step %+v, want %s", i, tcp, c.address)
						}
					}
				}
			})
		})
	}
}

func TestSRV(t *testing.T) {
	t.Parallel()
	n := newNameServer(t)
	n.set(func() {
		n.addrs = map[string][]string{"a.cloud.test": {four, six}, "b.cloud.test": {five}}
		n.srv["_mqtt._tcp.cloud.test"] = []srv{{20, 0, 2001, "b.cloud.test"}, {10, 0, 2000, "a.cloud.test"}}
		n.srv["_mqtt._tcp.none.test"] = []srv{{0, 0, 0, ""}}
	})
	all := map[string]time.Duration{four: 0, five: 0, six: 0}
	net := &network{answers: all, refuses: map[string]bool{}}
	deps := n.deps()
	deps.Dial = net.dial
	d := reach.New(reach.Config{}, deps)
	open := func(url string) (step string, err error) {
		t.Helper()
		c, err := d.Open(t.Context(), target(t, url), func(s reach.Step) {
			if s.Name == "resolve" {
				step = s.Text
			}
		})
		if err == nil {
			c.Worked()
			c.Close()
		}
		return step, err
	}
	step, err := open("mqtt+srv://cloud.test")
	if want := "a.cloud.test: 2001:db8::6, 192.0.2.4; b.cloud.test: 192.0.2.5"; err != nil || step != want {
		t.Errorf("resolved %q, %v, want %q", step, err, want)
	}
	if got := net.took(); !slices.Equal(got, []string{"[2001:db8::6]:2000"}) {
		t.Errorf("dialled %q, want the host of the lower priority number", got)
	}
	net.refuses[four], net.refuses[six] = true, true
	if _, err := open("mqtt+srv://cloud.test"); err != nil {
		t.Error(err)
	}
	if got := net.took(); len(got) != 3 || got[2] != "192.0.2.5:2001" {
		t.Errorf("dialled %q, want the other host when the first refuses", got)
	}
	for name, set := range map[string]func(){"SERVFAIL": func() { n.broken = true }, "silence": func() { n.broken, n.silent = false, true }} {
		n.set(set)
		if _, err := open("mqtt+srv://cloud.test"); err != nil {
			t.Errorf("%s: %v, want the records and addresses that were known", name, err)
		}
	}
	n.set(func() { n.silent, n.broken = false, false })
	for url, want := range map[string]string{
		"mqtt+srv://none.test": "has no such broker", "mqtts+srv://cloud.test": "_secure-mqtt._tcp.cloud.test", "mqtt://absent.test": "knows no address",
	} {
		var f *reach.Failure
		if _, err := open(url); !errors.As(err, &f) || f.Code != "E306" || !strings.Contains(f.Text, want) {
			t.Errorf("%s: %v, want E306 with %q", url, err, want)
		}
	}
}

// Weights are the resolver's own; that both hosts of one priority are used shows that its order is kept.
func TestSRVWeights(t *testing.T) {
	t.Parallel()
	n := newNameServer(t)
	n.set(func() {
		n.addrs = map[string][]string{"a.cloud.test": {four}, "b.cloud.test": {five}}
		n.srv["_mqtt._tcp.cloud.test"] = []srv{{10, 90, 2000, "a.cloud.test"}, {10, 10, 2000, "b.cloud.test"}}
	})
	net := &network{answers: map[string]time.Duration{four: 0, five: 0}}
	deps := n.deps()
	deps.Dial = net.dial
	for range 200 {
		c, err := reach.New(reach.Config{}, deps).Open(t.Context(), target(t, "mqtt+srv://cloud.test"), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	count := map[string]int{}
	for _, s := range net.took() {
		count[s]++
	}
	// Of 200 with probability 0.9 less than 140 come once in 10^16.
	if a, b := count[four+":2000"], count[five+":2000"]; a < 140 || b == 0 {
		t.Errorf("dialled %v, want about 180 and 20", fmt.Sprint(count))
	}
}
