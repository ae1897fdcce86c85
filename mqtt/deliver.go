// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"edged/mqtt/wire"
)

// Delivery is a message from the server.
type Delivery struct {
	Message
	ID     uint16   // packet identifier, 0 at QoS 0
	Dup    bool     // the server may have sent it before
	SubIDs []uint32 // MQTT 5: identifiers of the subscriptions that matched

	c     *Client
	acked bool // under the session's lock
}

// Ack acknowledges the delivery to the server, once; acknowledgements go out in the order of the calls. It does not wait
// and does nothing at QoS 0 or without Config.ManualAck. When the connection has ended it returns why, and the server
// delivers the message again to the next client of the session.
func (d *Delivery) Ack() error {
	c := d.c
	if d.QoS == 0 || !c.cfg.ManualAck {
		return nil
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.over(); err != nil {
		return err
	}
	if !d.acked {
		d.acked = true
		c.accept(d.ID, d.QoS)
		signal(c.wake)
	}
	return nil
}

// deliver passes a PUBLISH on, unless it is a repetition of what we have, and acknowledges it if that is ours to do.
func (c *Client) deliver(p *wire.Inbound) error {
	fresh, f := c.enter(p)
	if f != nil {
		return fmt.Errorf("read PUBLISH from the server: %w", f)
	}
	if !fresh {
		return nil
	}
	d := &Delivery{
		Message: Message{
			Topic: string(p.Topic), Payload: bytes.Clone(p.Payload), Props: bytes.Clone(p.Props), QoS: p.QoS, Retain: p.Retain,
			Expiry: time.Duration(p.Expires) * time.Second,
		},
		ID: p.ID, Dup: p.Dup, SubIDs: slices.Clone(p.SubIDs), c: c,
	}
	if err := c.handle(d); err != nil {
		return err
	}
	if p.QoS > 0 && !c.cfg.ManualAck {
		c.s.mu.Lock()
		c.accept(p.ID, p.QoS)
		c.s.mu.Unlock()
	}
	return nil
}

// enter notes a delivery of QoS 1 or 2 and says whether the application is to see it.
func (c *Client) enter(p *wire.Inbound) (fresh bool, f *wire.Fault) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.lastErr != nil { // we are leaving: the server keeps it
		return false, nil
	}
	if p.QoS == 0 {
		return true, nil
	}
	if _, taken := c.s.received[p.ID]; taken && p.QoS == 2 {
		c.inbound[p.ID] = p.QoS
		c.reply(wire.Pubrec, p.ID, 0)
		return false, nil
	}
	if _, busy := c.inbound[p.ID]; busy {
		if p.Dup { // servers of MQTT 3.1 repeat when they grow impatient
			return false, nil
		}
		return false, &wire.Fault{Code: wire.ProtocolError, Text: "PUBLISH with a packet identifier that is in use"}
	}
	if len(c.inbound) >= int(c.cfg.ReceiveMaximum) {
		return false, &wire.Fault{Code: wire.ReceiveMaxExceeded, Text: "more deliveries than we take"} // [MQTT-3.3.4-9]
	}
	c.inbound[p.ID] = p.QoS
	return true, nil
}

// accept takes a delivery over from the server. At QoS 2 it is known from then on, also where the answer cannot go out
// any more: the application has it, so that a repetition must not reach it.
func (c *Client) accept(id uint16, qos byte) {
	if qos == 2 {
		c.s.received[id] = struct{}{}
	}
	if c.over() != nil {
		return
	}
	if qos == 1 {
		delete(c.inbound, id)
		c.reply(wire.Puback, id, 0)
		return
	}
	c.reply(wire.Pubrec, id, 0)
}

// release takes PUBREL.
func (c *Client) release(id uint16) {
	reason := byte(0)
	if _, ok := c.s.received[id]; !ok {
		reason = wire.PacketIDNotFound
	}
	delete(c.s.received, id)
	if c.inbound[id] == 2 && reason == 0 {
		delete(c.inbound, id)
	}
	c.reply(wire.Pubcomp, id, reason)
}

func (c *Client) reply(kind byte, id uint16, reason byte) {
	c.out = wire.AppendAck(c.out, kind, id, reason, c.cfg.Version)
}
