// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"edged/bridge"
	"edged/config"
	"edged/devices/catalog"
)

// member is one configured device.
type member struct {
	cfg    bridge.Config
	line   *sharedLine    // that it shares; nil: it has a port of its own
	driver catalog.File   // that describes its driver; empty: the catalogue has it
	bridge *bridge.Bridge // nil: disabled
	part   *part          // that carries the bridge; nil: it was not started
}

// newMember makes the bridge of a device with one of these drivers and, where it shares one, its line; seed differs for each.
func (g *Gateway) newMember(c bridge.Config, drivers *catalog.Set, line *sharedLine) (*member, error) {
	file, _ := drivers.File(c.Driver)
	if c.Disabled {
		return &member{cfg: c, line: line, driver: file}, nil
	}
	drv, ok := drivers.Get(c.Driver)
	if !ok {
		return nil, fmt.Errorf("device %s: there is no driver %q", c.Name, c.Driver)
	}
	g.seed++
	deps := bridge.Deps{
		Gateway: g.id, Dial: g.dial, Ports: g.ports, Machine: g.sensors, Seq: g.seq, Keep: g.keep, Clock: g.clock, Log: g.log, Seed: g.seed,
		Event: g.own.Event, Changed: g.own.Announce,
	}
	if line != nil {
		deps.Bus = line.bus
	}
	b, err := bridge.New(c, drv, deps)
	if err != nil {
		return nil, err
	}
	return &member{cfg: c, line: line, driver: file, bridge: b}, nil
}

// fleetPlan is how the devices become those of another configuration.
type fleetPlan struct {
	lines         []*sharedLine
	after         []*member
	added, ending []*member
	changed       []string // names, for whoever asked
	removed       []string
}

// planFleet makes what is missing for the devices of a configuration and keeps who is the same in it.
func (g *Gateway) planFleet(cfg *config.Config) (*fleetPlan, error) {
	lines, err := g.planLines(cfg)
	if err != nil {
		return nil, err
	}
	p := &fleetPlan{lines: lines}
	before := map[string]*member{}
	for _, m := range g.devices() {
		before[m.cfg.Name] = m
	}
	for _, c := range cfg.Devices {
		old := before[c.Name]
		delete(before, c.Name)
		line := lineNamed(lines, c.Bus)
		if file, _ := cfg.Drivers.File(c.Driver); old != nil && old.driver == file && old.line == line && reflect.DeepEqual(old.cfg, c) {
			p.after = append(p.after, old)
			continue
		}
		m, err := g.newMember(c, cfg.Drivers, line)
		if err != nil {
			return nil, err
		}
		p.after, p.added = append(p.after, m), append(p.added, m)
		p.changed = append(p.changed, c.Name)
		if old != nil {
			p.ending = append(p.ending, old)
		}
	}
	for _, m := range g.devices() {
		if before[m.cfg.Name] != nil {
			p.ending, p.removed = append(p.ending, m), append(p.removed, m.cfg.Name)
		}
	}
	return p, nil
}

// applyFleet ends whom the plan has no room for and starts who is new; nobody else notices.
func (g *Gateway) applyFleet(ctx context.Context, p *fleetPlan) {
	g.endMembers(ctx, p.ending)
	g.changeLines(p.lines)
	g.mu.Lock()
	g.members = p.after
	g.mu.Unlock()
	g.own.SetDevices(g.bridges()...)
	g.own.Forget(p.removed...)
	former := map[string]*part{}
	for _, m := range p.ending {
		former[m.cfg.Name] = m.part
	}
	for _, m := range p.added {
		g.startMember(m, former[m.cfg.Name])
	}
}

// startMember carries a device, once the part that carried it before, if any, has ended.
func (g *Gateway) startMember(m *member, before *part) {
	if m.bridge == nil {
		return
	}
	g.watchPorts()
	m.part = launch("device "+m.cfg.Name, func(ctx context.Context) error {
		if before != nil {
			select {
			case <-before.done:
			case <-ctx.Done():
				return nil
			}
		}
		return bridge.Keep(ctx, g.log.With("device", m.cfg.Name), bridge.Restart(), m.bridge.Run)
	})
}

// watchPorts hears of plugging, once there is somebody to tell.
func (g *Gateway) watchPorts() {
	if g.watch != nil {
		return
	}
	g.watch = launch("ports", func(ctx context.Context) error {
		return bridge.Keep(ctx, g.log.With("part", "port"), bridge.Restart(), g.ports.Watch)
	})
}

// endMembers stops devices, all at the same time, and waits for them within stopBridges or until ctx ends.
func (g *Gateway) endMembers(ctx context.Context, all []*member) {
	for _, m := range all {
		if m.part != nil {
			m.part.stop()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stopBridges)
	defer cancel()
	for _, m := range all {
		if m.part == nil {
			continue
		}
		select {
		case <-m.part.done:
		case <-ctx.Done():
			g.log.Warn("a device does not stop in time; going on without it", "device", m.cfg.Name, "after", stopBridges)
		}
	}
}

// stopFleet ends every device.
func (g *Gateway) stopFleet() {
	g.endMembers(context.Background(), g.devices())
	g.changeLines(nil)
	if g.watch != nil {
		g.watch.end(time.Second/2, g.log)
	}
}

// devices are all that are configured, in the order of the configuration.
func (g *Gateway) devices() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members
}

// bridges are those of the devices that are not disabled.
func (g *Gateway) bridges() []*bridge.Bridge {
	var all []*bridge.Bridge
	for _, m := range g.devices() {
		if m.bridge != nil {
			all = append(all, m.bridge)
		}
	}
	return all
}

// disabled are the names of the other devices.
func (g *Gateway) disabled() []string {
	var names []string
	for _, m := range g.devices() {
		if m.bridge == nil {
			names = append(names, m.cfg.Name)
		}
	}
	return names
}
