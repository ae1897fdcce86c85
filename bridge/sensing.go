// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"edged/bridge/port"
	"edged/devices"
)

// sensing carries a device that sends no bytes to a port: a chip, a line, files of the kernel. One goroutine owns it;
// of a device that tells by itself, a second waits for what it tells.
type sensing struct {
	*line
	dog    watchdog
	counts devices.Counts // since the start: what was read, and what could not be
	valid  bool           // something was read in this opening
}

// reopenSensor is the longest wait before a sensor is tried again.
const (
	reopenSensor    = 5 * time.Second
	reopenSensorMin = 100 * time.Millisecond // the first one
)

// sensorPlace checks the keys of a sensor, and names what it is on.
func sensorPlace(cfg Config, drv *devices.Driver) (string, error) {
	if cfg.Port != "" && cfg.Port != port.Sim {
		return "", fmt.Errorf("port: driver %s has no port but %q", drv.Name, port.Sim)
	}
	var faults devices.Faults
	drv.Validate(cfg.Options, func(key, problem string) { faults.Add(key, "%s", problem) })
	if len(faults) > 0 {
		return "", fmt.Errorf("driver %s: %w", drv.Name, faults)
	}
	if cfg.Port != "" || drv.Sensor.Place == nil {
		return cfg.Port, nil
	}
	return drv.Sensor.Place(cfg.Options), nil
}

// run opens the device, again and again, until ctx ends.
func (s *sensing) run(ctx context.Context) error {
	s.dog = newWatchdog(s.b.cfg, s.b.drv)
	s.b.presence.opened()
	wait := reopenSensorMin
	for {
		s.valid = false
		err := s.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if failure := (driverError{}); errors.As(err, &failure) {
			return failure.err
		}
		code, reason := trouble(err)
		s.suffer(code, reason)
		if s.valid {
			wait = reopenSensorMin
		}
		if !s.pause(ctx, wait/2+rand.N(wait/2+1), s.b.deps.Ports.Changed(), code, reason) {
			return nil
		}
		wait = min(2*wait, reopenSensor)
	}
}

// once opens the device and carries it until it cannot be read or ctx ends.
func (s *sensing) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := s.b.deps.Machine
	keep := s.b.deps.Keep.device(s.b.cfg.Name)
	m.Store = keep
	m.Now = time.Now
	m.Wait = func(d time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
	if s.b.cfg.Port == port.Sim {
		m = s.b.drv.Sensor.Pretend(s.b.cfg.Options, s.b.deps.Seed, m)
	}
	defer func() { err = errors.Join(err, keep.Close()) }()
	sensor, err := s.open(m)
	if err != nil {
		return err
	}
	edges := make(chan told)
	var listening sync.WaitGroup
	defer func() { // also when the driver panics
		cancel()
		if cerr := sensor.Close(); cerr != nil {
			s.b.deps.Log.Warn("closing the device", "err", cerr)
		}
		listening.Wait()
	}()
	if l, ok := sensor.(devices.Listener); ok {
		listening.Go(func() { listen(ctx, l, edges) })
	}
	if s.b.drv.Event {
		s.b.presence.set(online, "", "")
	}
	return s.serve(ctx, sensor, edges)
}

// open opens the device. Like reading it, this may hang in the kernel.
func (s *sensing) open(m devices.Machine) (devices.Sensor, error) {
	defer s.guard()()
	return s.b.drv.Sensor.Open(s.b.cfg.Options, m)
}

// told is what Next gave.
type told struct {
	devices.Edge
	err error
}

// listen hands each edge to the owner.
func listen(ctx context.Context, l devices.Listener, to chan<- told) {
	for {
		var t told
		t.err = contain(func() (err error) {
			t.Edge, err = l.Next()
			return err
		})
		select {
		case to <- t:
		case <-ctx.Done():
			return
		}
		if t.err != nil {
			return
		}
	}
}

// serve is the owner's loop.
func (s *sensing) serve(ctx context.Context, sensor devices.Sensor, edges <-chan told) error {
	every := cmp.Or(s.b.cfg.Every, s.b.drv.Every)
	due := time.Now() // zero: never again
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(s.next(due)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case t := <-edges:
			if p := new(PanicError); errors.As(t.err, &p) {
				return driverError{p}
			}
			if t.err != nil {
				return t.err
			}
			s.lost(t.Lost)
			sensor.(devices.Listener).Edge(t.Edge, s.sample)
		case c := <-s.b.commands:
			if err := s.execute(sensor, c); err != nil {
				return err
			}
		case now := <-timer.C:
			if !due.IsZero() && !now.Before(due) {
				if err := s.read(sensor); err != nil {
					return err
				}
				due = following(due, every)
			}
			s.judge(now)
		}
	}
}

// next is when the owner has to look again.
func (s *sensing) next(due time.Time) time.Time {
	t := time.Now().Add(healthEvery)
	if !due.IsZero() && due.Before(t) {
		t = due
	}
	if state, _, _ := s.b.presence.is(); state == online && !s.dog.never && !s.dog.last.IsZero() {
		if u := s.dog.last.Add(s.dog.after()); u.Before(t) {
			return u
		}
	}
	return t
}

// judge takes a device offline of which nothing came for too long.
func (s *sensing) judge(now time.Time) {
	if after := s.dog.after(); !s.dog.never && !s.dog.last.IsZero() && now.Sub(s.dog.last) >= after {
		s.b.presence.set(offline, Stale, fmt.Sprintf("nothing valid came for %v", after.Round(time.Second)))
	}
}

// following is when to read next; the zero time: never. Times that were missed are not made up for.
func following(due time.Time, every time.Duration) time.Time {
	if every == 0 {
		return time.Time{}
	}
	if due = due.Add(every); due.Before(time.Now()) {
		return time.Now()
	}
	return due
}

// read measures. A call into the kernel that hangs makes the device stale meanwhile.
func (s *sensing) read(sensor devices.Sensor) error {
	defer s.guard()()
	return sensor.Read(s.sample)
}

// guard says, until its result is called, that the device is offline once nothing valid came for too long.
func (s *sensing) guard() (done func()) {
	if s.dog.never {
		return func() {}
	}
	t := time.AfterFunc(s.dog.after(), func() {
		s.b.presence.set(offline, Stale, "reading it hangs")
	})
	return func() { t.Stop() }
}

// sample takes what was measured.
func (s *sensing) sample(x devices.Sample) {
	if x.At.IsZero() {
		x.At = time.Now()
	}
	s.valid = true
	s.counts.Frames++
	s.b.presence.count(s.counts)
	s.dog.heard(time.Now())
	s.b.presence.heard(x.At)
	s.b.presence.set(online, "", "")
	s.measured(x)
}

// lost counts edges that were not taken in time.
func (s *sensing) lost(n int) {
	if n == 0 {
		return
	}
	s.counts.Bad += uint64(n)
	s.b.presence.count(s.counts)
	s.b.deps.Log.Warn("edges of the line were lost: they came faster than they were taken", "count", n)
}

// suffer takes why the device could not be read. One that was read before is offline only once that is too long ago, or
// when what it is on is not there.
func (s *sensing) suffer(code, reason string) {
	s.counts.Bad++
	s.b.presence.count(s.counts)
	state, _, _ := s.b.presence.is()
	gone := code == port.Missing || code == port.Forbidden || code == port.Busy
	if state == online && !gone && !s.dog.never && !s.dog.last.IsZero() && time.Since(s.dog.last) < s.dog.after() {
		s.b.deps.Log.Debug("the device could not be read", "code", code, "reason", reason)
		return
	}
	s.b.presence.set(offline, code, reason)
}

// trouble tells code and reason of an error.
func trouble(err error) (code, reason string) {
	if t := new(devices.Trouble); errors.As(err, &t) {
		return t.Code, t.Error()
	}
	return port.Missing, err.Error()
}

// execute carries out a command and answers it; what the device then shows is published. Its error means that the
// device is to be opened again.
func (s *sensing) execute(sensor devices.Sensor, c command) error {
	if now := time.Now(); now.After(c.until) {
		s.b.answer(c.id, expired(c.until, now), nil)
		return nil
	}
	setter, ok := sensor.(devices.Setter)
	if !ok {
		s.b.answer(c.id, refusal{text: "this device takes no commands"}, nil)
		return nil
	}
	var back []devices.Reading
	for _, x := range c.settings {
		rs, err := setter.Set(x.name, x.value)
		back = append(back, rs...)
		if t := new(devices.Trouble); errors.As(err, &t) {
			s.b.answer(c.id, refusal{t.Code, t.Error()}, back)
			return err
		}
		if err != nil {
			s.b.answer(c.id, refusal{text: fmt.Sprintf("%s: %v", x.name, err)}, back)
			return s.read(sensor)
		}
	}
	s.b.answer(c.id, nil, back)
	return s.read(sensor)
}
