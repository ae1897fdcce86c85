// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"edged/bridge/port"
)

const (
	readSize     = 512
	writeTimeout = 2 * time.Second        // for a peer that takes no bytes
	defaultReply = time.Second            // how long an answer may take where the station does not say
	afterSilence = 20 * time.Millisecond  // quiet after a turn without an answer: the latency of USB adapters, and a late answer's gaps
	afterStrange = 50 * time.Millisecond  // quiet after bytes in nobody's turn: what another master asked is answered within it
	quietWait    = 500 * time.Millisecond // a line that is never quiet is written to all the same
	lateBytes    = 50 * time.Millisecond  // an answer that has begun may go on for so long behind its time
	longestReply = 400 * time.Millisecond // and no longer in all
)

// chunk is what one read gave.
type chunk struct {
	n   int
	at  time.Time
	err error
}

// line is one opening of the port. The goroutine of Run owns it; a second one reads.
type line struct {
	bus  *Bus
	port port.Port
	gap  time.Duration // silence between two frames
	char time.Duration // that a byte takes on the wire; 0: it is no UART

	buf    []byte
	chunks chan chunk    // from the reader, which waits for again
	again  chan struct{} // the buffer is free

	free     time.Time // the line is quiet enough from then on
	mourn    time.Time // no turn for the dead before this, when somebody waits
	commands int       // turns in a row
}

// use gives turns on an open port until that is gone or ctx ends, and closes it.
func (b *Bus) use(ctx context.Context, p port.Port) error {
	l := &line{bus: b, port: p, buf: make([]byte, readSize), chunks: make(chan chunk), again: make(chan struct{})}
	if port.Serial(b.cfg.Port) {
		l.gap, l.char = b.mode.Silence(), b.mode.Character()
	}
	ctx, cancel := context.WithCancel(ctx)
	closed := make(chan error, 1)
	context.AfterFunc(ctx, func() { closed <- p.Close() }) // unblocks a write, too
	var reading sync.WaitGroup
	reading.Go(func() { l.read(ctx) })
	b.tell(nil, true)
	err := l.serve(ctx)
	cancel()
	reading.Wait()
	if cerr := <-closed; cerr != nil {
		b.deps.Log.Debug("closing the port", "err", cerr)
	}
	return err
}

// read hands each piece of bytes to the owner, with the time it came.
func (l *line) read(ctx context.Context) {
	for {
		n, err := l.port.Read(l.buf)
		select {
		case l.chunks <- chunk{n, time.Now(), err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case <-l.again:
		case <-ctx.Done():
			return
		}
	}
}

// take has use made of a piece of bytes, and lets the reader go on.
func (l *line) take(c chunk, use func(p []byte, at time.Time)) error {
	if c.n > 0 {
		use(l.buf[:c.n], c.at)
	}
	if c.err != nil {
		return gone(c.err)
	}
	l.again <- struct{}{} // the reader waits for nothing else
	return nil
}

// gone says in words that the port ended.
func gone(err error) error {
	text := "the port is gone: unplugged?"
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		text += " (" + err.Error() + ")"
	}
	return &port.Error{Code: port.Missing, Text: text, Do: "plug it in again", Err: err}
}

// serve gives one turn after the other.
func (l *line) serve(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.bus.tell(nil, false)
		s, again := l.choose(time.Now())
		if l.bus.cfg.Listen {
			s = nil
		}
		if s != nil {
			if err := l.turn(ctx, s, timer); err != nil {
				return err
			}
			continue
		}
		timer.Reset(time.Until(again))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-l.chunks:
			if err := l.take(c, l.strange); err != nil {
				return err
			}
		case <-l.bus.wake:
		case <-timer.C:
		}
	}
}

// strange takes bytes in nobody's turn: those of another master and its devices, and answers that come too late.
func (l *line) strange(p []byte, at time.Time) {
	l.bus.strayed(len(p))
	l.free = later(l.free, at.Add(max(l.gap, afterStrange)))
	for _, s := range l.bus.all() {
		s.do(func(x Station) {
			if l.bus.cfg.Listen {
				x.Hear(p, at)
			} else {
				x.Aside(p)
			}
		})
	}
}

// aside lets the stations hear what comes in another's turn.
func (l *line) aside(but *Seat, p []byte) {
	for _, s := range l.bus.all() {
		if s != but {
			s.do(func(x Station) { x.Aside(p) })
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// quiet waits until the line is, and drops what comes meanwhile.
func (l *line) quiet(ctx context.Context, timer *time.Timer) error {
	for begun := time.Now(); ; {
		timer.Reset(max(0, min(time.Until(l.free), quietWait-time.Since(begun))))
		select {
		case c := <-l.chunks:
			if err := l.take(c, l.strange); err != nil {
				return err
			}
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-l.chunks:
			if err := l.take(c, l.strange); err != nil {
				return err
			}
		case <-timer.C:
			return nil
		}
	}
}

// turn is one station's: a request, and what comes of it. An error is one of the line.
func (l *line) turn(ctx context.Context, s *Seat, timer *time.Timer) error {
	if err := l.quiet(ctx, timer); err != nil {
		return err
	}
	begun := time.Now()
	s.patient.served = begun
	var r Request
	var ok bool
	s.do(func(x Station) { r, ok = x.Begin(begun) })
	if !ok {
		return nil
	}
	failed := l.port.SetWriteDeadline(begun.Add(writeTimeout))
	if failed == nil {
		_, failed = l.port.Write(r.Bytes)
	}
	out := later(time.Now(), begun.Add(time.Duration(len(r.Bytes))*l.char)) // when the last byte is out
	l.free = out.Add(l.gap)
	var heard time.Time
	var err error
	switch {
	case failed != nil:
	case r.Mute:
		failed, err = nil, l.wait(ctx, out, timer)
	default:
		heard, failed, err = l.listen(ctx, s, out, cmp.Or(r.Within, defaultReply), timer)
	}
	if err != nil {
		s.do(func(x Station) { x.End(err) })
		return err
	}
	l.ended(s, r, begun, heard, failed)
	s.do(func(x Station) { x.End(failed) })
	if failed != nil && !errors.Is(failed, ErrSilent) && !errors.Is(failed, os.ErrDeadlineExceeded) {
		return gone(failed)
	}
	return nil
}

// ended takes stock of a turn.
func (l *line) ended(s *Seat, r Request, begun, heard time.Time, failed error) {
	now := time.Now()
	l.bus.occupied(begun, now)
	switch {
	case r.Mute && failed == nil:
	case failed == nil:
		s.patient.answered()
		s.figures.note(heard.Sub(begun), false)
	default:
		l.free = later(l.free, now.Add(afterSilence))
		s.patient.silent(now, now.Sub(begun))
		if s.patient.suspended() {
			l.mourn = now.Add((deadShare - 1) * now.Sub(begun))
		}
		s.figures.note(-1, s.patient.suspended())
	}
}

// wait lets time pass, in which nothing that comes is for anybody.
func (l *line) wait(ctx context.Context, until time.Time, timer *time.Timer) error {
	for {
		timer.Reset(time.Until(until))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-l.chunks:
			if err := l.take(c, l.strange); err != nil {
				return err
			}
		case <-timer.C:
			return nil
		}
	}
}

// listen hands what comes to the station until that has its answer. An answer that has begun in time may end later.
func (l *line) listen(ctx context.Context, s *Seat, out time.Time, within time.Duration, timer *time.Timer) (heard time.Time, failed, err error) {
	if s.patient.suspended() {
		within = min(within, s.figures.usual(within))
	}
	deadline := out.Add(within)
	last := deadline.Add(longestReply)
	for over := false; ; {
		timer.Reset(time.Until(deadline))
		select {
		case <-ctx.Done():
			return heard, nil, ctx.Err()
		case c := <-l.chunks:
			if c.n > 0 {
				heard = c.at
			}
			err := l.take(c, func(p []byte, at time.Time) {
				l.free = at.Add(l.gap)
				l.aside(s, p)
				s.do(func(x Station) { over = x.Hear(p, at) })
			})
			if err != nil || over {
				return heard, nil, err
			}
			if on := c.at.Add(lateBytes); on.After(deadline) && on.Before(last) {
				deadline = on
			}
		case <-timer.C:
			return heard, ErrSilent, nil
		}
	}
}
