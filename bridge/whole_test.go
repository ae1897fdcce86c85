// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/bridge"
	"edged/bridge/port"
	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/devices"
	"edged/mqtt"
)

// whole is devices on pseudo terminals, with the real broker and ports, in real time.
type whole struct {
	t       *testing.T
	broker  *broker.Broker
	ports   *port.System
	gateway *bridge.Gateway
	seq     *bridge.SeqStore

	mu   sync.Mutex
	log  []mqtt.Message
	last map[string]string
}

func newWhole(t *testing.T, opts ...broker.Options) *whole {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	opts = append([]broker.Options{{FS: journaltest.New()}}, opts...) // the last counts
	b, err := broker.Open(broker.Defaults(), "state", quiet, opts...)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := bridge.OpenSeq(t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	w := &whole{t: t, broker: b, ports: port.New("", quiet), seq: seq, last: map[string]string{}}
	w.keep(b.Run)
	w.keep(w.ports.Watch)
	w.gateway = bridge.NewGateway(bridge.GatewayDeps{Gateway: "gw", Dial: w.dial, Log: quiet})
	nc, err := b.Dial(broker.Identity{ClientID: "test", Publish: []string{"#"}, Subscribe: []string{"#"}})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := mqtt.Connect(t.Context(), nc, nil, mqtt.Config{ClientID: "test", Version: 5, Clean: true, OnMessage: w.hear})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "#", QoS: 1, RetainAsPublished: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-c.Done()
	})
	return w
}

// keep runs a part until the end of the test.
func (w *whole) keep(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *whole) dial(clientID string) (net.Conn, error) {
	id := broker.Identity{ClientID: clientID}
	if clientID == bridge.GatewayClient {
		id.Publish, id.Subscribe = bridge.GatewayRights("gw")
	} else {
		id.Publish, id.Subscribe = bridge.DeviceRights("gw", strings.TrimPrefix(clientID, bridge.DeviceClient("")))
	}
	return w.broker.Dial(id)
}

func (w *whole) hear(d *mqtt.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, d.Message)
	w.last[d.Topic] = string(d.Payload)
}

func (w *whole) on(topic string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, m := range w.log {
		if m.Topic == topic {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

func (w *whole) state(device string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last["edged/gw/dev/"+device+"/status"]
}

// carry runs a device to the end of the test; the function ends it before.
func (w *whole) carry(c bridge.Config, drv *devices.Driver) (b *bridge.Bridge, stop func()) {
	w.t.Helper()
	if drv == nil {
		drv = driver(w.t, c.Driver)
	}
	b, err := bridge.New(c, drv, bridge.Deps{
		Gateway: "gw", Dial: w.dial, Ports: w.ports, Seq: w.seq, Event: w.gateway.Event, Changed: w.gateway.Announce,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- bridge.Keep(ctx, slog.New(slog.DiscardHandler), bridge.Restart(), b.Run) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return b, stop
}

func onTTY(name string, y *tty) bridge.Config {
	c := jsonLines()
	c.Name, c.Port, c.Serial = name, y.name, "115200 8N1"
	return c
}

func eventually(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(d)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after %v still not: %s", d, what)
		}
	}
}

// open waits until the device's port is open: what is written before is nobody's.
func open(t *testing.T, b *bridge.Bridge) {
	t.Helper()
	eventually(t, 5*time.Second, "the port is open", func() bool { c := b.Status().Code; return c == "" || c == "E106" })
}

// unharmed checks that a device came online once and stayed so.
func (w *whole) unharmed(device string) {
	w.t.Helper()
	got := strings.Join(w.on("edged/gw/dev/"+device+"/status"), " ")
	if got != "online" && got != "offline online" { // the first where it spoke before its session was there
		w.t.Errorf("the other device: %s", got)
	}
}

func TestUnplugAndReplug(t *testing.T) {
	w := newWhole(t)
	gone, stays := newTTY(t), newTTY(t)
	b, _ := w.carry(onTTY("gone", gone), nil)
	other, _ := w.carry(onTTY("stays", stays), nil)
	open(t, b)
	open(t, other)
	gone.send("{\"n\":0}\n")
	stays.send("{\"n\":0}\n")
	eventually(t, 5*time.Second, "both are online", func() bool { return w.state("gone") == "online" && w.state("stays") == "online" })
	for i := range 4 {
		gone.unplug()
		eventually(t, 2*time.Second, "it is offline", func() bool { return w.state("gone") == "offline" })
		if s := b.Status(); s.Code != port.Missing || s.Reason == "" {
			t.Errorf("status %+v", s)
		}
		gone.plug()
		next := time.NewTicker(50 * time.Millisecond)
		eventually(t, 2*time.Second, "it is online again", func() bool {
			select {
			case <-next.C:
				gone.send(fmt.Sprintf("{\"n\":%d}\n", i+1))
			default:
			}
			return w.state("gone") == "online"
		})
		next.Stop()
	}
	w.unharmed("stays")
}

func TestCommandOverAPseudoTerminal(t *testing.T) {
	w, y := newWhole(t), newTTY(t)
	c := sensor("sds011", map[string]any{"address": "a160"})
	c.Port = y.name
	b, _ := w.carry(c, nil)
	open(t, b)
	eventually(t, 5*time.Second, "the session is there", func() bool { return w.state("dev") == "offline" })
	w.publish("edged/gw/dev/dev/set", `{"address":"a001","id":9}`)
	want := unhex(t, "aa b4 05 00 00 00 00 00 00 00 00 00 00 a0 01 a1 60 a7 ab")
	var got []byte
	buf := make([]byte, 64)
	for len(got) < len(want) {
		if err := y.wire.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := y.wire.Read(buf)
		if err != nil {
			t.Fatalf("the device heard % x: %v", got, err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the device heard % x\nwant % x", got, want)
	}
	y.send(string(unhex(t, "aa c5 05 00 00 00 a0 01 a6 ab")))
	eventually(t, 5*time.Second, "the result is there", func() bool { return len(w.on("edged/gw/dev/dev/result")) == 1 })
	if r := w.on("edged/gw/dev/dev/result")[0]; r != `{"id":9,"ok":true,"readings":{"address":"a001"}}` {
		t.Errorf("result %s", r)
	}
}

func (w *whole) publish(topic, payload string) {
	w.t.Helper()
	nc, err := w.broker.Dial(broker.Identity{ClientID: "asker", Publish: []string{"#"}})
	if err != nil {
		w.t.Fatal(err)
	}
	c, _, err := mqtt.Connect(w.t.Context(), nc, nil, mqtt.Config{ClientID: "asker", Version: 5, Clean: true})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.Publish(w.t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1}); err != nil {
		w.t.Fatal(err)
	}
	if err := c.Disconnect(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestPanicLeavesOtherDevicesAlone(t *testing.T) {
	w := newWhole(t)
	bad, good := newTTY(t), newTTY(t)
	b, _ := w.carry(onTTY("bad", bad), brittle(t))
	g, _ := w.carry(onTTY("good", good), nil)
	open(t, b)
	open(t, g)
	bad.send("{\"n\":1}\n")
	good.send("{\"n\":1}\n")
	eventually(t, 5*time.Second, "both are online", func() bool { return w.state("bad") == "online" && w.state("good") == "online" })
	bad.send("boom\n")
	eventually(t, 5*time.Second, "the will is published", func() bool { return w.state("bad") == "offline" })
	next := time.NewTicker(100 * time.Millisecond)
	defer next.Stop()
	eventually(t, 10*time.Second, "it comes back", func() bool {
		select {
		case <-next.C:
			bad.send("{\"n\":2}\n")
		default:
		}
		return w.state("bad") == "online"
	})
	w.unharmed("good")
}

func TestStopsWithinASecondOrTwoWhateverTheWireDoes(t *testing.T) {
	w, y := newWhole(t), newTTY(t)
	c := sensor("sds011", nil)
	c.Port = y.name
	b, stop := w.carry(c, nil)
	open(t, b)
	for range 2 * 4096 / 19 { // nobody reads at the far end
		w.publish("edged/gw/dev/dev/set", `{"sleep":false}`)
		if b.Status().State == "" {
			break
		}
		if len(w.on("edged/gw/dev/dev/result")) > 0 {
			break
		}
	}
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("the stop took %v", took)
	}
	eventually(t, time.Second, "it is offline", func() bool { return w.state("dev") == "offline" })
}

// A line's time is when its first byte came, its seq has no gap, and each comes once, also across an orderly stop.
func TestLinesComeOnceInOrder(t *testing.T) {
	w, y := newWhole(t), newTTY(t)
	total := 0
	for range 3 {
		b, stop := w.carry(onTTY("dev", y), nil)
		open(t, b)
		for range 60 { // fewer than a bridge keeps while the disk is slow
			y.send(fmt.Sprintf("{\"n\":%d,", total))
			y.send("\"m\":1}\n")
			total++
		}
		eventually(t, 10*time.Second, "what was sent is there", func() bool { return len(w.on("edged/gw/dev/dev/data")) == total })
		stop()
	}
	for i, m := range w.on("edged/gw/dev/dev/data") {
		if !strings.Contains(m, fmt.Sprintf(`"seq":%d,"n":%d,`, i+1, i)) {
			t.Fatalf("message %d is %s", i, m)
		}
	}
}

func TestDevicesLeaveNothingBehind(t *testing.T) {
	w, y := newWhole(t), newTTY(t)
	cycle := func() {
		b, stop := w.carry(onTTY("dev", y), nil)
		open(t, b)
		stop()
	}
	for range 5 {
		cycle()
	}
	fds, routines := countFDs(t), runtime.NumGoroutine()
	for range 30 {
		cycle()
	}
	eventually(t, 10*time.Second, "goroutines and descriptors are as few as before", func() bool {
		return countFDs(t) <= fds && runtime.NumGoroutine() <= routines
	})
}

func countFDs(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestBusyPort(t *testing.T) {
	w, y := newWhole(t), newTTY(t)
	a, stop := w.carry(onTTY("a", y), nil)
	open(t, a)
	b, _ := w.carry(onTTY("b", y), nil)
	eventually(t, 5*time.Second, "it is told that the port is in use", func() bool { return b.Status().Code == port.Busy })
	if s := b.Status(); !strings.Contains(s.Reason, "edged itself") {
		t.Errorf("reason %q", s.Reason)
	}
	stop()
	open(t, b)
}
