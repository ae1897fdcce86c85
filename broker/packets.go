// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"strings"
	"time"

	"edged/broker/journal"
	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// receiveMax is how many messages of QoS 1 and 2 a client of MQTT 5 may have under way to us.
const receiveMax = 1000

// handle carries out one packet.
func (c *conn) handle(ctx context.Context, h byte, body []byte) *wire.Fault {
	kind := h >> 4
	s := c.standing.Load()
	if f := c.hold(ctx, s, h, body); f != nil {
		return f
	}
	if s == nil {
		return c.connect(ctx, h, body)
	}
	c.in.Lock()
	defer c.in.Unlock()
	if c.gone && kind != wire.Disconnect {
		return nil
	}
	if kind == wire.Publish {
		return c.onPublish(s, h, body)
	}
	if f := wire.Check(h, body, c.version); f != nil {
		return f
	}
	switch kind {
	case wire.Puback, wire.Pubrec, wire.Pubcomp, wire.Pubrel:
		c.onAck(s, kind, body)
	case wire.Pingreq:
		c.onPing(s)
	case wire.Subscribe:
		return c.onSubscribe(s, body)
	case wire.Unsubscribe:
		return c.onUnsubscribe(s, body)
	case wire.Disconnect:
		return c.onDisconnect(s, body)
	default: // AUTH, since no method was agreed on
		return &wire.Fault{Code: wire.ProtocolError, Text: "AUTH without an authentication method"}
	}
	return nil
}

func (c *conn) onPublish(s *session.Session, h byte, body []byte) *wire.Fault {
	b, m := c.b, &c.inbound
	now := int64(0)
	if c.version == 5 {
		now = time.Now().Unix()
	}
	if f := wire.ReadPublish(h, body, c.version, false, now, c.props[:0], m); f != nil {
		return f
	}
	if c.props = m.Props; cap(c.props) > maxScratch {
		c.props = nil
	}
	c.received.Publishes++
	c.received.Payload += uint64(len(m.Payload))
	known := c.aliases.bytes
	if f := c.aliases.resolve(m); f != nil {
		return f
	}
	if f := c.keepAlias(c.aliases.bytes - known); f != nil {
		return f
	}
	if bytes.Count(m.Topic, []byte{'/'}) >= b.limits().TopicLevels {
		b.counters.Hit(statistics.TopicLevels)
		return &wire.Fault{Code: wire.TopicInvalid, Text: "too many topic levels"}
	}
	m.User = c.who.User()
	refused := b.refuses(c.who, s, m)
	if m.QoS == 2 {
		return c.onPublish2(s, m, refused)
	}
	if m.QoS == 1 && c.version == 5 && c.unreleased(s) >= receiveMax {
		return c.tooManyUnderWay()
	}
	if refused != 0 {
		if m.QoS > 0 {
			c.answer(wire.Puback, m.ID, refused, 0)
		}
		return nil
	}
	if c.liveOnly(h) && c.needsDisk(s, h, body) {
		b.counters.Hit(statistics.Unkept)
		m.QoS = 0
		b.publish(c.scratch, &m.Message, m.Topic, s, 0)
		c.answer(wire.Puback, m.ID, wire.QuotaExceeded, 0)
		return nil
	}
	c.scratch.refusable = m.QoS > 0 && c.version == 5
	pos := b.publish(c.scratch, &m.Message, m.Topic, s, 0)
	c.scratch.refusable = false
	if m.QoS > 0 {
		var p [8]byte
		c.acknowledgeAfter(&c.scratch.round, pos, c.scratch.parked.message, wire.AppendAck(p[:0], wire.Puback, m.ID, c.scratch.outcome(), c.version))
	}
	return nil
}

// onPublish2 takes a QoS 2 message, once until its PUBREL.
func (c *conn) onPublish2(s *session.Session, m *wire.Inbound, refused byte) *wire.Fault {
	s.Lock()
	again, _ := s.Inbound(m.ID)
	s.Unlock()
	if again {
		c.answer(wire.Pubrec, m.ID, 0, c.b.journal.End()-1) // wherever its record is, it is before the end
		return nil
	}
	if c.version == 5 && c.unreleased(s) >= receiveMax {
		return c.tooManyUnderWay()
	}
	if refused != 0 && c.version == 5 { // this PUBREC ends it (4.3.3)
		c.answer(wire.Pubrec, m.ID, refused, 0)
		return nil
	}
	if c.held2(s) >= maxHeld {
		c.b.counters.Hit(statistics.HeldQoS2)
		return &wire.Fault{Code: wire.QuotaExceeded, Text: "more QoS 2 messages begun than are kept"}
	}
	id := m.ID
	if refused != 0 || !s.Persistent() {
		id = 0
		s.Lock()
		s.AddInbound(m.ID)
		s.Unlock()
	}
	if refused != 0 {
		c.answer(wire.Pubrec, m.ID, 0, 0)
		return nil
	}
	c.scratch.refusable = c.version == 5
	pos := c.b.publish(c.scratch, &m.Message, m.Topic, s, id)
	if c.scratch.refusable = false; c.scratch.refused && id == 0 { // this PUBREC ends it
		s.Lock()
		s.ReleaseInbound(m.ID)
		s.Unlock()
	}
	c.answer(wire.Pubrec, m.ID, c.scratch.outcome(), pos)
	return nil
}

// answer sends an acknowledgement once the journal is durable past pos.
func (c *conn) answer(kind byte, id uint16, reason byte, pos journal.Pos) {
	var p [8]byte
	c.acknowledge(&c.scratch.round, pos, wire.AppendAck(p[:0], kind, id, reason, c.version))
}

// maxHeld is how many QoS 2 messages a client may have begun and not released before MQTT 5, which has a bound for it.
const maxHeld = 2000

func (c *conn) held2(s *session.Session) int {
	s.Lock()
	defer s.Unlock()
	_, n := s.Inbound(0)
	if n%256 == 255 {
		s.Weigh()
	}
	return n
}

func (c *conn) tooManyUnderWay() *wire.Fault {
	c.b.counters.Hit(statistics.ReceiveMaximum)
	return &wire.Fault{Code: wire.ReceiveMaxExceeded, Text: "more messages under way than our Receive Maximum"}
}

// unreleased is how many of the client's messages of QoS 1 and 2 are under way to us, or a little more.
func (c *conn) unreleased(s *session.Session) int {
	s.Lock()
	_, n := s.Inbound(0)
	s.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.acks {
		if a := &c.acks[i]; a.large == nil && a.small[0]>>4 == wire.Puback {
			n++
		}
	}
	return n
}

// onAck takes PUBACK, PUBREC, PUBREL and PUBCOMP.
func (c *conn) onAck(s *session.Session, kind byte, body []byte) {
	id, reason := wire.ReadAck(body, c.version)
	s.Lock()
	defer s.Unlock()
	switch {
	case kind == wire.Pubrel:
		pos, known := s.ReleaseInbound(id)
		c.answer(wire.Pubcomp, id, unknown(known), pos)
	case kind == wire.Pubrec && reason < wire.Unspecified:
		pos, known := s.Received(id) // one that is not known is long done: let the client finish
		c.answer(wire.Pubrel, id, unknown(known), pos)
	default:
		s.Acknowledged(&c.scratch.round, id)
	}
}

func unknown(known bool) byte {
	if known {
		return 0
	}
	return wire.PacketIDNotFound
}

// onPing answers once what the client said before is kept, but does not wait for a disk in trouble.
func (c *conn) onPing(s *session.Session) {
	s.Lock()
	said := s.Said()
	s.Unlock()
	if !c.b.journal.Writable() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.say(&c.scratch.round, []byte{wire.Pingresp << 4, 0})
		return
	}
	c.acknowledge(&c.scratch.round, said, []byte{wire.Pingresp << 4, 0})
}

// grant is a SUBSCRIBE's filter that was granted.
type grant struct {
	sub     session.Subscription
	version uint64
}

func (c *conn) onSubscribe(s *session.Session, body []byte) *wire.Fault {
	p, f := wire.DecodeSubscribe(body, c.version)
	if f != nil {
		return f
	}
	var retained []grant
	codes := make([]byte, 0, len(p.Filters))
	if !c.fits(wire.AppendSuback(nil, p.ID, codes[:len(p.Filters)], c.version)) {
		return answerTooLarge()
	}
	c.b.makeRoom(c.scratch)
	for _, x := range p.Filters {
		code, group, had := c.admitFilter(s, x, p.SubscriptionID)
		codes = append(codes, code)
		if code >= wire.Unspecified {
			continue
		}
		sub := session.Subscription{Subscription: x, ID: p.SubscriptionID}
		version := c.b.subscribe(s, sub)
		if group == "" && (x.RetainHandling == 0 || x.RetainHandling == 1 && !had) {
			retained = append(retained, grant{sub, version})
		}
	}
	s.Lock()
	pos := s.Record(2)
	s.Unlock()
	c.acknowledge(&c.scratch.round, pos, wire.AppendSuback(nil, p.ID, codes, c.version))
	for _, g := range retained {
		c.b.sendRetained(c, s, g.sub, g.version)
	}
	return nil
}

// admitFilter puts a filter into the session if it may be there. code is that of SUBACK.
func (c *conn) admitFilter(s *session.Session, x wire.Subscription, id uint32) (code byte, group string, had bool) {
	group, filter, ok := wire.ValidFilter(x.Filter)
	limits := c.b.limits()
	switch {
	case !ok:
		code = wire.FilterInvalid
	case strings.Count(filter, "/") >= limits.TopicLevels:
		c.b.counters.Hit(statistics.TopicLevels)
		code = wire.FilterInvalid
	case !c.who.MaySubscribe(filter):
		code = wire.NotAuthorized
	case !c.b.roomFor(x.Filter):
		c.b.counters.Hit(statistics.MemoryState)
		code = wire.QuotaExceeded
	default:
		s.Lock()
		_, had = s.Subscriptions()[x.Filter]
		code = x.QoS
		if !s.Subscribe(session.Subscription{Subscription: x, ID: id}, limits.SubscriptionsPerClient) {
			c.b.counters.Hit(statistics.SubscriptionsPerClient)
			code = wire.QuotaExceeded
		}
		s.Weigh()
		s.Unlock()
	}
	if code >= wire.Unspecified && c.version < 5 {
		code = wire.Unspecified
	}
	return code, group, had
}

func (c *conn) onUnsubscribe(s *session.Session, body []byte) *wire.Fault {
	p, f := wire.DecodeUnsubscribe(body, c.version)
	if f != nil {
		return f
	}
	codes := make([]byte, 0, len(p.Filters))
	if !c.fits(wire.AppendUnsuback(nil, p.ID, codes[:len(p.Filters)], c.version)) {
		return answerTooLarge()
	}
	s.Lock()
	for _, filter := range p.Filters {
		code := byte(wire.NoSubscription)
		if s.Unsubscribe(filter) {
			code = wire.Success
		}
		codes = append(codes, code)
	}
	s.Weigh()
	pos := s.Record(2)
	s.Unlock()
	for i, filter := range p.Filters {
		if codes[i] == wire.Success {
			c.b.unsubscribe(s, filter)
		}
	}
	c.acknowledge(&c.scratch.round, pos, wire.AppendUnsuback(nil, p.ID, codes, c.version))
	return nil
}

// answerTooLarge is for a client that asks for more at once than it takes an answer to.
func answerTooLarge() *wire.Fault {
	return &wire.Fault{Code: wire.TooLarge, Text: "the answer is longer than the client's Maximum Packet Size"}
}

func (c *conn) onDisconnect(s *session.Session, body []byte) *wire.Fault {
	p, f := wire.DecodeDisconnect(body, c.version)
	if f != nil {
		return f
	}
	if p.SessionExpiry != nil {
		s.Lock()
		if s.Expiry == 0 && *p.SessionExpiry > 0 { // 3.14.2.2.2
			s.Unlock()
			return &wire.Fault{Code: wire.ProtocolError, Text: "session expiry raised from 0"}
		}
		s.Expiry = c.b.bounded(*p.SessionExpiry)
		s.Unlock()
	}
	c.orderly = p.Reason == wire.Success
	return goodbye()
}
