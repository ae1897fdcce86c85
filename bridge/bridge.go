// SPDX-License-Identifier: Apache-2.0

// Package bridge carries one device: its port, its driver and its MQTT session, which bring its readings to the local
// broker and its commands back; and the gateway's own session, which tells of all of them.
package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"edged/bridge/bus"
	"edged/bridge/port"
	"edged/devices"
	"edged/mqtt"
)

// Bridge is one device. It is made by New and carried by Run.
type Bridge struct {
	cfg    Config
	drv    *devices.Driver
	deps   Deps
	topics topics
	mode   port.Mode

	out      *outbox
	session  *mqtt.Session
	presence *presence
	commands chan command
	seat     atomic.Pointer[bus.Seat]              // on a shared line; nil: it has none at the moment
	inject   func(devices.Decoder) devices.Decoder // nil but in builds that test what a driver's panic does

	mu      sync.Mutex
	learned map[string]devices.Kind // readings that came, by the driver's name
	saw     uint64                  // newest seq that the broker has
	left    time.Time               // when Run last ended; zero: it did not
}

// New makes the bridge of a device. An error is one of configuration; a port that is not there is none.
func New(cfg Config, drv *devices.Driver, deps Deps) (*Bridge, error) {
	drv = drv.For(cfg.Options)
	var mode port.Mode
	var err error
	place := cfg.Port
	if drv.Sensor != nil {
		place, err = sensorPlace(cfg, drv)
	} else {
		mode, err = serialMode(cfg, drv)
	}
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Name, err)
	}
	if deps.Bus != nil {
		if problem := Unshareable(drv, cfg.Options, deps.Bus.Listens()); problem != "" {
			return nil, fmt.Errorf("device %s: bus: %s", cfg.Name, problem)
		}
		place = "bus " + deps.Bus.Name()
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	deps.Log = deps.Log.With("device", cfg.Name)
	b := &Bridge{
		cfg: cfg, drv: drv, deps: deps, topics: topics{deps.Gateway, cfg.Name}, mode: mode,
		session: mqtt.NewSession(), commands: make(chan command, commandsWaiting),
		inject: injected(cfg), learned: map[string]devices.Kind{},
	}
	b.out = newOutbox(func() int { return max(unacked-b.session.Unacknowledged(), unacked-inFlight) })
	b.presence = newPresence(Status{Name: cfg.Name, Driver: cfg.Driver, Port: place}, b.topics, b.out, deps)
	return b, nil
}

// serialMode checks the keys of a device whose bytes come through a port.
func serialMode(cfg Config, drv *devices.Driver) (port.Mode, error) {
	mode, err := port.ParseSerial(cmp.Or(cfg.Serial, drv.Serial))
	if err != nil {
		return mode, fmt.Errorf("serial: %w", err)
	}
	if err := port.CheckName(cfg.Port); err != nil && cfg.Bus == "" {
		return mode, fmt.Errorf("port: %w", err)
	}
	if _, err := drv.New(cfg.Options); err != nil {
		return mode, fmt.Errorf("driver %s: %w", drv.Name, err)
	}
	return mode, nil
}

// Unshareable says why a device of that driver, with these options, can't share a line, or one that is only listened to; "":
// it can, or the options are wrong.
func Unshareable(d *devices.Driver, o devices.Options, listen bool) string {
	dec, err := d.New(o)
	if err != nil {
		return ""
	}
	_, asked := dec.(devices.Asker)
	_, overhears := dec.(devices.Overhearer)
	switch {
	case !slices.ContainsFunc(d.Options, func(o devices.OptionInfo) bool { return o.Name == "address" }) || !asked:
		return fmt.Sprintf("driver %s has no address to be asked by, so its device needs a port of its own", d.Name)
	case listen && !overhears:
		return fmt.Sprintf("driver %s cannot understand what another master asks its device", d.Name)
	}
	return ""
}

// Name returns the device's id.
func (b *Bridge) Name() string { return b.cfg.Name }

// Status tells how the device is.
func (b *Bridge) Status() Status { return b.presence.Status() }

// sawSeq tells that the broker holds data of this device with that number.
func (b *Bridge) sawSeq(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saw = max(b.saw, n)
}

// Run carries the device until ctx ends; then the device is offline, its port closed and its session left in order. A
// panic in the driver is an error of Run: the session's connection is dropped, so that the broker publishes the will.
// Run may be called again after it has returned.
func (b *Bridge) Run(ctx context.Context) error {
	seq := b.deps.Seq.device(b.cfg.Name)
	b.mu.Lock()
	if b.saw > 0 {
		seq.saw(b.saw)
	}
	b.mu.Unlock()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	linked, unlink := context.WithCancel(serving)
	killed, kill := context.WithCancel(serving)
	defer kill()
	l := b.link()
	var parts sync.WaitGroup
	failed := make(chan error, 2)
	parts.Go(func() { failed <- contain(func() error { return l.run(linked, killed) }) })
	telling, hush := context.WithCancel(serving)
	var teller sync.WaitGroup
	teller.Go(func() { b.presence.run(telling) })

	line := &line{b: b, seq: seq, pipeline: newPipeline(b.cfg)}
	carry := line.run
	switch {
	case b.drv.Sensor != nil:
		carry = (&sensing{line: line}).run
	case b.deps.Bus != nil:
		carry = line.share
	}
	err := contain(func() error { return carry(ctx) })
	if p := new(PanicError); errors.As(err, &p) {
		b.presence.fail(p.Error())
		kill()
	} else {
		state, code, reason := b.presence.is()
		if state == online || code == "" || ctx.Err() != nil {
			code, reason = "", "edged was stopped"
		}
		b.presence.set(offline, code, reason)
	}
	hush()
	teller.Wait()
	unlink()
	parts.Wait()
	b.mu.Lock()
	b.left = time.Now()
	b.mu.Unlock()
	// What was published is in the broker's hands or will never be: the numbers that are left are free.
	return errors.Join(err, <-failed, seq.Close())
}

// link makes the device's MQTT session.
func (b *Bridge) link() *link {
	keep := b.cfg.KeepAlive
	if keep == 0 {
		keep = Defaults().KeepAlive
	}
	return &link{
		dial: b.deps.Dial, session: b.session, out: b.out, log: b.deps.Log,
		config: mqtt.Config{
			ClientID: DeviceClient(b.cfg.Name), Version: 5, SessionExpiry: sessionLife, KeepAlive: keep, Window: inFlight,
			Will: &mqtt.Will{Message: mqtt.Message{Topic: b.topics.of("status"), Payload: []byte(offline), QoS: 1, Retain: true}},
		},
		// What is retained on `set` is no command. It is not asked for, but refused with an answer when it comes live.
		subscribe: []mqtt.Subscription{{Filter: b.topics.of("set"), QoS: 1, RetainAsPublished: true, RetainHandling: 2}},
		greet:     func() { b.presence.greet(b.meta()) },
		down:      b.left, // Run alone writes it
		receive:   b.receive,
		event:     b.deps.Event,
	}
}

// uptime returns the gateway's uptime at a time in the past, negative while the clock is believed.
func (b *Bridge) uptime(at time.Time) time.Duration {
	if b.deps.Clock == nil || b.deps.Clock.Believed() {
		return -1
	}
	return max(b.deps.Clock.Uptime()-time.Since(at), 0)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
