// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"

	"edged/broker/authority"
	"edged/broker/retained"
	"edged/broker/session"
	"edged/mqtt/wire"
)

// limits are those in force, which a reload replaces.
func (b *Broker) limits() *Limits { return b.now.Load() }

// Reload puts a configuration, which is valid, into force as far as it can change while the broker runs: users, rights,
// anonymous, certificates, origins and the limits. The error says what could not be read; then all stays as it was.
//
// It counts at once and for everybody: for who is connected, for what waits in queues, and for what is retained. Who may
// not be here any more is disconnected (0x87), and its session ends with all that it is owed; a client that came in by a
// password or certificate which is no longer its user's is disconnected, and its session stays. Certificates of the
// listeners are read from their files again, for the connections that come: those that stand are not touched.
func (b *Broker) Reload(cfg Config) error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	useCertificates, err := b.readCertificates(cfg)
	if err != nil {
		return fmt.Errorf("reload the broker's configuration: %w", err)
	}
	t, err := b.auth.Read(cfg.Users, cfg.Anonymous)
	if err != nil {
		return fmt.Errorf("reload the broker's configuration: %w", err)
	}
	useCertificates()
	b.origins.Store(&cfg.WS.Origins)
	b.routing.Lock() // so that no message is on its way by the rights of before
	b.auth.Apply(t)
	b.router.Forget()
	b.routing.Unlock()
	b.now.Store(&cfg.Limits)
	b.setMemory(cfg.Limits.Memory)
	b.retained.Limit(retained.Limits{Messages: cfg.Limits.Retained, Bytes: cfg.Limits.RetainedBytes})
	var p publication
	for _, s := range b.all() {
		b.contain("a reload", func() { b.review(&p, s) })
	}
	p.round.Flush()
	return nil
}

// review does to a session what a reload means for it.
func (b *Broker) review(p *publication, s *session.Session) {
	defer b.setup.lock(s.ID)()
	if b.find(s.ID) != s {
		return
	}
	who := b.client(s)
	s.Lock()
	s.SetQueue(b.queue(who))
	c, _ := s.Sink().(*conn)
	s.Unlock()
	switch {
	case c != nil && !(who.MayStay() && c.who.MayStay()):
		b.log.Info("a client is disconnected: it has no right to be here any more", "address", c.peer(), "client_id", printable(s.ID))
		b.fence(&p.round, c, wire.NotAuthorized)
		b.leave(p, s, true)
	case c == nil && !who.MayStay():
		b.end(p, s)
	}
}

// fence makes sure that no more packets of a connection count, and closes it, with a last word in MQTT 5.
func (b *Broker) fence(r *session.Round, c *conn, reason byte) {
	c.in.Lock()
	c.gone = true
	c.in.Unlock()
	c.closeAfter(r, c.farewell(reason, ""))
}

// queue is how much may be owed to a client's session.
func (b *Broker) queue(who authority.Client) session.Queue {
	q := session.Queue(who.Queue())
	if q.Size == 0 {
		q.Size = b.limits().SessionQueue
	}
	return q
}
