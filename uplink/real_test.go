// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt"
	"edged/uplink"
)

// consumer is a client of the cloud with a persistent session of its own.
type consumer struct {
	address string
	session *mqtt.Session

	mu  sync.Mutex
	got map[string][]string // payloads by topic
	c   *mqtt.Client
}

func newConsumer(t *testing.T, address, filter string) *consumer {
	t.Helper()
	c := &consumer{address: address, session: mqtt.NewSession(), got: map[string][]string{}}
	c.connect(t)
	if _, err := c.c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: filter, QoS: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.c.Close(); <-c.c.Done() })
	return c
}

// connect opens the session, again after the cloud was away.
func (c *consumer) connect(t *testing.T) {
	t.Helper()
	nc, err := net.Dial("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	c.c, _, err = mqtt.Connect(t.Context(), nc, c.session, mqtt.Config{
		ClientID: "consumer", Version: 4, KeepAlive: time.Minute,
		OnMessage: func(d *mqtt.Delivery) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.got[d.Topic] = append(c.got[d.Topic], string(d.Payload))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *consumer) on(topic string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got[topic])
}

// device is a client of the local broker.
func device(t *testing.T, b *broker.Broker, name string, onMessage func(*mqtt.Delivery)) *mqtt.Client {
	t.Helper()
	id := broker.Identity{ClientID: name, Publish: []string{"#"}, Subscribe: []string{"#"}}
	nc, err := b.Dial(id)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := mqtt.Connect(t.Context(), nc, nil, mqtt.Config{ClientID: name, Version: 5, Clean: true, OnMessage: onMessage})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-c.Done() })
	return c
}

// source publishes numbers on a topic until stopped, and says how many were acknowledged by the local broker.
func source(ctx context.Context, c *mqtt.Client, topic string, qos byte) (int, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return n, nil
		}
		p, err := c.Publish(context.WithoutCancel(ctx), mqtt.Message{Topic: topic, Payload: []byte(strconv.Itoa(n)), QoS: qos, Retain: true})
		if err != nil {
			return n, err
		}
		<-p.Done()
		if err := p.Err(); err != nil {
			return n, err
		}
	}
}

// audit wants 0 to n-1 in order; what repeats must follow a gapless run. It returns how many repeat.
func audit(t *testing.T, topic string, got []string, n int) (repeats int) {
	t.Helper()
	next := 0
	for _, s := range got {
		v, err := strconv.Atoi(s)
		switch {
		case err != nil || v > next:
			t.Fatalf("%s: %s came when %d was due", topic, s, next)
		case v == next:
			next++
		default:
			repeats++
		}
	}
	if next != n {
		t.Errorf("%s: %d of %d came", topic, next, n)
	}
	return repeats
}

func TestOutagesLoseNothing(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			outages(t, qos)
		})
	}
}

func outages(t *testing.T, qos byte) {
	cloud := newMosquitto(t)
	r := newRelay(t, cloud.address)
	far := newConsumer(t, cloud.address, "edged/#")
	b := ourBroker(t)
	cfg := config()
	cfg.URLs, cfg.QoS = []string{"mqtt://" + r.l.Addr().String()}, qos
	var changes atomic.Int64
	u, stop := startReal(t, cfg, b, func(d *uplink.Deps) { d.Changed = func() { changes.Add(1) } })

	topics := []string{"edged/gw/dev/a/data", "edged/gw/dev/b/data", "edged/gw/dev/c/data"}
	counts := make([]int, len(topics))
	traffic, end := context.WithCancel(t.Context())
	defer end()
	var sources sync.WaitGroup
	for i, topic := range topics {
		c := device(t, b, fmt.Sprint("dev-", i), nil)
		sources.Go(func() {
			var err error
			if counts[i], err = source(traffic, c, topic, qos); err != nil {
				t.Errorf("publish on the local broker: %v", err)
			}
		})
	}
	arrives := func(what string) {
		t.Helper()
		before := len(far.on(topics[0]))
		eventually(t, 2*soon, what, func() bool { return len(far.on(topics[0])) > before+20 })
	}
	arrives("readings arrive")
	r.cut()
	arrives("readings arrive after a cut")
	r.freeze()
	eventually(t, soon, "the half-open link is found dead", func() bool { return u.Status().State == uplink.Down })
	if s := u.Status(); !strings.Contains(s.Text, "the link is dead") {
		t.Errorf("status %+v", s)
	}
	r.thaw()
	arrives("readings arrive after the link thawed")
	if err := far.c.Disconnect(t.Context()); err != nil { // what repeats is then not the consumer's connection
		t.Error(err)
	}
	cloud.stop(t)
	eventually(t, soon, "the outage is seen", func() bool { return u.Status().State == uplink.Down })
	eventually(t, soon, "a backlog", func() bool {
		s, ok := b.Session(uplink.ClientID)
		return ok && s.Messages > 300
	})
	cloud.start(t)
	far.connect(t)
	arrives("readings arrive after the cloud was away")
	end()
	sources.Wait()
	eventually(t, 2*soon, "all is acknowledged", func() bool {
		s, ok := b.Session(uplink.ClientID)
		return ok && s.Messages == 0
	})
	stop()
	repeats := 0
	for i, topic := range topics {
		eventually(t, soon, "the consumer has all", func() bool { got := far.on(topic); return len(got) > 0 && got[len(got)-1] == fmt.Sprint(counts[i]-1) })
		repeats += audit(t, topic, far.on(topic), counts[i])
	}
	t.Logf("%v sent, %d repeated, %d changes told", counts, repeats, changes.Load())
	if limit := 3 * cfg.Inflight; repeats > limit || qos == 2 && repeats > 0 {
		t.Errorf("%d messages were repeated", repeats)
	}
	if got := far.on("edged/gw/status"); len(got) < 2 || got[len(got)-1] != "offline" || !slices.Contains(got, "online") {
		t.Errorf("statuses in the cloud: %q", got)
	}
}

func TestCommandsFromMosquitto(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	b := ourBroker(t)
	cfg := config()
	cfg.URLs, cfg.Prefix = []string{"mqtt://" + cloud.address}, "plant/"
	orders := make(chan *mqtt.Delivery, 10)
	d := device(t, b, "dev", func(d *mqtt.Delivery) { orders <- d })
	if _, err := d.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "edged/gw/dev/a/set", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	far := newConsumer(t, cloud.address, "#")
	order := func(payload string, retain bool) {
		t.Helper()
		p, err := far.c.Publish(t.Context(), mqtt.Message{Topic: "plant/edged/gw/dev/a/set", Payload: []byte(payload), QoS: 1, Retain: retain})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
	}
	order("retained", true)
	u, stop := startReal(t, cfg, b, nil)
	eventually(t, soon, "the retained command is dropped", func() bool { return u.Status().Retained == 1 })
	order("1", false)
	if got := <-orders; string(got.Payload) != "1" {
		t.Errorf("the device got %q", got.Payload)
	}
	stop()
	order("2", false) // waits in the cloud
	startReal(t, cfg, b, nil)
	if got := <-orders; string(got.Payload) != "2" {
		t.Errorf("the device got %q", got.Payload)
	}
	if got := far.on("plant/edged/gw/dev/a/set"); len(got) != 3 {
		t.Errorf("commands in the cloud: %q, want none to come back", got)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.URLs = []string{"mqtt://" + freePort(t)}
	u, stop := startReal(t, cfg, ourBroker(t), nil)
	eventually(t, soon, "the refused connection is told", func() bool {
		return strings.Contains(u.Status().Text, "connection refused")
	})
	stop()
	if s := u.Status(); s.State != uplink.Off {
		t.Errorf("status after the stop: %+v", s)
	}
}

func TestAnotherClientWithOurID(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	cfg := config()
	cfg.URLs = []string{"mqtt://" + cloud.address}
	u, _ := startReal(t, cfg, ourBroker(t), nil)
	rival := func() *mqtt.Client {
		nc, err := net.Dial("tcp", cloud.address)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := mqtt.Connect(t.Context(), nc, nil, mqtt.Config{ClientID: "gw", Version: 4})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 3 {
		eventually(t, soon, "the uplink has its session", func() bool { return u.Status().State == uplink.Up })
		c := rival()
		eventually(t, soon, "the uplink lost its session", func() bool { return u.Status().State == uplink.Down || u.Status().Code != "" })
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		<-c.Done()
	}
	eventually(t, soon, "E313 is raised", func() bool { return u.Status().Code == "E313" })
}
