// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
	"time"

	"edged/broker/journal"
	"edged/broker/router"
	"edged/broker/session"
	"edged/mqtt/wire"
)

type target = router.Target[*session.Session]

// publication is the scratch of one message on its way; its owner, a goroutine, uses it again and again. The round says
// whose output is to be flushed.
type publication struct {
	round  session.Round
	copy   session.Copy
	shared []target // targets with the members picked from shared subscriptions
	locked []*session.Session
	record session.Record
	owner  []int         // for each of record.Owed the index of its target
	pos    []journal.Pos // and where it lies
	parked parked
	body   []byte
	nobody bool // the message had no subscriber

	refusable bool // it may be refused because a session is full
	refused   bool // and was
}

// outcome is the reason code of the acknowledgement in MQTT 5.
func (p *publication) outcome() byte {
	switch {
	case p.refused:
		return wire.QuotaExceeded
	case p.nobody:
		return wire.NoSubscribers
	}
	return wire.Success
}

// parked is what of a message waits for acknowledgements before it is written.
type parked struct {
	sessions []*session.Session
	shares   []session.Owed
	owner    []int // for each the index of its target
	message  *session.Parked
}

// publish routes a message, keeps it where it is owed to a persistent session or retained, and hands it to whoever is
// connected. from is the publisher's session (nil: the broker itself), id its QoS 2 identifier if that is to be kept with
// the message: it is persistent. The message may be acknowledged once the journal is durable past pos (0: at once). m's slices may be views.
func (b *Broker) publish(p *publication, m *wire.Message, topic []byte, from *session.Session, id uint16) (pos journal.Pos) {
	b.routing.RLock()
	defer b.routing.RUnlock()
	route := b.router.Find(topic)
	m.Topic = route.Topic
	p.copy = session.Copy{Message: m}
	targets := p.targets(route)
	p.nobody = len(targets) == 0
	if m.Retain && !b.retained.Room(m.Topic, len(m.Payload), m.Size()) {
		m.Retain = false
		b.refuse(refusedRetained, from, m.Topic)
	}
	var origin *session.Session
	if id != 0 {
		origin = from
	}
	p.lock(targets, m.QoS, from, origin)
	defer p.unlock()
	if p.refused = p.refusable && b.rejects(m, targets, from); p.refused {
		return 0
	}
	pos = b.keep(p, m, targets, from, origin, id, route.Version)
	p.hand(m, targets, pos)
	p.unlock()
	made := 0
	for i := range targets {
		if t := &targets[i]; !isOwed(t, m.QoS) && !(t.NoLocal && t.Subscriber == from) {
			t.Subscriber.Lock()
			t.Subscriber.Deliver(&p.round, &p.copy, share(t, m, 0, pos))
			t.Subscriber.Unlock()
			if made += m.Size(); made > muchOutput { // else all of it would be in memory at once
				made = 0
				p.round.Flush()
				b.shed(0)
			}
		}
	}
	return pos
}

// muchOutput is how much one message may add to the output of all before that is written.
const muchOutput = 1 << 20

// isOwed tells whether a target's share of a message belongs into the journal.
func isOwed(t *target, qos byte) bool { return min(qos, t.QoS) > 0 && t.Subscriber.Persistent() }

// share is what a target gets of a message.
func share(t *target, m *wire.Message, n uint64, pos journal.Pos) session.Owed {
	o := session.Owed{N: n, QoS: min(m.QoS, t.QoS), Retain: m.Retain && t.RetainAsPublished, SubIDs: t.IDs}
	if o.QoS == 2 || n > 0 {
		o.Pos = pos
	}
	return o
}

// targets returns the route's targets and the members that its shared subscriptions pick.
func (p *publication) targets(route *router.Route[*session.Session]) []target {
	if len(route.Shared) == 0 {
		return route.Targets
	}
	p.shared = append(p.shared[:0], route.Targets...)
	for _, g := range route.Shared {
		if t, ok := g.Pick(connected, keeps); ok {
			p.shared = append(p.shared, t)
		}
	}
	slices.SortStableFunc(p.shared, func(x, y target) int { return cmp.Compare(x.Subscriber.Order, y.Subscriber.Order) })
	return p.shared
}

// keeps tells whether a target is owed what is published while it is away.
func keeps(t *target) bool { return t.QoS > 0 && t.Subscriber.Persistent() }

func connected(s *session.Session) bool {
	s.Lock()
	defer s.Unlock()
	return s.Sink() != nil
}

// lock locks the sessions that the message's record changes: those that are owed it, and the publisher's own where the
// record holds its QoS 2 identifier.
func (p *publication) lock(targets []target, qos byte, from, origin *session.Session) {
	p.locked = p.locked[:0]
	add := func(s *session.Session) {
		if n := len(p.locked); n == 0 || p.locked[n-1] != s {
			p.locked = append(p.locked, s)
		}
	}
	for i := range targets {
		t := &targets[i]
		if origin != nil && origin.Order < t.Subscriber.Order {
			add(origin)
			origin = nil
		}
		if isOwed(t, qos) && !(t.NoLocal && t.Subscriber == from) || t.Subscriber == origin {
			add(t.Subscriber)
		}
		if t.Subscriber == origin {
			origin = nil
		}
	}
	if origin != nil {
		add(origin)
	}
	for _, s := range p.locked {
		s.Lock()
	}
}

func (p *publication) unlock() {
	for _, s := range p.locked {
		s.Unlock()
	}
	p.locked = p.locked[:0]
}

// keep numbers the message for the sessions that are owed it and appends its record, if it needs one.
func (b *Broker) keep(p *publication, m *wire.Message, targets []target, from, origin *session.Session, id uint16, version uint64) journal.Pos {
	r := &p.record
	*r = session.Record{Message: *m, Time: b.clock.now(), Owed: r.Owed[:0]}
	p.owner, p.pos = p.owner[:0], p.pos[:0]
	k := &p.parked
	*k = parked{k.sessions[:0], k.shares[:0], k.owner[:0], nil}
	for i := range targets {
		t := &targets[i]
		if s := t.Subscriber; isOwed(t, m.QoS) && !(t.NoLocal && s == from) && !s.Ended() {
			if n := len(k.sessions); m.QoS == 1 && (s.MayPark() || n > 0 && k.sessions[n-1] == s) {
				k.sessions, k.shares, k.owner = append(k.sessions, s), append(k.shares, share(t, m, s.Next(), 0)), append(k.owner, i)
				continue
			}
			o := share(t, m, s.Next(), 0)
			o.Gap, o.Live = s.Gap(o.N), s.GoesLive(&o, m)
			r.Owed = append(r.Owed, session.Share{Num: s.Num(), Owed: o})
			p.owner = append(p.owner, i)
		}
	}
	if len(k.sessions) > 0 {
		k.message = b.env.Lot.Park(p.copy.Own(), k.sessions, k.shares)
	}
	if origin != nil {
		r.Origin, r.ID = origin.Num(), id
		origin.AddInbound(id)
	}
	needed := len(r.Owed) > 0 || origin != nil
	if !m.Retain {
		if needed {
			return b.append(p)
		}
		return 0
	}
	if !needed && !b.worthARecord(m.QoS) {
		return b.retained.Put(p.copy.Own(), version, nil)
	}
	return b.retained.Put(p.copy.Own(), version, func() journal.Pos { return b.append(p) })
}

// worthARecord tells whether a retained message that is owed to nobody is written at once. Others are written later, the
// newest of each topic.
func (b *Broker) worthARecord(qos byte) bool { return b.cfg.Durability == Disk && qos > 0 }

// append appends the record: one, unless its shares do not fit into one. The publisher's identifier stands in the last,
// so that a repeat after a crash is taken for new while a part is missing.
func (b *Broker) append(p *publication) (pos journal.Pos) {
	part := p.record
	for {
		n := part.Fit()
		rest := part.Owed[n:]
		part.Owed = part.Owed[:n]
		if part.Origin, part.ID = 0, 0; len(rest) == 0 {
			part.Origin, part.ID = p.record.Origin, p.record.ID
		}
		p.body = session.AppendRecord(p.body[:0], &part)
		pos = b.journal.Append(session.KindMessage, p.body)
		for range n {
			p.pos = append(p.pos, pos)
		}
		if cap(p.body) > maxScratch {
			p.body = nil
		}
		if len(rest) == 0 {
			return pos
		}
		part.Owed = rest
	}
}

// maxScratch is the largest buffer that a publication keeps.
const maxScratch = 16 << 10

// hand gives the message to the sessions that are owed it, which are locked.
func (p *publication) hand(m *wire.Message, targets []target, pos journal.Pos) {
	for i := range p.record.Owed {
		o := p.record.Owed[i].Owed
		o.Pos = p.pos[i]
		targets[p.owner[i]].Subscriber.Deliver(&p.round, &p.copy, o)
	}
	for i, o := range p.parked.shares {
		targets[p.parked.owner[i]].Subscriber.Deliver(&p.round, &p.copy, o)
	}
}

// sendRetained gives a new subscription the retained messages that it matches. version is that of the subscription.
func (b *Broker) sendRetained(c *conn, s *session.Session, sub session.Subscription, version uint64) {
	if listensToSys(sub.Filter) {
		b.sendSys(c, s, sub)
		return
	}
	now := time.Now().Unix()
	for _, k := range b.retained.Find(sub.Filter) {
		if k.Message.Expires > 0 && k.Message.Expires <= now {
			b.retained.Expire(k)
			continue
		}
		if b.mayRead(s, k.Message.Topic) {
			b.giveRetained(c, s, sub, k.Message.Topic, version)
		}
	}
}

// giveRetained gives a session what is retained at that moment, unless it got it when it was published.
func (b *Broker) giveRetained(c *conn, s *session.Session, sub session.Subscription, topic string, version uint64) {
	p := c.scratch
	s.Lock()
	defer s.Unlock()
	k := b.retained.Get(topic)
	if k == nil || k.Version >= version || !b.auth.MayStillPublish(k.Message.User, topic) {
		return
	}
	o := session.Owed{QoS: min(k.Message.QoS, sub.QoS), Retain: true, Shared: true}
	if sub.ID > 0 {
		o.SubIDs = []uint32{sub.ID}
	}
	if o.QoS > 0 && s.Persistent() { // owed like any other; its copy in the journal names this session alone
		o.N = s.Next()
		o.Gap = s.Gap(o.N)
		p.record = session.Record{Message: *k.Message, Time: b.clock.now(), Owed: []session.Share{{Num: s.Num(), Owed: o}}}
		p.pos = p.pos[:0]
		pos, ok := b.retained.Renew(k, func() journal.Pos { return b.append(p) })
		if !ok {
			p.record.Message.Retain = false // it has just been replaced: the record must not bring it back
			pos = b.append(p)
		}
		o.Pos = pos
	}
	s.Deliver(&p.round, &session.Copy{Message: k.Message, Owned: k.Message}, o)
}

// Retained returns the retained messages whose topics match a filter, by topic. They are not to be changed.
func (b *Broker) Retained(filter string) []*wire.Message {
	var all []*wire.Message
	now := time.Now().Unix()
	for _, k := range b.retained.Find(filter) {
		if k.Message.Expires == 0 || k.Message.Expires > now {
			all = append(all, k.Message)
		}
	}
	return all
}
