// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"edged/bridge"
	"edged/systemd"
)

// How long each step of a stop may take; together less than the 5 s after which edged has to be gone.
const (
	stopBridges = 1500 * time.Millisecond
	stopUplink  = 1500 * time.Millisecond
	stopOwn     = 500 * time.Millisecond
	stopBroker  = 1 * time.Second
	stopWeb     = 500 * time.Millisecond
)

// keepTime is how often the newest believed time is kept.
const keepTime = time.Hour

// part is something that runs beside others and is stopped at its turn.
type part struct {
	name string
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// launch runs task until its part is stopped.
func launch(name string, task func(ctx context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = task(ctx)
	}()
	return p
}

// end stops the part and waits for it, but not longer than d.
func (p *part) end(d time.Duration, log *slog.Logger) {
	p.stop()
	select {
	case <-p.done:
	case <-time.After(d):
		log.Warn("a part does not stop in time; going on without it", "part", p.name, "after", d)
	}
}

// Run serves until ctx ends, then stops every part in order, within 5 s. It first corrects what a crash left behind,
// then opens the listeners; an error that wraps broker.ErrAddressInUse means that one of them is taken (E401).
func (g *Gateway) Run(ctx context.Context) error {
	defer g.endWeb()
	serving := launch("broker", g.broker.Run)
	defer serving.end(stopBroker, g.log)
	heap := keepSmall(g.cfg.Broker.Limits.Memory)
	defer heap.end()
	g.prepare(ctx)
	own := launch("gateway", func(ctx context.Context) error {
		return bridge.Keep(ctx, g.log, bridge.Restart(), g.own.Run)
	})
	defer own.end(stopOwn, g.log)
	if err := g.broker.Listen(ctx); err != nil {
		return err
	}
	g.phase.Store(int32(accepting))
	g.startWeb()
	if control := g.startControl(); control != nil {
		defer control.end(stopOwn, g.log)
	}
	if g.opts.Ready != nil {
		g.opts.Ready()
	}
	g.log.Info("gateway is ready", "id", g.id, "version", g.opts.Version, "listeners", g.addresses(), "devices", len(g.bridges()))
	if g.opts.Rejected != nil {
		g.announceRejection()
	}
	g.startLink()
	defer g.endLink()
	for _, l := range g.sharedLines() {
		g.startLine(l)
	}
	for _, m := range g.devices() {
		g.startMember(m, nil)
	}
	defer g.stopFleet()
	told := launch("gaps", func(ctx context.Context) error { return g.gaps.run(ctx, g.own.Event, g.told) })
	defer told.end(stopOwn, g.log)
	calm := launch("heap", heap.keepCalm)
	defer calm.end(stopOwn, g.log)
	house := launch("housekeeping", g.keepHouse)
	defer house.end(stopOwn, g.log)
	for {
		select {
		case <-ctx.Done():
			g.log.Info("stopping")
			g.phase.Store(int32(stopping))
			return nil
		case <-serving.done:
			return serving.err
		case answer := <-g.reloads:
			answer <- g.reload(ctx)
		}
	}
}

// How long a start waits for what has to be right before anybody from outside connects.
const (
	prepareTime     = 10 * time.Second
	prepareTimeSick = time.Second // with a disk that takes nothing, so that no acknowledgement will come
)

// prepare corrects what an earlier run left retained and makes the uplink's session.
func (g *Gateway) prepare(ctx context.Context) {
	limit := prepareTime
	if !g.writable() {
		limit = prepareTimeSick
	}
	within := func(task func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return task(ctx)
	}
	err := within(func(ctx context.Context) error { return g.own.Prepare(ctx, g.disabled()...) })
	if err != nil {
		g.log.Warn("what an earlier run left retained could not be corrected", "err", err)
	}
	link := g.Uplink()
	if link == nil {
		return
	}
	if err := within(link.Prepare); err != nil {
		g.log.Warn("the uplink's session is not ready; what is published before it is will not reach the cloud", "err", err)
	}
}

// writable says whether the journal takes records.
func (g *Gateway) writable() bool {
	alarms := g.broker.Status().Alarms
	return alarms["E601"] == "" && alarms["E602"] == ""
}

// startControl opens the control socket; nil where there is none. A gateway does its work without one.
func (g *Gateway) startControl() *part {
	if g.opts.Socket == "" {
		return nil
	}
	c := &control{status: g.Status, reload: g.Reload, dial: g.broker.Dial, doctor: g.lookIntoCloud, tap: g.tap, log: g.log.With("part", "control")}
	l, err := c.listen(g.opts.Socket)
	if err != nil {
		g.log.Warn("there is no control socket: edged status, sub and pub will not find this gateway", "err", err)
		return nil
	}
	return launch("control", func(ctx context.Context) error { return c.run(ctx, l) })
}

// keepHouse keeps the newest time and feeds the service manager's watchdog until ctx ends.
func (g *Gateway) keepHouse(ctx context.Context) error {
	interval, err := systemd.WatchdogInterval()
	if err != nil {
		g.log.Warn("the service manager's watchdog is not fed", "err", err)
	}
	var dog sync.WaitGroup
	if interval > 0 {
		dog.Go(func() {
			err := bridge.Keep(ctx, g.log, bridge.Restart(), func(ctx context.Context) error {
				return feedWatchdog(ctx, interval, g.broker.Dial, g.log)
			})
			if err != nil {
				g.log.Error("watchdog ended", "err", err)
			}
		})
	}
	tick := time.NewTicker(keepTime)
	defer tick.Stop()
	for {
		if err := g.clock.Keep(); err != nil {
			g.log.Debug("the newest time could not be kept", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			dog.Wait()
			return g.clock.Keep()
		}
	}
}

func (g *Gateway) addresses() []string {
	var all []string
	for _, a := range g.broker.Addrs() {
		all = append(all, a.String())
	}
	return all
}
