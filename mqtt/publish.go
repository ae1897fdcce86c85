// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"edged/mqtt/wire"
)

// Publish sends a message. It waits only while the window is full, or the peer takes no bytes, and keeps no hold of the
// payload and properties. Messages go out in the order of the calls.
//
// An error means that the message was not sent and never will be; one that wraps [ErrUnsendable] is of the message, any
// other of ctx or the connection. Whether the server took it is told by the [Pending].
func (c *Client) Publish(ctx context.Context, m Message) (*Pending, error) {
	return c.publish(ctx, 0, &m, false)
}

// PublishAs sends a message of QoS 1 or 2 under a packet identifier, 1 to 65,535, that the caller chose and that no
// other message of the session has, with DUP if the server may have it already. So a caller that keeps the identifiers
// can repeat a message after its process died.
func (c *Client) PublishAs(ctx context.Context, id uint16, m Message, dup bool) (*Pending, error) {
	if id == 0 || m.QoS == 0 {
		return nil, fmt.Errorf("publish to %q: packet identifier %d at QoS %d", m.Topic, id, m.QoS)
	}
	return c.publish(ctx, id, &m, dup)
}

func (c *Client) publish(ctx context.Context, id uint16, m *Message, dup bool) (*Pending, error) {
	if m.QoS > 2 || !wire.ValidTopicName(m.Topic) {
		return nil, fmt.Errorf("publish to %q at QoS %d: %w: topic or QoS is not valid", m.Topic, m.QoS, ErrUnsendable)
	}
	if !wire.ValidProps(m.Props) {
		return nil, fmt.Errorf("publish to %q: %w: its properties are not valid", m.Topic, ErrUnsendable)
	}
	select {
	case c.turn <- struct{}{}:
	default:
		select {
		case c.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("publish to %q: %w", m.Topic, ctx.Err())
		case <-c.ended:
			return nil, fmt.Errorf("publish to %q: %w", m.Topic, c.Err())
		}
	}
	defer func() { <-c.turn }()
	for {
		p, err := c.tryPublish(id, m, dup)
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, errFull) {
			return nil, fmt.Errorf("publish to %q: %w", m.Topic, err)
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return nil, fmt.Errorf("publish to %q: %w", m.Topic, ctx.Err())
		case <-c.ended: // tryPublish says why
		}
	}
}

// errFull asks the publisher to wait.
var errFull = errors.New("the window is full")

func (c *Client) tryPublish(id uint16, m *Message, dup bool) (*Pending, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.over(); err != nil {
		return nil, err
	}
	w := wire.Message{Topic: m.Topic, Payload: m.Payload, Props: m.Props, QoS: m.QoS, Retain: m.Retain}
	if m.Expiry > 0 {
		w.Expires = int64(seconds(m.Expiry))
	}
	if err := c.permits(&w); err != nil {
		return nil, err
	}
	if len(c.out) >= outMax || m.QoS > 0 && len(s.out) >= c.window || m.QoS == 0 && c.onWire < len(s.out) || c.asks(id) {
		return nil, errFull
	}
	if m.QoS == 0 {
		c.publishing(&w, 0, false)
		signal(c.wake)
		return c.settled, nil
	}
	now := time.Now()
	p, err := s.add(m, id, dup, now)
	if err == nil {
		c.pump(now)
		signal(c.wake)
	}
	return p, err
}

// Release sends PUBREL for identifiers of QoS 2 publishes that a process left unfinished when it died, and of which the
// caller knows that they arrived. Those that this session has are left out.
func (c *Client) Release(ids ...uint16) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.over(); err != nil {
		return err
	}
	for _, id := range ids {
		if c.s.byID[id] == nil {
			c.out = wire.AppendAck(c.out, wire.Pubrel, id, 0, c.cfg.Version)
		}
	}
	signal(c.wake)
	return nil
}

// permits says whether the server's limits let a message through; Expires is set if the packet will carry an expiry.
func (c *Client) permits(m *wire.Message) error {
	size := wire.PublishSize(m, c.cfg.Version, m.QoS, nil)
	switch {
	case size > c.ack.MaximumPacketSize: // [MQTT-3.2.2-15]
		return fmt.Errorf("%w: %d bytes, the server takes %d", ErrUnsendable, size, c.ack.MaximumPacketSize)
	case m.QoS > c.ack.MaximumQoS: // [MQTT-3.2.2-11]
		return fmt.Errorf("%w: the server takes no QoS %d", ErrUnsendable, m.QoS)
	case m.Retain && !c.ack.RetainAvailable: // [MQTT-3.2.2-14]
		return fmt.Errorf("%w: the server retains no messages", ErrUnsendable)
	}
	return nil
}

// pump puts waiting publishes on the wire, in order, as far as window and buffer allow. A PUBREL needs no place in the
// window (MQTT 5.0, 4.9), and waiting for one could be for ever.
func (c *Client) pump(now time.Time) {
	s := c.s
	for c.onWire < len(s.out) && len(c.out) < outMax && c.over() == nil {
		p := s.out[c.onWire]
		if p.stage == released {
			c.out = wire.AppendAck(c.out, wire.Pubrel, p.id, 0, c.cfg.Version)
		} else if p.stage != received {
			if c.onWire >= c.window || c.asks(p.id) {
				return
			}
			if !p.until.IsZero() { // in seconds from now, so that a clock that is set does not matter
				p.msg.Expires = int64(max(seconds(p.until.Sub(now)), 1))
			}
			if err := c.permits(&p.msg); err != nil {
				s.settle(c.onWire, err)
				continue
			}
			c.publishing(&p.msg, p.id, p.tried)
			p.stage = sent
		}
		p.at = now
		c.onWire++
	}
}

// acknowledged takes PUBACK, PUBREC and PUBCOMP.
func (c *Client) acknowledged(kind byte, id uint16, reason byte, now time.Time) *wire.Fault {
	s := c.s
	p := s.byID[id]
	i := -1
	if p != nil {
		i = slices.Index(s.out[:c.onWire], p)
	}
	if i < 0 {
		return c.unknown(kind, id)
	}
	if kind == wire.Puback && p.msg.QoS != 1 || kind != wire.Puback && p.msg.QoS != 2 ||
		kind == wire.Pubcomp && p.stage != released {
		return &wire.Fault{Code: wire.ProtocolError, Text: "an acknowledgement that was not due"}
	}
	if kind == wire.Pubrec && reason < wire.Unspecified {
		if p.stage == sent {
			c.measure(now.Sub(p.at))
		}
		p.at = now
		if p.recorded(); p.stage == released {
			c.out = wire.AppendAck(c.out, wire.Pubrel, id, 0, c.cfg.Version)
		}
		return nil
	}
	if kind == wire.Puback {
		c.measure(now.Sub(p.at))
	}
	var err error
	if reason >= wire.Unspecified && kind != wire.Pubcomp { // PUBCOMP 0x92: it had been completed before
		err = &ReasonError{Packet: "PUBLISH", Code: reason}
	}
	s.settle(i, err)
	c.onWire--
	c.pump(now)
	signal(c.room)
	return nil
}

// unknown takes an acknowledgement of what we know nothing of, which a server may send that repeats itself. A PUBREC must
// be answered, else it is repeated for ever.
func (c *Client) unknown(kind byte, id uint16) *wire.Fault {
	if kind == wire.Pubrec {
		c.out = wire.AppendAck(c.out, wire.Pubrel, id, wire.PacketIDNotFound, c.cfg.Version)
	}
	return nil
}

// measure smooths round trips as TCP does (RFC 6298).
func (c *Client) measure(d time.Duration) {
	if c.trip == 0 {
		c.trip = d
		return
	}
	c.trip += (d - c.trip) / 8
}
