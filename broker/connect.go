// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// connect handles the first packet. Nothing is locked: a login may take its time.
func (c *conn) connect(ctx context.Context, h byte, body []byte) *wire.Fault {
	p, f := wire.DecodeConnect(h, body)
	if f != nil {
		return f
	}
	if p.Level == 0 {
		return c.reject(4, wire.RefusedVersion, wire.UnsupportedVersion)
	}
	c.version = p.Level
	if p.AuthMethod != "" {
		return c.reject(p.Level, wire.RefusedAuthority, wire.BadAuthMethod)
	}
	if p.ClientID == "" && (p.Level == 3 || p.Level == 4 && !p.Clean) {
		return c.reject(p.Level, wire.RefusedClientID, wire.ClientIDInvalid)
	}
	if f := c.login(ctx, p); f != nil {
		return f
	}
	c.in.Lock()
	defer c.in.Unlock()
	if c.gone {
		return goodbye()
	}
	assigned := ""
	if p.ClientID == "" {
		assigned = c.who.ID
	}
	p.ClientID = c.who.ID
	c.maxSize, c.noTexts, c.given = int(p.MaximumPacketSize), p.NoProblemInfo, newOutAliases(p.TopicAliasMaximum)
	ack := c.accept(p, assigned)
	if ack == nil {
		return &wire.Fault{Code: wire.TooLarge, Text: "CONNACK is longer than the client takes"}
	}
	c.b.makeRoom(c.scratch)
	unlock := c.b.setup.lock(p.ClientID)
	defer unlock()
	if c.isTaken(p.ClientID) {
		c.b.refuseLogin(c, p, errTaken)
		return c.reject(p.Level, wire.RefusedAuthority, wire.NotAuthorized)
	}
	if code := c.b.enlist(c, p.ClientID); code != 0 {
		return c.reject(p.Level, wire.RefusedUnavailable, code)
	}
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return goodbye()
	}
	c.begin(p, ack)
	if !c.who.MayStay() { // a reload has come between
		return &wire.Fault{Code: wire.NotAuthorized, Text: "no right to be here any more"}
	}
	return nil
}

func newClientID() string {
	var id [12]byte
	rand.Read(id[:]) //nolint:errcheck // never fails
	return "auto-" + hex.EncodeToString(id[:])
}

// reject answers CONNECT with a refusal: code is the return code up to 3.1.1, reason that of 5.
func (c *conn) reject(level, code, reason byte) *wire.Fault {
	p := wire.ConnackPacket{Code: code}
	if level == 5 {
		p.Code = reason
	}
	c.closeAfter(&c.scratch.round, wire.AppendConnack(nil, &p, level))
	return goodbye()
}

// enlist counts a client in, or says why there is no place for it.
func (b *Broker) enlist(c *conn, clientID string) (code byte) {
	b.mu.Lock()
	s := b.sessions[clientID]
	sessions, outside, stopping := len(b.sessions), b.outside, b.stopping
	b.mu.Unlock()
	switch {
	case stopping:
		return wire.ServerUnavailable
	case c.inside:
	case outside >= b.limits().Clients && (s == nil || !connected(s)): // who takes over takes no place
		b.counters.Hit(statistics.Clients)
		return wire.ServerBusy
	case s == nil && sessions >= maxSessions:
		b.counters.Hit(statistics.Sessions)
		return wire.QuotaExceeded
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, here := b.conns[c]; !here || c.admitted {
		return 0
	}
	c.admitted = true
	b.count(c, -1)
	if !c.inside {
		b.outside++
	}
	return 0
}

// begin attaches the connection to its session. The set-up lock of the client identifier is held.
func (c *conn) begin(p *wire.ConnectPacket, ack *wire.ConnackPacket) {
	b := c.b
	s := b.find(p.ClientID)
	if s != nil {
		b.takeOver(c.scratch, s)
		s = b.find(p.ClientID)
	}
	if s != nil && (p.Clean || s.User != c.who.User()) {
		b.end(c.scratch, s)
		s = nil
	}
	expiry := b.expiry(p)
	if ack.SessionPresent = s != nil; s == nil {
		s = b.create(p.ClientID, c.who.User(), expiry > 0)
	}

	s.Lock()
	defer s.Unlock()
	s.Version, s.Expiry, s.Will = p.Level, expiry, newWill(p.Will, c.who.User())
	s.SetQueue(b.queue(c.who))
	b.counters.Connect()
	s.Attach(c, session.Window(p.ReceiveMaximum))
	c.standing.Store(s)
	s.Weigh()
	b.recordSoon(s)
	c.send(&c.scratch.round, wire.AppendConnack(nil, ack, p.Level))
	for _, id := range s.Released() {
		c.answer(wire.Pubrel, id, 0, s.Said())
	}
	s.Pump(&c.scratch.round)
}

// recordSoon writes the session's record, later when the disk takes none. The session is locked.
func (b *Broker) recordSoon(s *session.Session) {
	if b.journal.Writable() && b.journal.Pending() < maxPending {
		s.Record(1)
	} else {
		s.RecordLater()
	}
}

func (b *Broker) find(clientID string) *session.Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[clientID]
}

func (b *Broker) create(clientID, user string, persistent bool) *session.Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastOrder++
	num := uint32(0)
	if persistent {
		b.lastNum++
		num = b.lastNum
	}
	s := session.New(b.env, clientID, user, b.lastOrder, num)
	b.sessions[clientID] = s
	return s
}

// takeOver ends the session's present connection in favour of another. What the client has sent on it before counts, most
// of all DISCONNECT, which may not be read yet when the client is back; but this does not wait for more than that.
func (b *Broker) takeOver(p *publication, s *session.Session) {
	s.Lock()
	old, _ := s.Sink().(*conn)
	s.Unlock()
	if old == nil {
		return
	}
	old.hearOut()
	old.in.Lock()
	old.gone = true
	old.in.Unlock()
	old.closeAfter(&p.round, old.farewell(wire.SessionTakenOver, ""))
	b.leave(p, s, old.died())
}

// leave is what the end of a connection means for its session: the will, now or later, and the end of a session that
// does not outlive it. died is false after an orderly DISCONNECT. The set-up lock is held.
func (b *Broker) leave(p *publication, s *session.Session, died bool) {
	s.Lock()
	if s.Sink() != nil {
		s.Detach()
	}
	over := s.Expiry == 0 || !b.client(s).MayStay()
	if !died {
		s.Will = nil
	}
	w := s.Will
	if w != nil && w.Delay > 0 && !over {
		w.Due = s.Left + int64(w.Delay)*1000
		w = nil
	}
	s.Unlock()
	if w != nil { // published before the record that says so, so that a crash between repeats it
		b.publishWill(p, s, w)
	}
	if over {
		b.end(p, s)
		return
	}
	s.Lock()
	defer s.Unlock()
	s.Weigh()
	b.recordSoon(s)
}

// end ends a session for good. The set-up lock is held, and it has no connection.
func (b *Broker) end(p *publication, s *session.Session) {
	s.Lock()
	w := s.Will
	s.Unlock()
	if w != nil {
		b.publishWill(p, s, w)
	}
	s.Lock()
	s.End()
	filters := s.Subscriptions()
	s.Unlock()
	for filter := range filters {
		b.unsubscribe(s, filter)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[s.ID] == s {
		delete(b.sessions, s.ID)
	}
}
