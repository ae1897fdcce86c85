// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
	"edged/bridge/port"
	"edged/devices"
	"edged/devices/catalog"
)

// fakePorts are ports whose far end the test holds.
type fakePorts struct {
	mu      sync.Mutex
	err     error // what Open returns; nil: a port
	opens   []time.Time
	at      *fakeWire
	deaf    bool // the device takes no bytes
	changed chan struct{}
}

func newFakePorts() *fakePorts { return &fakePorts{changed: make(chan struct{})} }

func (f *fakePorts) Open(ctx context.Context, r port.Request) (port.Port, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens = append(f.opens, time.Now())
	if f.err != nil {
		return nil, f.err
	}
	near, far := net.Pipe()
	w := &fakeWire{far: far}
	f.at = w
	if f.deaf {
		return near, nil
	}
	w.reading.Go(func() {
		buf := make([]byte, 256)
		for {
			n, err := far.Read(buf)
			w.mu.Lock()
			w.got = append(w.got, buf[:n]...)
			answer := w.answers
			w.mu.Unlock()
			if answer != nil && n > 0 {
				if p := answer(buf[:n]); p != nil {
					_, _ = far.Write(p)
				}
			}
			if err != nil {
				return
			}
		}
	})
	return near, nil
}

func (f *fakePorts) Changed() <-chan struct{} { f.mu.Lock(); defer f.mu.Unlock(); return f.changed }

// plug makes ports appear, fail makes them fail, wake tells of a change.
func (f *fakePorts) plug() { f.mu.Lock(); defer f.mu.Unlock(); f.err = nil }

func (f *fakePorts) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakePorts) fail(code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = &port.Error{Code: code, Port: "/dev/fake", Text: "it is so", Do: "do that"}
}

func (f *fakePorts) wire() *fakeWire { f.mu.Lock(); defer f.mu.Unlock(); return f.at }

func (f *fakePorts) opened() []time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.opens }

// fakeWire is the device's end of an open port.
type fakeWire struct {
	far     net.Conn
	reading sync.WaitGroup

	mu      sync.Mutex
	got     []byte
	answers func([]byte) []byte
}

func (w *fakeWire) send(t *testing.T, p string) {
	t.Helper()
	if err := w.far.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w.far, p); err != nil {
		t.Fatalf("write to the wire: %v", err)
	}
}

func (w *fakeWire) unplug() { _ = w.far.Close() }

func (w *fakeWire) heard() []byte { w.mu.Lock(); defer w.mu.Unlock(); return bytes.Clone(w.got) }

func (w *fakeWire) answer(f func([]byte) []byte) { w.mu.Lock(); defer w.mu.Unlock(); w.answers = f }

// rig is a device with a broker and a port that the test holds, in virtual time.
type rig struct {
	t      *testing.T
	broker *fakeBroker
	ports  *fakePorts
	bridge *bridge.Bridge
	events []bridge.Event
	mu     sync.Mutex
	stop   func()
	ended  chan struct{}
}

func driver(t *testing.T, name string) *devices.Driver {
	t.Helper()
	d, ok := catalog.Get(name)
	if !ok {
		t.Fatalf("no driver %s", name)
	}
	return d
}

// jsonLines is a device that writes lines of JSON.
func jsonLines() bridge.Config {
	c := bridge.Defaults()
	c.Name, c.Driver, c.Port = "dev", "line", "/dev/fake"
	c.Options = map[string]any{"format": "json"}
	return c
}

// setUp makes a bridge that does not run yet. drv nil: the catalogue's.
func setUp(t *testing.T, c bridge.Config, drv *devices.Driver, change func(*bridge.Deps)) *rig {
	t.Helper()
	r := &rig{t: t, broker: newFakeBroker(t), ports: newFakePorts(), ended: make(chan struct{})}
	if drv == nil {
		drv = driver(t, c.Driver)
	}
	deps := bridge.Deps{
		Gateway: "gw", Dial: r.broker.Dial, Ports: r.ports, Log: slog.New(slog.DiscardHandler),
		Event: func(e bridge.Event) <-chan struct{} {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
			done := make(chan struct{})
			close(done)
			r.broker.send("edged/gw/event", e.Code+" "+e.Text, false)
			return done
		},
	}
	if change != nil {
		change(&deps)
	}
	var err error
	if r.bridge, err = bridge.New(c, drv, deps); err != nil {
		t.Fatal(err)
	}
	return r
}

// run starts the bridge under its supervisor; halt stops it in order.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.ended = make(chan struct{})
	go func() {
		defer close(r.ended)
		if err := bridge.Keep(ctx, slog.New(slog.DiscardHandler), bridge.Restart(), r.bridge.Run); err != nil {
			r.t.Error(err)
		}
	}()
	r.stop = cancel
	synctest.Wait()
}

// end stops the bridge alone.
func (r *rig) end() {
	r.stop()
	<-r.ended
}

func (r *rig) halt() {
	r.end()
	r.broker.serving.Wait()
}

// sleep lets virtual time pass, and then all that is due happen.
func (r *rig) sleep(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (r *rig) topic(leaf string) string { return "edged/gw/dev/dev/" + leaf }

func (r *rig) send(p string) {
	r.t.Helper()
	r.ports.wire().send(r.t, p)
	synctest.Wait()
}

func (r *rig) status() string { return r.broker.last(r.topic("status")) }

// want compares the payloads of a topic.
func (r *rig) want(leaf string, want ...string) {
	r.t.Helper()
	got := r.broker.on(r.topic(leaf))
	if len(got) != len(want) {
		r.t.Errorf("%s: %d messages %q, want %q", leaf, len(got), got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			r.t.Errorf("%s: message %d is %s\nwant %s", leaf, i, got[i], want[i])
		}
	}
}

// inBubble runs a test in virtual time with a running bridge, and stops it in order.
func inBubble(t *testing.T, c bridge.Config, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, c, nil, nil)
		r.run()
		defer r.halt()
		test(t, r)
	})
}
