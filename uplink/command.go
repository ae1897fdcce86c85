// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"

	"edged/mqtt"
	"edged/uplink/once"
)

// mostCommands is how many messages from the cloud may wait for the local broker. Beyond, nothing is read from the cloud,
// so that TCP holds the server back.
const mostCommands = 1000

// order is a message from the cloud and what became of it on the local broker.
type order struct {
	d       *mqtt.Delivery
	repeats []*mqtt.Delivery // of the same message, meanwhile; of the flight
	msg     mqtt.Message
	key     *once.Key // of a command with an id; nil: it is no such
	pending *mqtt.Pending
}

// command says whether a local topic carries commands to a device. A retained one would be repeated at every start.
func command(topic string) bool { return strings.HasSuffix(topic, "/set") }

// mostKeyed is how long a command may be whose id is looked for; the bridges take none that is longer.
const mostKeyed = 16 << 10

// keyOf tells a command from others by its topic and its id; nil: it has none.
func keyOf(topic string, payload []byte) *once.Key {
	if !command(topic) || len(payload) > mostKeyed {
		return nil
	}
	var fields map[string]json.RawMessage // not a struct, which would take "ID" for "id"
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil
	}
	id := fields["id"]
	if len(id) == 0 || string(id) == "null" {
		return nil
	}
	sum := sha256.Sum256([]byte(topic + "\x00" + string(id)))
	return (*once.Key)(sum[:16])
}

// incoming returns what takes the deliveries of a session with the cloud, until ctx ends.
func (u *Uplink) incoming(ctx context.Context) func(*mqtt.Delivery) {
	return func(d *mqtt.Delivery) {
		m, ok := u.topics.incoming(d.Topic, d.Payload)
		topic := m.Topic
		switch {
		case !ok:
			u.count(func(s *Status) { s.Refusals++ })
			u.log.Debug("the cloud sent what it was not asked for", "topic", d.Topic)
			u.acknowledge(d)
			return
		case d.Retain && command(topic):
			u.count(func(s *Status) { s.Refusals++; s.Retained++ })
			u.log.Warn("a retained command was dropped: it would be repeated at every start; publish commands without RETAIN and delete this one in the cloud",
				"code", "E406", "topic", d.Topic)
			u.acknowledge(d)
			return
		}
		o := &order{d: d, key: keyOf(topic, m.Payload), msg: mqtt.Message{
			Topic: topic, Payload: m.Payload, QoS: 1, Retain: d.Retain, Expiry: d.Expiry, Props: u.topics.incomingProps(d.Props),
		}}
		if command(topic) && d.Expiry == 0 {
			o.msg.Props = u.absence.mark(o.msg.Props)
		}
		if !u.flight.add(o) {
			u.repeated(topic)
			return
		}
		select {
		case u.orders <- o:
		case <-ctx.Done():
			u.flight.land(o)
		}
	}
}

// repeated notes a command that was executed before, or is about to be.
func (u *Uplink) repeated(topic string) {
	u.count(func(s *Status) { s.Repeated++ })
	u.log.Info("a command came again and is not executed again", "topic", topic)
}

// obey publishes what the cloud sent on the local broker, until ctx ends.
func (u *Uplink) obey(ctx context.Context) {
	for {
		select {
		case o := <-u.orders:
			if !u.hand(ctx, o) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// hand gives one order to the local broker, waiting for it if need be; false: ctx ended. A command with an id goes at
// QoS 2, under an identifier that is on disk before: so the broker knows it again after a crash.
func (u *Uplink) hand(ctx context.Context, o *order) bool {
	id, again := u.commandID()
	if o.key != nil {
		if u.once.State(*o.key) == once.Done {
			u.repeated(o.msg.Topic)
			u.confirmed(o)
			return true
		}
		var err error
		id, again, err = u.once.Begin(*o.key)
		u.forgetful(err)
		o.msg.QoS = 2
	}
	for {
		c, changed := u.local.get()
		if c != nil {
			p, err := c.PublishAs(ctx, id, o.msg, again)
			if err == nil {
				o.pending = p
				select {
				case u.handed <- o:
					return true
				case <-ctx.Done():
					return false
				}
			}
			if errors.Is(err, mqtt.ErrUnsendable) {
				u.log.Warn("the local broker takes no such message", "topic", o.msg.Topic, "err", err)
				u.count(func(s *Status) { s.Refusals++ })
				u.done(o)
				return true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// commandID returns an identifier for a message that is not remembered, below those of commands that are.
func (u *Uplink) commandID() (id uint16, again bool) {
	if u.nextID++; u.nextID >= once.FirstID {
		u.nextID = 1
	}
	return u.nextID, false
}

// confirm acknowledges to the cloud what the local broker has taken, until ctx ends.
func (u *Uplink) confirm(ctx context.Context) {
	for {
		select {
		case o := <-u.handed:
			select {
			case <-o.pending.Taken():
				u.count(func(s *Status) { s.Received++ })
				u.done(o)
				o.pending.Release()
			case <-o.pending.Done():
				if err := o.pending.Err(); err != nil {
					u.count(func(s *Status) { s.Refusals++ })
					u.log.Warn("the local broker refused a message from the cloud", "topic", o.msg.Topic, "err", err)
				} else {
					u.count(func(s *Status) { s.Received++ })
				}
				u.done(o)
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// done notes that nobody needs to execute an order again, and tells the cloud.
func (u *Uplink) done(o *order) {
	if o.key != nil {
		u.forgetful(u.once.Done(*o.key))
	}
	u.confirmed(o)
}

// confirmed acknowledges an order, as often as it was delivered.
func (u *Uplink) confirmed(o *order) {
	for _, d := range u.flight.land(o) {
		u.acknowledge(d)
	}
}

// forgetful tells that the disk did not take note of a command.
func (u *Uplink) forgetful(err error) {
	if err != nil {
		u.log.Warn("a command that is delivered again after a crash may be executed again", "err", err)
	}
}
