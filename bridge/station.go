// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"edged/bridge/bus"
	"edged/bridge/port"
	"edged/devices"
)

// station is a device on a shared line. The bus calls it; a panic of the driver ends the device, not the bus.
type station struct {
	*line
	bus    *bus.Bus
	failed chan error // holds one: the driver failed, and the device has to begin anew
	broken bool

	talk  *talk     // nil: the line is not open, or the driver failed
	out   []byte    // what is to be written in the next turn; nil: nothing goes on
	judge time.Time // when the device is judged next
}

// share gives the device a place on its bus until ctx ends or its driver fails.
func (l *line) share(ctx context.Context) error {
	l.seq.prepare()
	s := &station{line: l, bus: l.b.deps.Bus, failed: make(chan error, 1)}
	seat := s.bus.Join(s, l.simulated())
	l.b.seat.Store(seat)
	l.b.presence.onLine(func() *Line { return fares(s.bus, seat) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	l.b.seat.Store(nil)
	seat.Leave()
	if s.talk != nil {
		s.talk.finish(nil)
		s.talk.abandon(refusal{text: "the device was stopped before it answered"})
	}
	if failure := (driverError{}); errors.As(err, &failure) {
		return failure.err
	}
	return err
}

// fares tells how a device does on its line.
func fares(b *bus.Bus, seat *bus.Seat) *Line {
	f := seat.Figures()
	return &Line{
		Bus: b.Name(), Utilisation: round(b.Status().Utilisation, 3), ReplyP95MS: round(float64(f.ReplyP95)/1e6, 1), ErrorRate: round(f.ErrorRate, 3),
		Requests: f.Turns, Unanswered: f.Silent, Suspended: f.Suspended,
	}
}

// guard runs a part of the station, in which its driver may panic.
func (s *station) guard(f func() error) {
	if s.broken {
		return
	}
	err := contain(f)
	if err == nil {
		return
	}
	s.broken, s.talk, s.out = true, nil, nil
	s.failed <- err // nobody else writes to it, and it is written to once
}

// Line hears that the line was opened, or why it is not.
func (s *station) Line(err error) {
	s.guard(func() error {
		if s.talk != nil {
			s.talk.finish(err)
		}
		s.talk, s.out = nil, nil
		if err == nil {
			return s.open()
		}
		code, reason := s.why(err)
		s.b.presence.set(offline, code, reason)
		s.refuse(refusal{code, reason})
		return nil
	})
}

// refuse answers the commands that wait.
func (s *station) refuse(why refusal) {
	for {
		select {
		case c := <-s.b.commands:
			s.b.answer(c.id, why, nil)
		default:
			return
		}
	}
}

func (s *station) open() error {
	t, err := s.newTalk()
	if err != nil {
		return err
	}
	t.write = func(p []byte) { s.out = p }
	if s.bus.Listens() {
		t.poll = poller{}
		if o, ok := t.dec.(devices.Overhearer); ok {
			o.Overhear()
		}
	}
	s.talk, s.judge = t, t.opened.Add(firstVerdict)
	return nil
}

// Next says when the device is to be asked, and whether a command waits.
func (s *station) Next(now time.Time) (due time.Time, urgent bool) {
	s.guard(func() error {
		t := s.talk
		if t == nil {
			return nil
		}
		if !now.Before(s.judge) {
			s.judge = now.Add(healthGap)
			s.verdict(now)
		}
		switch {
		case s.bus.Listens():
			s.refuse(refusal{text: "edged only listens on this line: another master asks the devices"})
		case s.out != nil && t.now != nil && t.now.command != nil, s.out == nil && len(s.b.commands) > 0:
			due, urgent = now, true
		default:
			due = t.poll.due
		}
		return nil
	})
	return due, urgent
}

// Begin gives the next request: of a command, before those that ask for readings.
func (s *station) Begin(now time.Time) (r bus.Request, ok bool) {
	s.guard(func() error {
		t := s.talk
		if t == nil {
			return nil
		}
		for s.out == nil && t.now == nil && s.next(now) {
		}
		if s.out == nil {
			return nil
		}
		x := t.now
		r = bus.Request{Bytes: s.out, Mute: x.request.Expect == devices.ExpectNothing, Within: x.request.Within}
		s.out, ok = nil, true
		if !r.Mute {
			t.wrote(nil) // from now on an answer ends the exchange
		}
		return nil
	})
	return r, ok
}

// next begins what is to be done, or says that there is nothing.
func (s *station) next(now time.Time) bool {
	select {
	case c := <-s.b.commands:
		s.talk.begin(c)
		return true
	default:
	}
	if due := s.talk.poll.due; due.IsZero() || due.After(now) {
		return false
	}
	s.talk.ask(now)
	return s.talk.now == nil // the round was over
}

// Hear hands bytes to the driver.
func (s *station) Hear(p []byte, at time.Time) (over bool) {
	over = true
	s.guard(func() error {
		t := s.talk
		if t == nil {
			return nil
		}
		t.feed(p, at)
		over = t.now == nil || s.out != nil
		return nil
	})
	return over
}

// Aside lets the driver notice that another master asks its device.
func (s *station) Aside(p []byte) {
	s.guard(func() error {
		if s.talk == nil {
			return nil
		}
		if d, ok := s.talk.dec.(devices.Bystander); ok {
			d.Aside(p)
		}
		return nil
	})
}

// End takes what became of a turn.
func (s *station) End(err error) {
	s.guard(func() error {
		t := s.talk
		if t == nil {
			return nil
		}
		// What is left of a frame must not be the beginning of the next answer.
		t.ended = true
		t.dec.End(t.sample)
		t.b.presence.count(t.dec.Counts())
		switch {
		case t.now == nil || s.out != nil: // answered
		case errors.Is(err, bus.ErrSilent), errors.Is(err, os.ErrDeadlineExceeded):
			t.late()
		case t.now.deadline.IsZero(): // it is mute
			t.wrote(err)
		case err != nil:
			t.end(refusal{port.Missing, "the port is gone: " + err.Error()})
		}
		return nil
	})
}

// verdict turns a device offline that has been silent for too long, and says why.
func (s *station) verdict(now time.Time) {
	t := s.talk
	state, _, _ := t.b.presence.is()
	stale := now.Sub(t.since()) >= t.dog.after()
	if t.dog.never || state == online && !stale || !stale && now.Sub(t.opened) < firstVerdict {
		return
	}
	c := t.dec.Counts()
	bad := c.Bad - t.valid.Bad
	silence := now.Sub(t.since()).Round(100 * time.Millisecond)
	switch {
	case t.frames == 0 && bad > 0:
		t.b.presence.set(offline, Unreadable, fmt.Sprintf("all of %d frames are damaged: is the baud rate %v right, and the line terminated?", bad, s.bus.Mode()))
	case t.frames == 0 && s.bus.Listens():
		t.b.presence.set(offline, Silent, fmt.Sprintf("nothing of it was heard for %v: is it asked by the other master?", silence))
	case t.frames == 0:
		t.b.presence.set(offline, Silent, fmt.Sprintf("it has not answered for %v: is it powered, and are its address and the baud rate %v right?", silence, s.bus.Mode()))
	case stale:
		t.b.presence.set(offline, Stale, fmt.Sprintf("it has not answered for %v", silence))
	}
}

// simulated is the device's far end of a simulated line; nil: the port is a real one, or the driver has no simulator.
func (l *line) simulated() port.Peer {
	make := l.peer()
	if make == nil {
		return nil
	}
	return calmPeer{l.b, make()}
}

// calmPeer is a simulator whose panic is the end of what it says, not of the bus.
type calmPeer struct {
	b *Bridge
	port.Peer
}

// Tick is the simulator's.
func (c calmPeer) Tick(now time.Time, out []byte) (all []byte, next time.Time) {
	all = out
	c.contain(func() { all, next = c.Peer.Tick(now, out) })
	return all, next
}

// Receive is the simulator's.
func (c calmPeer) Receive(p []byte, now time.Time, out []byte) (all []byte) {
	all = out
	c.contain(func() { all = c.Peer.Receive(p, now, out) })
	return all
}

func (c calmPeer) contain(f func()) {
	err := contain(func() error {
		f()
		return nil
	})
	if err != nil {
		c.b.deps.Log.Error("the simulator failed", "err", err)
	}
}
