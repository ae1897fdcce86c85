// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"edged/mqtt"
)

// pump says "online" and sends what waits, in order, until ctx ends.
func (s *session) pump(ctx context.Context) error {
	if err := s.greet(ctx); err != nil {
		return fmt.Errorf("publish the gateway's presence: %w", err)
	}
	for {
		e := s.await(ctx)
		if e == nil {
			return nil
		}
		if e.parts != nil {
			s.u.pack(e)
		}
		if err := s.u.quota.wait(ctx); err != nil {
			return nil // only ctx ends it
		}
		if err := s.u.rate.take(ctx, len(e.msg.Topic)+len(e.msg.Payload)); err != nil {
			return nil // the same
		}
		if err := s.send(ctx, e); err != nil {
			return err
		}
	}
}

// send sends one entry. Unless it fails, the entry is not the head any more.
func (s *session) send(ctx context.Context, e *entry) error {
	u := s.u
	m, late := s.fit(e)
	if late {
		u.count(func(st *Status) { st.Expired++ })
		u.finished(e)
		return nil
	}
	err := u.topics.cloud.Permits(m.Topic, len(m.Payload))
	if err != nil {
		u.refusedFor(e, err)
		return nil
	}
	if err := s.spread.wait(ctx); err != nil {
		return err
	}
	if m.QoS == 0 {
		_, err = s.c.Publish(ctx, m)
	} else if err = s.free(ctx, e.id); err == nil {
		var p *mqtt.Pending
		// A cloud that forgot the session knows of no earlier try, so to it this is the first.
		if p, err = s.c.PublishAs(ctx, e.id, m, u.window.dup(e) && s.ack.SessionPresent); err == nil {
			u.window.fly(e, p)
		}
	}
	switch {
	case errors.Is(err, mqtt.ErrUnsendable):
		u.refusedFor(e, err)
		return nil
	case err != nil:
		return err
	case m.QoS == 0:
		u.finished(e)
	default:
		u.lastID.Store(uint32(e.id))
	}
	u.count(func(st *Status) { st.Sent += uint64(max(len(e.parts), 1)) })
	return nil
}

// free waits until no publish has the identifier any more.
func (s *session) free(ctx context.Context, id uint16) error {
	for p := s.u.window.busy(id); p != nil; p = s.u.window.busy(id) {
		select {
		case <-p.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// greet says "online", unless that of an earlier session is sent again: a server that acknowledges nothing would
// otherwise fill the window with them.
func (s *session) greet(ctx context.Context) error {
	if s.greeted {
		return nil
	}
	e, err := s.say(ctx, "online")
	if err == nil {
		s.u.online = e
	}
	return err
}

// say publishes the gateway's presence, under an identifier far from those of the local deliveries, which count up.
func (s *session) say(ctx context.Context, payload string) (*entry, error) {
	id := uint16(s.u.lastID.Load()) ^ 0x8000
	for id == 0 || s.u.window.busy(id) != nil {
		id++
	}
	e := &entry{id: id, msg: s.u.presence(payload)}
	m, _ := s.fit(e)
	var err error
	if m.QoS == 0 {
		e.pending, err = s.c.Publish(ctx, m)
		return e, err
	}
	p, err := s.c.PublishAs(ctx, id, m, false)
	if err != nil {
		return nil, err
	}
	s.u.window.fly(e, p)
	return e, nil
}

const (
	watchEvery = 500 * time.Millisecond
	nudgeGap   = 3 * time.Second // between two looks, or tries, because the network changed
)

// errDead is why the watch ended a session.
var errDead = errors.New("the link is dead: nothing was acknowledged")

// watch ends a session whose link is dead, and looks whether it is when the network changed.
func (s *session) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	v := vitals{lastTaken: s.up}
	taken, _ := s.pipe.Taken()
	limit := minPatience
	var looked time.Time
	for {
		select {
		case now := <-tick.C:
			if now.Sub(looked) >= nudgeGap && s.nudged() {
				looked = now
				if a, gone := s.addressGone(); gone {
					return fmt.Errorf("%w: %s", errMoved, a)
				}
				s.c.Ping()
			}
			if n, known := s.pipe.Taken(); known && n != taken {
				taken, v.lastTaken = n, now
			}
			s.out.look(s.pipe)
			p := s.c.Progress()
			v.oldest, v.lastAck, v.roundTrip = p.OldestUnacked, p.LastAck, p.RoundTrip
			if v.dead(now) {
				return fmt.Errorf("%w for %v", errDead, now.Sub(p.OldestUnacked).Round(time.Millisecond))
			}
			if l := patience(p.RoundTrip); l != limit {
				limit = l
				if err := s.pipe.Patience(l); err != nil {
					s.u.log.Debug("the kernel keeps its patience", "err", err)
				}
			}
			s.proven(now)
			s.wide()
		case <-ctx.Done():
			return nil
		}
	}
}

// nudged says whether the network changed since it was asked last.
func (s *session) nudged() bool {
	select {
	case <-s.u.links:
		return true
	default:
		return false
	}
}

// proven takes the suspicion of another client with our id back, once a session has lasted.
func (s *session) proven(now time.Time) {
	if s.u.brief == 0 || now.Sub(s.up) < brief {
		return
	}
	s.u.brief = 0
	s.u.state(func(st *Status) {
		if st.Code == "E313" {
			st.Code, st.Text = "", ""
		}
	})
}

// addressGone says whether our end of the connection has an address that no interface has any more.
func (s *session) addressGone() (netip.Addr, bool) {
	ours, err := netip.ParseAddrPort(s.line.Raw.LocalAddr().String())
	if err != nil {
		return netip.Addr{}, false // no address of a network
	}
	have, err := net.InterfaceAddrs()
	a := ours.Addr().Unmap().WithZone("")
	if err != nil || len(have) == 0 || a.IsLoopback() {
		return a, false
	}
	for _, h := range have {
		if p, err := netip.ParsePrefix(h.String()); err == nil && p.Addr().Unmap() == a {
			return a, false
		}
	}
	return a, true
}
