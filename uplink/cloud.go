// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"edged/mqtt"
	"edged/uplink/reach"
)

const (
	connackTime = 10 * time.Second
	subackTime  = 30 * time.Second
	brief       = 10 * time.Second // a session that the server ends sooner was hardly ended for our silence
	mostBrief   = 3                // of them in a row mean that another client uses our id
	drainTime   = 1500 * time.Millisecond
	quietTime   = 50 * time.Millisecond
	lastTime    = 500 * time.Millisecond
	// silence is the client's own deadline for answers. The watch judges long before; on a slow link it lets them wait.
	silence = time.Hour
	// mostUnconfirmed is how many commands the cloud may send us before the local broker has taken the first of them
	// (MQTT 5).
	mostUnconfirmed = 100
	// mostAliases is how many topics are sent by a number where the cloud offers that (MQTT 5).
	mostAliases = 1000
	aDay        = 24 * time.Hour
)

// attempt is what came of one try to have a session.
type attempt struct {
	err     error
	up      time.Time // when the server accepted it; zero: it did not
	acked   bool      // the server acknowledged something in it
	refused bool      // CONNACK 1, 2, 4 or 5
	theirs  bool      // the server ended it
	why     cause     // which it gave for that
}

// keepCloud keeps the session with the cloud until ctx ends, and ends it in order.
func (u *Uplink) keepCloud(ctx context.Context) {
	b := newBackoff(time.Now())
	for i := 0; ; {
		t := u.targets[i%len(u.targets)]
		began, showed := time.Now(), u.evidence()
		a := u.try(ctx, t)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		wait := time.Duration(0)
		if a.up.IsZero() || a.why == unavailable || a.why == elsewhere {
			i++
		}
		if !a.up.IsZero() {
			b.lost(a.up, now, a.acked)
		}
		if a.refused {
			wait = b.refused()
		} else {
			wait = b.next(now)
		}
		u.fallen(t, &a, now)
		u.pause(ctx, wait, began, showed, a.refused)
	}
}

// pause waits until the next try is due. It is due at once when what was shown in the last one is renewed, or when the
// network's links change, unless the server said that it does not want us.
func (u *Uplink) pause(ctx context.Context, wait time.Duration, began time.Time, showed evidence, refused bool) {
	end := time.Now().Add(wait)
	due, look := time.NewTimer(wait), time.NewTicker(evidenceEvery)
	defer due.Stop()
	defer look.Stop()
	hurry := func() { due.Reset(max(0, min(time.Until(end), nudgeGap-time.Since(began)))) }
	for {
		select {
		case <-due.C:
			return
		case <-ctx.Done():
			return
		case <-look.C:
			if now := u.evidence(); showed.renewed(now) {
				showed = now
				hurry()
			}
		case <-u.links:
			if !refused {
				hurry()
			}
		}
	}
}

// fallen notes how a try ended.
func (u *Uplink) fallen(t reach.Target, a *attempt, now time.Time) {
	switch {
	case a.up.IsZero():
	case a.why == taken:
		u.brief = max(u.brief+1, mostBrief) // the server says so itself
	case a.theirs && now.Sub(a.up) < brief:
		u.brief++
	default:
		u.brief = 0
	}
	if !a.up.IsZero() {
		u.ended = endOf(a, u.brief >= mostBrief)
	}
	if u.brief >= mostBrief && !a.up.IsZero() {
		a.err = u.takenOver(a.why == taken, a.err)
	}
	state := Down
	if a.refused {
		state = Refused
	}
	code, text := told(a.err)
	u.state(func(s *Status) { s.State, s.Code, s.Text, s.Server = state, code, text, t.String() })
}

// try dials, opens a session and serves it until it ends.
func (u *Uplink) try(ctx context.Context, t reach.Target) (a attempt) {
	as, err := u.credentials(t.Host)
	if a.err = err; err != nil {
		return a
	}
	l, err := u.dialer.Open(ctx, t, nil)
	if err != nil {
		a.err = err
		return a
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	greeted := u.online != nil && !u.online.settled() // then to connect is to send it again
	u.absence.returning()
	network := networkOf(l.Raw)
	as.keepAlive = u.keepAlive(network)
	c, ack, err := u.connect(ctx, life, l, as)
	if err != nil {
		a.err, a.refused = u.refusal(t, err)
		if a.err == nil {
			l.Failed()
			a.err = u.dialer.Explain(ctx, l, err)
		}
		return a
	}
	l.Worked()
	s := &session{u: u, c: c, line: l, pipe: pipeOf(l.Raw), ack: ack, greeted: greeted, ends: as.ends, asked: as.keepAlive, network: network, up: time.Now()}
	u.allows(as.keepAlive, ack.KeepAlive)
	s.out = newOutlet(s.pipe)
	s.spread = newSpread(u.topics.cloud.Rate(), u.outside.Unacknowledged())
	s.accepted()
	a.up = s.up
	a.err, a.theirs = s.serve(ctx, life, end)
	a.why, a.err = u.ending(t, a.err)
	u.narrowed(&a, &s.out)
	a.acked = c.Progress().LastAck.After(s.up)
	s.over()
	return a
}

func (u *Uplink) connect(ctx, life context.Context, l *reach.Conn, as shown) (*mqtt.Client, mqtt.Connack, error) {
	ctx, cancel := context.WithTimeout(ctx, connackTime)
	defer cancel()
	c, ack, err := mqtt.Connect(ctx, l, u.outside, mqtt.Config{
		ClientID: u.cfg.ClientID, Version: u.cfg.Version, SessionExpiry: forever,
		// A server may allow more time than the way to it does (NAT), so ours counts too.
		KeepAlive: as.keepAlive, PingAfter: pingAfter(as.keepAlive),
		Username: as.user, Password: as.password, Will: &mqtt.Will{Message: u.presence("offline")},
		Window: u.width(), ReceiveMaximum: mostUnconfirmed, TopicAliases: mostAliases, ResponseTimeout: silence,
		OnMessage: u.incoming(life), ManualAck: true,
	})
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer to CONNECT in %v: %w", connackTime, err)
	}
	return c, ack, err
}

// session is one session with the cloud that was accepted.
type session struct {
	u       *Uplink
	c       *mqtt.Client
	line    *reach.Conn
	pipe    pipe
	ack     mqtt.Connack
	ends    time.Time     // of what we showed; zero: never
	asked   time.Duration // the keep-alive
	network string
	spread  spread      // of the pump
	out     outlet      // of the watch, until it has ended
	greeted bool        // the server gets our "online" again
	hurry   atomic.Bool // what waits for company goes
	up      time.Time
}

func (s *session) accepted() {
	u := s.u
	u.window.opened()
	u.singly.Store(false)
	if u.absence.back(s.ack.SessionPresent); !s.ack.SessionPresent {
		u.flight.forget()
	}
	var warning error
	switch {
	case u.brief >= mostBrief:
		warning = u.takenOver(false, nil)
	case u.narrow >= mostNarrow:
		warning = u.tooNarrow(nil)
	}
	u.state(func(st *Status) {
		if u.sessions++; u.sessions > 1 {
			st.Reconnects++
			st.ReconnectsBy[u.ended]++
		}
		st.State, st.Code, st.Text = Up, "", ""
		st.Server, st.SessionPresent = s.line.Target.String(), s.ack.SessionPresent
		if warning != nil {
			st.Code, st.Text = told(warning)
		}
		u.client, u.live = s.c, s
	})
	if kept := s.ack.SessionExpiry; u.cfg.Version == 5 && kept < aDay {
		u.log.Warn("the cloud keeps our session for a short time only: commands that come in a longer outage are lost", "kept", kept)
	}
}

// over notes what is left of a session.
func (s *session) over() {
	thrown, changed := s.u.window.closed()
	p := s.c.Progress()
	s.u.absence.left(p.LastAck)
	s.u.count(func(st *Status) {
		st.Discarded += thrown
		st.LastAck, st.RoundTrip = p.LastAck, p.RoundTrip
		s.u.client, s.u.live = nil, nil
	})
	if changed {
		s.u.changed()
	}
}

// serve works until the session ends, or ctx: then it ends it in order. end ends life, which those who work for the
// session have.
func (s *session) serve(ctx, life context.Context, end context.CancelFunc) (err error, theirs bool) {
	var workers sync.WaitGroup
	failed := make(chan error, 5) // never full: each worker fails once
	work := func(do func(context.Context) error) {
		workers.Go(func() {
			// One that fails because the connection ended has nothing to say: why it ended does the client know.
			if err := do(life); err != nil && life.Err() == nil && s.c.Err() == nil {
				failed <- err
			}
		})
	}
	pumping, stopPump := context.WithCancel(life)
	work(func(context.Context) error { return s.pump(pumping) })
	work(s.subscribe)
	work(s.watch)
	work(s.renew)
	work(s.adopt)
	select {
	case <-s.c.Done():
		err = s.c.Err()
		theirs = reach.HungUp(err)
		if errors.Is(err, syscall.ETIMEDOUT) { // the kernel saw it before the watch did
			err = fmt.Errorf("%w (%w)", errDead, err)
		}
	case err = <-failed:
		s.part(life, err)
	case <-ctx.Done():
		s.drain(life)
		stopPump()
		s.leave(life)
	}
	stopPump()
	end()
	if closing := s.c.Close(); closing != nil {
		s.u.log.Debug("closing the session with the cloud", "err", closing)
	}
	<-s.c.Done()
	workers.Wait()
	return err, theirs
}

// drain lets what is on its way arrive, and what the bridges said last.
func (s *session) drain(ctx context.Context) {
	s.hurry.Store(true)
	signal(s.u.window.news)
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	quiet := time.NewTimer(quietTime)
	defer quiet.Stop()
	for {
		select {
		case <-quiet.C:
			if s.u.window.owed() == 0 {
				return
			}
		case <-s.u.window.calm:
		case <-s.c.Done():
			return
		case <-ctx.Done():
			return
		}
		quiet.Reset(quietTime)
	}
}

// leave says "offline" and ends the session. If the cloud does not confirm that in time, the connection is dropped, so
// that the will says it.
func (s *session) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastTime)
	defer cancel()
	e, err := s.say(ctx, "offline")
	if err == nil {
		select {
		case <-e.pending.Done():
			err = s.c.Disconnect(ctx)
		case <-s.c.Done():
			err = s.c.Err()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		s.u.log.Info("left the cloud without a farewell; its broker publishes the will", "err", err)
	}
}
