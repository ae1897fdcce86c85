// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"edged/internal/built"
	"edged/mqtt"
)

// topic is what the traffic is published on.
const topic = "plant/p"

func connect(t *testing.T, port int, cfg mqtt.Config) (*mqtt.Client, error) {
	nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	cfg.Version, cfg.KeepAlive = 4, 30*time.Second
	if cfg.ResponseTimeout == 0 {
		cfg.ResponseTimeout = 20 * time.Second
	}
	c, _, err := mqtt.Connect(ctx, nc, mqtt.NewSession(), cfg)
	return c, err
}

// gateway is a running edged whose cloud is a cluster.
type gateway struct {
	*process
	state string
	port  int
}

func newGateway(t *testing.T, c *cluster) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{state: filepath.Join(dir, "state"), port: ports(t, 1)[0]}
	config := filepath.Join(dir, "edged.toml")
	text := fmt.Sprintf("[broker]\nlisten = [\"127.0.0.1:%d\"]\n[gateway]\nid = \"gw\"\n[uplink]\nurl = %s\nsend = [\"plant/#\"]\ninflight = 20\n", g.port, c.urls())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.process = start(t, exec.Command(built.Path("edged"), "run", "--config", config, "--state", g.state))
	eventually(t, 30*time.Second, "the gateway is linked", func() bool { return g.server(t) != "" })
	return g
}

// server returns the address of the server that serves the gateway; "": none does.
func (g *gateway) server(t *testing.T) string {
	t.Helper()
	out, _ := exec.Command(built.Path("edged"), "status", "--json", "--state", g.state).Output() // exit 1 says only that there is a problem
	var s struct {
		Cloud struct{ State, Server string }
	}
	if json.Unmarshal(out, &s) != nil || s.Cloud.State != "up" {
		return ""
	}
	return s.Cloud.Server
}

// consumer is a persistent session in the cluster, keyed on the number that each message carries: what comes twice counts once.
// It goes to the next server when the one that it is at ends.
type consumer struct {
	mu      sync.Mutex
	times   map[int]int // how often each number came
	newest  int
	back    int // numbers that came first after a greater one
	repeats int
}

func consume(t *testing.T, c *cluster) *consumer {
	t.Helper()
	x := &consumer{times: map[int]int{}, newest: -1}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	ready := make(chan struct{})
	work.Go(func() {
		var once sync.Once
		for i := 2; ctx.Err() == nil; i++ {
			x.session(ctx, t, c.mqtt[i%len(c.mqtt)], func() { once.Do(func() { close(ready) }) })
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { stop(); work.Wait() })
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatal("the consumer has no subscription after a minute")
	}
	return x
}

func (x *consumer) session(ctx context.Context, t *testing.T, port int, subscribed func()) {
	c, err := connect(t, port, mqtt.Config{ClientID: "consumer", OnMessage: x.take})
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }() // the session stays at the cluster
	if _, err := c.Subscribe(ctx, 0, mqtt.Subscription{Filter: topic, QoS: 1}); err != nil {
		return
	}
	subscribed()
	select {
	case <-c.Done():
	case <-ctx.Done():
	}
}

func (x *consumer) take(d *mqtt.Delivery) {
	n, err := strconv.Atoi(string(d.Payload))
	if err != nil {
		panic(fmt.Sprintf("%q came", d.Payload))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.times[n]++
	switch {
	case x.times[n] > 1:
		x.repeats++
	case n < x.newest:
		x.back++
	}
	x.newest = max(x.newest, n)
}

func (x *consumer) missing(acked []int) (lost int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range acked {
		if x.times[n] == 0 {
			lost++
		}
	}
	return lost
}

func (x *consumer) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.times)
}

// traffic publishes 0, 1, 2, … on the gateway's broker, a hundred a second, and returns what was acknowledged when it is
// stopped.
func traffic(t *testing.T, g *gateway) (stop func() (acked []int)) {
	t.Helper()
	c, err := connect(t, g.port, mqtt.Config{ClientID: "traffic", Clean: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	type sent struct {
		n int
		p *mqtt.Pending
	}
	var all []sent
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			p, err := c.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte(strconv.Itoa(n)), QoS: 1})
			if err != nil {
				return
			}
			all = append(all, sent{n, p})
			<-tick.C
		}
	})
	return func() (acked []int) {
		cancel()
		work.Wait()
		for _, s := range all {
			select {
			case <-s.p.Done():
				if s.p.Err() == nil {
					acked = append(acked, s.n)
				}
			case <-time.After(10 * time.Second):
			}
		}
		_ = c.Close()
		return acked
	}
}

// nodeKilled kills the server that serves the gateway, under traffic, again and again: nothing that the gateway acknowledged
// is lost to a consumer keyed on numbers.
func nodeKilled(t *testing.T, c *cluster, times int, kill func(i int)) {
	t.Helper()
	x := consume(t, c)
	g := newGateway(t, c)
	stop := traffic(t, g)
	for range times {
		had := x.count()
		eventually(t, time.Minute, "messages arrive", func() bool { return x.count() > had+100 })
		var server string
		eventually(t, time.Minute, "the gateway is linked", func() bool { server = g.server(t); return server != "" })
		kill(c.serving(t, server))
		began := time.Now()
		eventually(t, time.Minute, "the gateway is linked again", func() bool { return g.server(t) != "" })
		t.Logf("killed %s; linked again with %s %v after it was back", server, g.server(t), time.Since(began).Round(time.Millisecond))
	}
	acked := stop()
	for end := time.Now().Add(2 * time.Minute); x.missing(acked) > 0 && time.Now().Before(end); {
		pause(200 * time.Millisecond)
	}
	lost := x.missing(acked)
	x.mu.Lock()
	defer x.mu.Unlock()
	t.Logf("%d kills of the server in use: acknowledged %d, lost %d, repeated %d, first arrivals out of order %d", times, len(acked), lost, x.repeats, x.back)
	if lost > 0 || len(acked) < 100 {
		t.Errorf("%d of %d acknowledged messages are lost", lost, len(acked))
	}
}
