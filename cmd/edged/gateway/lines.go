// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"time"

	"edged/bridge"
	"edged/bridge/bus"
	"edged/config"
)

// sharedLine is a bus and the part that carries it.
type sharedLine struct {
	cfg  bus.Config
	bus  *bus.Bus
	part *part // nil: it was not started
}

// planLines makes the buses of a configuration that are missing, and keeps those that are the same in it.
func (g *Gateway) planLines(cfg *config.Config) (wanted []*sharedLine, err error) {
	for _, c := range cfg.Buses {
		l := lineNamed(g.sharedLines(), c.Name)
		if l == nil || l.cfg != c {
			b, err := bus.New(c, bus.Deps{Ports: g.ports, Log: g.log})
			if err != nil {
				return nil, err
			}
			l = &sharedLine{cfg: c, bus: b}
		}
		wanted = append(wanted, l)
	}
	return wanted, nil
}

func lineNamed(lines []*sharedLine, name string) *sharedLine {
	for _, l := range lines {
		if l.cfg.Name == name {
			return l
		}
	}
	return nil
}

// sharedLines are the buses, in the order of the configuration.
func (g *Gateway) sharedLines() []*sharedLine {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lines
}

// startLine carries a bus.
func (g *Gateway) startLine(l *sharedLine) {
	g.watchPorts()
	l.part = launch("bus "+l.cfg.Name, func(ctx context.Context) error {
		return bridge.Keep(ctx, g.log.With("bus", l.cfg.Name), bridge.Restart(), l.bus.Run)
	})
}

// changeLines ends the buses that are not wanted any more and starts the new ones; their devices have ended before.
func (g *Gateway) changeLines(wanted []*sharedLine) {
	var ending []*part
	for _, l := range g.sharedLines() {
		if lineNamed(wanted, l.cfg.Name) != l && l.part != nil {
			l.part.stop() // all at the same time
			ending = append(ending, l.part)
		}
	}
	for _, p := range ending {
		p.end(stopLine, g.log)
	}
	g.mu.Lock()
	g.lines = wanted
	g.mu.Unlock()
	for _, l := range wanted {
		if l.part == nil {
			g.startLine(l)
		}
	}
}

// stopLine is how long the port of a bus may take to close.
const stopLine = time.Second / 2
