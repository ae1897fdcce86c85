// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/mqtt"
)

// publisher is an outside client that publishes 0, 1, 2, … and notes what the gateway acknowledged, across
// kills of the gateway: what is not acknowledged it sends again, in order.
type publisher struct {
	port  int
	topic string
	qos   byte // 0: 1

	mu    sync.Mutex
	acked []bool
}

// run publishes until ctx ends.
func (p *publisher) run(ctx context.Context) {
	session := mqtt.NewSession()
	for ctx.Err() == nil {
		p.connect(ctx, session)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *publisher) connect(ctx context.Context, session *mqtt.Session) {
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		return
	}
	c, _, err := mqtt.Connect(ctx, nc, session, mqtt.Config{
		ClientID: strings.ReplaceAll(p.topic, "/", "-"), Version: 4, KeepAlive: 10 * time.Second, Window: 20,
	})
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	for {
		p.mu.Lock()
		n := len(p.acked)
		p.mu.Unlock()
		pending, err := c.Publish(ctx, mqtt.Message{Topic: p.topic, Payload: []byte(strconv.Itoa(n)), QoS: max(p.qos, 1)})
		if pending != nil {
			p.mu.Lock()
			p.acked = append(p.acked, false)
			p.mu.Unlock()
			go p.note(ctx, pending, n)
		}
		if err != nil {
			return
		}
		pause(2 * time.Millisecond)
	}
}

func (p *publisher) note(ctx context.Context, pending *mqtt.Pending, n int) {
	select {
	case <-pending.Done():
		if pending.Err() == nil {
			p.mu.Lock()
			p.acked[n] = true
			p.mu.Unlock()
		}
	case <-ctx.Done():
	}
}

// acknowledged returns the numbers that the gateway took over.
func (p *publisher) acknowledged() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []int
	for n, ok := range p.acked {
		if ok {
			all = append(all, n)
		}
	}
	return all
}

func (p *publisher) waitMore(t *testing.T) {
	t.Helper()
	had := len(p.acknowledged())
	eventually(t, 10*time.Second, "the publisher is acknowledged again", func() bool { return len(p.acknowledged()) > had })
}

func TestKillWithCloudUpLosesNothing(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	far := subscribe(t, cloud.port, "far", "#", "-c")
	killUnderTraffic(t, cloud, far, func() {})
}

func TestKillWithCloudDownLosesNothing(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	far := subscribe(t, cloud.port, "far", "#", "-c")
	cloud.stop(t)
	killUnderTraffic(t, cloud, far, func() { cloud.start(t) })
}

// killUnderTraffic kills the gateway ten times at random moments while outside publishers and a sensor are at work.
func killUnderTraffic(t *testing.T, cloud *mosquitto, far *subscriber, mend func()) {
	t.Helper()
	y := newTTY(t)
	config := "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port) + jsonDevice("s", y)
	config = strings.Replace(config, "[uplink]\n", "[uplink]\nsend = [\"edged/gw/#\", \"plant/#\"]\n", 1)
	e := gateway{config: config}.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	publishers := make([]*publisher, 3)
	for i := range publishers {
		publishers[i] = &publisher{port: e.port, topic: fmt.Sprint("plant/p", i)}
		traffic.Go(func() { publishers[i].run(ctx) })
	}
	traffic.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			y.send(t, fmt.Appendf(nil, "{\"n\":%d}\n", n))
			pause(20 * time.Millisecond)
		}
	})
	for range 10 {
		publishers[0].waitMore(t)
		pause(rand.N(600 * time.Millisecond))
		e.kill()
		began := time.Now()
		e = e.again(t, config)
		publishers[1].waitMore(t)
		t.Logf("acknowledges again %v after the restart began", time.Since(began).Round(time.Millisecond))
	}
	pause(rand.N(300 * time.Millisecond))
	cancel()
	traffic.Wait()
	mend()
	for _, p := range publishers {
		want := p.acknowledged()
		missing := func() (all []int) {
			have := map[string]bool{}
			for _, m := range far.on(p.topic) {
				have[m.payload] = true
			}
			for _, n := range want {
				if !have[strconv.Itoa(n)] {
					all = append(all, n)
				}
			}
			return all
		}
		end := time.Now().Add(20 * time.Second)
		for len(missing()) > 0 && time.Now().Before(end) {
			pause(50 * time.Millisecond)
		}
		if lost := missing(); len(lost) > 0 {
			t.Errorf("%s: %d of %d acknowledged messages are not in the cloud: %v", p.topic, len(lost), len(want), lost)
		}
		t.Logf("%s: %d acknowledged, %d deliveries", p.topic, len(want), len(far.on(p.topic)))
		forward(t, p.topic, far.on(p.topic))
	}
	seqOnce(t, far.on("edged/gw/dev/s/data"))
}

// forward checks that numbers come in order, but for repeats of what was in flight at a kill.
func forward(t *testing.T, topic string, got []message) {
	t.Helper()
	newest := -1
	for _, m := range got {
		n, err := strconv.Atoi(m.payload)
		if err != nil {
			t.Fatal(err)
		}
		if n > newest+1 {
			t.Errorf("%s: %d came right after %d", topic, n, newest)
		}
		newest = max(newest, n)
	}
}

// seqOnce checks that no two readings bear the same seq.
func seqOnce(t *testing.T, got []message) {
	t.Helper()
	by := map[uint64]string{}
	for _, m := range got {
		d := data(t, m)
		if was, ok := by[d.Seq]; ok && was != m.payload {
			t.Errorf("seq %d is borne by %s and by %s", d.Seq, was, m.payload)
		}
		by[d.Seq] = m.payload
	}
	if len(by) == 0 {
		t.Error("no reading of the sensor is in the cloud")
	}
}
