// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"

	"edged/mqtt"
)

// mostCommands is how many messages from the cloud may wait for the local broker. Beyond, nothing is read from the cloud,
// so that TCP holds the server back.
const mostCommands = 1000

// order is a message from the cloud and what became of it on the local broker.
type order struct {
	d       *mqtt.Delivery
	msg     mqtt.Message
	pending *mqtt.Pending
}

// incoming returns what takes the deliveries of a session with the cloud, until ctx ends.
func (u *Uplink) incoming(ctx context.Context) func(*mqtt.Delivery) {
	return func(d *mqtt.Delivery) {
		topic, ok := u.topics.incoming(d.Topic)
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
		o := &order{d: d, msg: mqtt.Message{
			Topic: topic, Payload: d.Payload, QoS: 1, Retain: d.Retain, Expiry: d.Expiry, Props: u.topics.incomingProps(d.Props),
		}}
		select {
		case u.orders <- o:
		case <-ctx.Done():
		}
	}
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

// hand gives one order to the local broker, waiting for it if need be; false: ctx ended.
func (u *Uplink) hand(ctx context.Context, o *order) bool {
	for {
		c, changed := u.local.get()
		if c != nil {
			p, err := c.Publish(ctx, o.msg)
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
				u.acknowledge(o.d)
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

// confirm acknowledges to the cloud what the local broker has taken, until ctx ends.
func (u *Uplink) confirm(ctx context.Context) {
	for {
		select {
		case o := <-u.handed:
			select {
			case <-o.pending.Done():
				u.confirmed(o)
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (u *Uplink) confirmed(o *order) {
	if err := o.pending.Err(); err != nil {
		u.count(func(s *Status) { s.Refusals++ })
		u.log.Warn("the local broker refused a message from the cloud", "topic", o.msg.Topic, "err", err)
	} else {
		u.count(func(s *Status) { s.Received++ })
	}
	u.acknowledge(o.d)
}
