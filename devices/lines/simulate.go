// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"time"

	"edged/devices"
)

// pretend puts a line on a machine that changes about so often; 0: only when it is set.
func pretend(seed uint64, every time.Duration, m devices.Machine) devices.Machine {
	m.Line = func(c devices.LineConfig) (devices.Line, error) {
		return &pretended{m: m, every: every, rising: c.Rising, active: c.Initial, wander: devices.Wander{Seed: seed}}, nil
	}
	return m
}

type pretended struct {
	m      devices.Machine
	every  time.Duration
	rising bool
	active bool           // of an output
	wander devices.Wander // of Next
	clock  time.Duration  // of Next
}

// Active tells an output as it was set, and an input by the time.
func (p *pretended) Active() (bool, error) {
	if p.every == 0 {
		return p.active, nil
	}
	return p.m.Now().UnixNano()/int64(p.every)%2 == 1, nil
}

func (p *pretended) Set(active bool) error { p.active = active; return nil }

func (p *pretended) Close() error { return nil }

// Next waits for a change.
func (p *pretended) Next() (devices.Edge, error) {
	d := time.Hour
	switch {
	case p.every == 0:
		for {
			if err := p.m.Wait(d); err != nil {
				return devices.Edge{}, err
			}
		}
	case p.rising:
		p.wander.N++
		d = time.Duration(p.wander.Between(0.5, 1.5, 0) * float64(p.every))
	default:
		now := p.m.Now()
		d = p.every - time.Duration(now.UnixNano())%p.every
	}
	if err := p.m.Wait(d); err != nil {
		return devices.Edge{}, err
	}
	p.clock += d
	active, err := p.Active()
	return devices.Edge{At: p.m.Now(), Clock: p.clock, Active: active || p.rising}, err
}
