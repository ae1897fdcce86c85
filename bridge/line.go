// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"edged/bridge/port"
)

// line keeps a device's port open. One goroutine owns it and runs the driver.
type line struct {
	b        *Bridge
	seq      *seqFile
	pipeline *pipeline
}

// run opens the port, again and again, until ctx ends.
func (l *line) run(ctx context.Context) error {
	var again port.Again
	for {
		changed := l.b.deps.Ports.Changed()
		p, err := l.b.deps.Ports.Open(ctx, port.Request{Name: l.b.cfg.Port, Mode: l.b.mode, Peer: l.peer(), For: l.b.cfg.Name})
		opened := time.Now()
		if err == nil {
			err = l.use(ctx, p)
		}
		if ctx.Err() != nil {
			return nil
		}
		if failure := (driverError{}); errors.As(err, &failure) {
			return failure.err
		}
		code, reason := l.why(err)
		l.b.presence.set(offline, code, reason)
		wait := again.After(err, time.Since(opened))
		if !l.pause(ctx, wait/2+rand.N(wait/2+1), changed, code, reason) {
			return nil
		}
	}
}

// driverError is an error of the driver, which is not mended by opening the port again.
type driverError struct{ err error }

func (e driverError) Error() string { return e.err.Error() }

// peer makes the far end of the port "sim"; nil: the driver has no simulator.
func (l *line) peer() func() port.Peer {
	if l.b.cfg.Port != port.Sim || l.b.drv.Simulate == nil {
		return nil
	}
	sim, err := l.b.drv.Simulate(l.b.cfg.Options, l.b.deps.Seed)
	if err != nil {
		l.b.deps.Log.Warn("the simulator cannot be made", "err", err)
		return nil
	}
	return func() port.Peer { return sim }
}

// why tells code and reason of a port that cannot be used.
func (l *line) why(err error) (code, reason string) {
	e := new(port.Error)
	if !errors.As(err, &e) {
		return port.Missing, "the port is gone: " + err.Error()
	}
	reason = e.Text
	if e.Do != "" {
		reason += ": " + e.Do
	}
	return e.Code, reason
}

// pause waits until the port may be there again, answering commands meanwhile; false: ctx has ended.
func (l *line) pause(ctx context.Context, d time.Duration, changed <-chan struct{}, code, reason string) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-changed:
			return true
		case c := <-l.b.commands:
			l.b.answer(c.id, refusal{code, reason}, nil)
		}
	}
}
