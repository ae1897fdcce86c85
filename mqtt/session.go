// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"edged/mqtt/wire"
)

// Session is what survives connections: unacknowledged publishes in their order, and the state of QoS 2 in both
// directions. It lives in memory, holds at most Config.Window messages, and serves one [Client] at a time.
type Session struct {
	mu       sync.Mutex // of the session and of the client that has it
	client   *Client    // nil: none
	out      []*Pending // unacknowledged, in order of Publish; those on the client's wire come first
	byID     map[uint16]*Pending
	lastID   uint16
	received map[uint16]struct{} // deliveries of QoS 2 that were taken and that the server has not released
}

// NewSession returns a session without state.
func NewSession() *Session {
	return &Session{byID: map[uint16]*Pending{}, received: map[uint16]struct{}{}}
}

// Unacknowledged returns how many publishes wait for their acknowledgement.
func (s *Session) Unacknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.out)
}

// stage is how far a publish has come.
type stage byte

const (
	waiting  stage = iota // for its turn on the wire
	sent                  // PUBLISH is out
	received              // PUBREC came, PUBREL waits for Pending.Release
	released              // PUBREC came, PUBREL is what is to be (re)sent
)

// Pending is a publish on its way.
type Pending struct {
	done  chan struct{}
	err   error         // set before done is closed
	taken chan struct{} // closed when PUBREC came; nil unless PUBREL waits for Release
	s     *Session

	// Of the session, under its lock.
	id     uint16
	chosen bool // id is the caller's
	msg    wire.Message
	until  time.Time // when it expires; zero: never
	stage  stage
	tried  bool      // the server may have it: DUP
	free   bool      // Release was called
	at     time.Time // when it was put on the wire
}

// Done is closed when the server has acknowledged the message (at QoS 0: at once), or never will because it refused it.
// That may come from a later [Client] of the same [Session].
func (p *Pending) Done() <-chan struct{} { return p.done }

// Err returns, once Done is closed, nil for a message that the server took, a [ReasonError] for one that it refused, or
// what wraps [ErrUnsendable] for one that a later connection's limits keep back.
func (p *Pending) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Taken is closed when the server has a message of QoS 2 for which Config.ManualRelease holds, and waits for Release. It
// stays open when the server refused the message, see Done.
func (p *Pending) Taken() <-chan struct{} { return p.taken }

// Release lets the server forget the identifier of such a message: PUBREL goes out as soon as it may.
func (p *Pending) Release() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.free = true
	if p.stage != received {
		return
	}
	p.stage = released
	c := p.s.client
	if c != nil && slices.Contains(p.s.out[:c.onWire], p) && c.over() == nil {
		c.out = wire.AppendAck(c.out, wire.Pubrel, p.id, 0, c.cfg.Version)
		signal(c.wake)
	}
}

// recorded notes PUBREC.
func (p *Pending) recorded() {
	p.stage = released
	if p.taken == nil {
		return
	}
	if !p.free {
		p.stage = received
	}
	select {
	case <-p.taken:
	default:
		close(p.taken)
	}
}

// settle takes the publish at i out of the session.
func (s *Session) settle(i int, err error) {
	p := s.out[i]
	s.out = slices.Delete(s.out, i, i+1)
	delete(s.byID, p.id)
	p.err = err
	close(p.done)
}

// add puts a publish at the end; id 0: the next free one.
func (s *Session) add(m *Message, id uint16, tried bool, now time.Time) (*Pending, error) {
	if id != 0 && s.byID[id] != nil {
		return nil, fmt.Errorf("packet identifier %d is in use", id)
	}
	p := &Pending{
		done: make(chan struct{}), id: id, chosen: id != 0, tried: tried, s: s,
		msg: wire.Message{Topic: m.Topic, Payload: bytes.Clone(m.Payload), Props: bytes.Clone(m.Props), QoS: m.QoS, Retain: m.Retain},
	}
	if m.Expiry > 0 {
		p.until = now.Add(m.Expiry)
	}
	if m.QoS == 2 && s.client.cfg.ManualRelease {
		p.taken = make(chan struct{})
	}
	if id == 0 {
		p.id = s.freeID()
	}
	s.byID[p.id] = p
	s.out = append(s.out, p)
	return p, nil
}

// freeID returns an identifier that neither a publish nor a request of the client has. There always is one: the window
// is smaller than what there are.
func (s *Session) freeID() uint16 {
	for {
		if s.lastID++; s.lastID != 0 && s.byID[s.lastID] == nil && !s.client.asks(s.lastID) {
			return s.lastID
		}
	}
}

// take gives the session to c, whose server had it (present) or not, and makes everything wait for the wire again. A
// server that lost the session knows of nothing: all is published anew, under new identifiers, even what it had
// answered with PUBREC, since it may have forgotten that before passing it on.
func (s *Session) take(c *Client, present bool) {
	s.client = c
	if !present {
		clear(s.received)
	}
	for _, p := range s.out {
		switch {
		case !present:
			p.stage, p.tried = waiting, false
			if !p.chosen {
				delete(s.byID, p.id)
				p.id = s.freeID()
				s.byID[p.id] = p
			}
		case p.stage == sent:
			p.stage, p.tried = waiting, true
		}
	}
}

// errInUse is for a second client on a session.
var errInUse = errors.New("the session is in use by another connection")
