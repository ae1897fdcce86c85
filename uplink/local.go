// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"edged/mqtt"
	"edged/uplink/dialect"
)

const (
	localKeepAlive = 60 * time.Second
	localRetry     = 500 * time.Millisecond
	localTime      = 30 * time.Second             // for CONNACK and SUBACK: a card may stall for seconds
	forever        = math.MaxUint32 * time.Second // as a session expiry: never, or as long as the broker lets it
)

// local is the connection to the local broker, for those who publish on it.
type local struct {
	mu      sync.Mutex
	client  *mqtt.Client  // nil: none
	changed chan struct{} // closed when client is another
}

func newLocal() *local { return &local{changed: make(chan struct{})} }

func (l *local) set(c *mqtt.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client = c
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *local) get() (c *mqtt.Client, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client, l.changed
}

// keepLocal keeps the session on the local broker until ctx ends.
func (u *Uplink) keepLocal(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		err := u.serveLocal(ctx)
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			u.log.Warn("no session on the local broker", "err", err)
		}
		sleep(ctx, localRetry)
	}
}

// serveLocal is one connection to the local broker. It returns why it ended; nil only if ctx ended.
func (u *Uplink) serveLocal(ctx context.Context) error {
	nc, err := u.deps.DialLocal()
	if err != nil {
		return fmt.Errorf("dial the local broker: %w", err)
	}
	starting, cancel := context.WithTimeout(ctx, localTime)
	defer cancel()
	c, ack, err := mqtt.Connect(starting, nc, u.inside, mqtt.Config{
		ClientID: ClientID, Version: 5, SessionExpiry: forever, KeepAlive: localKeepAlive, ResponseTimeout: localTime,
		ReceiveMaximum: uint16(u.localWindow()), ManualAck: true, OnMessage: u.outgoing, ManualRelease: true,
	})
	if err != nil {
		return fmt.Errorf("open the session on the local broker: %w", err)
	}
	if !ack.SessionPresent {
		u.window.forget()
	} else if err := c.Release(u.once.Finished()...); err != nil { // the session of a process that died may still hold these
		u.log.Debug("identifiers of commands", "err", err)
	}
	if err = u.subscribeLocal(starting, c); err == nil {
		u.local.set(c)
		select {
		case <-c.Done():
			err = c.Err()
		case <-ctx.Done():
		}
		u.local.set(nil)
	}
	last, end := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer end()
	if left := c.Disconnect(last); left != nil && err == nil {
		u.log.Debug("leaving the local broker", "err", left)
	}
	return err
}

// subscribeLocal asks for what goes to the cloud: what we publish ourselves does not come back, the retain flag stays as
// published, and what is retained comes only when a subscription is new.
func (u *Uplink) subscribeLocal(ctx context.Context, c *mqtt.Client) error {
	var subs []mqtt.Subscription
	for _, f := range u.topics.wanted() {
		subs = append(subs, mqtt.Subscription{Filter: f, QoS: u.cfg.QoS, NoLocal: true, RetainAsPublished: true, RetainHandling: 1})
	}
	if _, err := c.Subscribe(ctx, 0, subs...); err != nil {
		return fmt.Errorf("subscribe on the local broker: %w", err)
	}
	return nil
}

// outgoing takes a delivery of the local broker.
func (u *Uplink) outgoing(d *mqtt.Delivery) {
	m, ok := u.topics.outgoing(d.Topic, d.Payload)
	if !ok {
		u.acknowledge(d)
		return
	}
	e := &entry{id: d.ID, d: d, msg: mqtt.Message{
		Topic: m.Topic, Payload: m.Payload, QoS: min(d.QoS, u.cfg.QoS), Retain: d.Retain, Props: u.topics.outgoingProps(d.Props),
	}}
	if d.Expiry > 0 {
		e.until = time.Now().Add(d.Expiry)
	}
	e.batch, e.came = u.mayBatch(d, e), time.Now()
	what, changed := u.window.add(e)
	if what == discarded {
		u.count(func(s *Status) { s.Discarded++ })
	}
	if changed {
		u.changed()
	}
}

// acknowledge tells a broker that its delivery is done with. If the connection is gone it will deliver again, and find
// out then.
func (u *Uplink) acknowledge(d *mqtt.Delivery) {
	if d == nil {
		return
	}
	if err := d.Ack(); err != nil && !errors.Is(err, mqtt.ErrClosed) {
		u.log.Debug("an acknowledgement was too late", "err", err)
	}
}

// settle acknowledges to the local broker what the cloud has acknowledged, until ctx ends.
func (u *Uplink) settle(ctx context.Context) {
	for {
		e := u.window.first()
		if e == nil {
			select {
			case <-u.window.flew:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-e.pending.Done():
			u.settled(e, e.pending.Err())
		case <-ctx.Done():
			return
		}
	}
}

// settled ends an entry for which the cloud's answer came, unless that is "not now".
func (u *Uplink) settled(e *entry, err error) {
	now := time.Now()
	switch {
	case overQuota(err):
		u.window.back(e)
		delay := u.quota.refused(now)
		u.state(func(s *Status) {
			s.Delayed++
			if s.Code == "" {
				s.Text = fmt.Sprintf("the cloud says that our quota is exceeded (0x97); what waits goes on after %v", delay)
			}
		})
		return
	case err != nil:
		u.refusedFor(e, err)
		return
	case u.quota.taken(now):
		u.state(func(s *Status) {
			if s.Code == "" {
				s.Text = ""
			}
		})
	}
	u.finished(e)
}

// finished ends an entry, and its parts.
func (u *Uplink) finished(e *entry) {
	d, changed := u.window.remove(e)
	u.acknowledge(d)
	for _, p := range e.parts {
		d, _ := u.window.remove(p)
		u.acknowledge(d)
	}
	if changed {
		u.changed()
	}
}

// refusedFor ends an entry that the cloud does not take. What is in a batch that it does not take, it may.
func (u *Uplink) refusedFor(e *entry, err error) {
	if e.parts != nil {
		if !u.singly.Swap(true) {
			u.log.Warn("the cloud does not take batches; in this session each message goes by itself", "topic", e.msg.Topic, "err", err)
		}
		u.window.alone(e)
		return
	}
	u.unsendable(e, err)
	u.finished(e)
}

// unsendable tells of a message that will never be in the cloud. The topic is told once, not for each message.
func (u *Uplink) unsendable(e *entry, err error) {
	u.count(func(s *Status) { s.Unsendable++ })
	u.mu.Lock()
	known := u.told[e.msg.Topic]
	if !known && len(u.told) < mostTold {
		u.told[e.msg.Topic] = true
	}
	u.mu.Unlock()
	if (errors.Is(err, mqtt.ErrUnsendable) || errors.Is(err, dialect.ErrLimit)) && e.d != nil && u.deps.GaveUp != nil {
		u.deps.GaveUp(e.d.Topic, e.d.Payload)
	}
	if !known {
		u.log.Warn("the cloud does not take a message on this topic", "code", refusedTopic, "topic", e.msg.Topic, "err", err)
		u.event(refusedTopic, fmt.Sprintf("the cloud does not take a message on %s: %v; allow it there, or take the topic out of uplink.send", e.msg.Topic, err))
	}
}

// refusedTopic is the code of a topic that the cloud refuses.
const refusedTopic = "E320"

// mostTold is how many topics are remembered as told.
const mostTold = 100
