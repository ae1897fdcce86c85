// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"fmt"
	"time"

	"edged/mqtt/wire"
)

// request is a SUBSCRIBE or UNSUBSCRIBE that waits for its answer.
type request struct {
	kind    byte // of the answer
	filters int
	answer  chan []byte // holds one
}

// asks says whether a request has the identifier.
func (c *Client) asks(id uint16) bool { return c.requests[id] != nil }

// Subscribe sends one SUBSCRIBE, with a subscription identifier unless id is 0, and waits for the answer. codes holds,
// for each filter, the QoS granted or a reason of 0x80 and more; if there is such a one, the error is the first as a
// [ReasonError]. An answer that does not come leaves the connection as it is.
func (c *Client) Subscribe(ctx context.Context, id uint32, subs ...Subscription) (codes []byte, err error) {
	answer, err := c.SendSubscribe(id, subs...)
	if err != nil {
		return nil, err
	}
	return answer(ctx)
}

// SendSubscribe is [Client.Subscribe] in two steps, so that what is published after the first comes to a server that knows
// the subscription. answer is to be called once.
func (c *Client) SendSubscribe(id uint32, subs ...Subscription) (answer func(context.Context) (codes []byte, err error), err error) {
	if len(subs) == 0 || id > wire.MaxLength {
		return nil, fmt.Errorf("subscribe to %d filters with identifier %d", len(subs), id)
	}
	filters := make([]string, len(subs))
	for i, s := range subs {
		if s.QoS > 2 || s.RetainHandling > 2 {
			return nil, fmt.Errorf("subscribe to %q: QoS %d, retain handling %d", s.Filter, s.QoS, s.RetainHandling)
		}
		filters[i] = s.Filter
	}
	return c.ask("SUBSCRIBE", wire.Suback, filters, func(n uint16) []byte {
		return wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: n, SubscriptionID: id, Filters: subs}, c.cfg.Version)
	})
}

// Unsubscribe sends one UNSUBSCRIBE and waits for the answer; the error is as for [Client.Subscribe].
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) error {
	if len(filters) == 0 {
		return fmt.Errorf("unsubscribe from nothing")
	}
	answer, err := c.ask("UNSUBSCRIBE", wire.Unsuback, filters, func(n uint16) []byte {
		return wire.AppendUnsubscribe(nil, &wire.UnsubscribePacket{ID: n, Filters: filters}, c.cfg.Version)
	})
	if err == nil {
		_, err = answer(ctx)
	}
	return err
}

// ask sends a request about filters; answer waits for what the server says to it.
func (c *Client) ask(name string, kind byte, filters []string, packet func(uint16) []byte) (answer func(context.Context) ([]byte, error), err error) {
	for _, f := range filters {
		if _, _, ok := wire.ValidFilter(f); !ok {
			return nil, fmt.Errorf("%s: topic filter %q is not valid", name, f)
		}
	}
	r := &request{kind: kind, filters: len(filters), answer: make(chan []byte, 1)}
	if err := c.send(r, packet); err != nil {
		return nil, fmt.Errorf("%s %q: %w", name, filters, err)
	}
	return func(ctx context.Context) ([]byte, error) { return c.awaitAnswer(ctx, r, name, filters) }, nil
}

func (c *Client) awaitAnswer(ctx context.Context, r *request, name string, filters []string) ([]byte, error) {
	late := time.NewTimer(c.cfg.ResponseTimeout)
	defer late.Stop()
	select {
	case codes := <-r.answer:
		for i, code := range codes {
			if code >= wire.Unspecified {
				return codes, &ReasonError{Packet: name, Code: code, Reason: filters[i]}
			}
		}
		return codes, nil
	case <-late.C:
		return nil, fmt.Errorf("%s %q: %w in %v", name, filters, ErrNoAnswer, c.cfg.ResponseTimeout)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s %q: %w", name, filters, ctx.Err())
	case <-c.ended:
		return nil, fmt.Errorf("%s %q: %w", name, filters, c.Err())
	}
}

// send puts a request on the wire. Its identifier is in use until it is answered or the connection ends. Identifiers
// come from above, those of messages from below, so that they seldom meet.
func (c *Client) send(r *request, packet func(uint16) []byte) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.over(); err != nil {
		return err
	}
	if len(c.requests) >= maxRequests {
		return fmt.Errorf("%d requests are unanswered", len(c.requests))
	}
	for {
		if c.lastReq--; c.lastReq != 0 && c.s.byID[c.lastReq] == nil && !c.asks(c.lastReq) {
			break
		}
		if len(c.s.byID)+len(c.requests) >= 1<<16-1 {
			return fmt.Errorf("no packet identifier is free")
		}
	}
	b := packet(c.lastReq)
	if len(b) > c.ack.MaximumPacketSize || len(b) > wire.MaxLength {
		return fmt.Errorf("%w: %d bytes, the server takes %d", ErrUnsendable, len(b), c.ack.MaximumPacketSize)
	}
	c.requests[c.lastReq] = r
	c.out = append(c.out, b...)
	signal(c.wake)
	return nil
}

// maxRequests is how many requests may be unanswered. It leaves identifiers for messages.
const maxRequests = 256

// answered takes SUBACK and UNSUBACK.
func (c *Client) answered(kind byte, id uint16, codes []byte) *wire.Fault {
	r := c.requests[id]
	if r == nil || r.kind != kind || len(codes) != r.filters && (kind == wire.Suback || c.cfg.Version == 5) {
		return &wire.Fault{Code: wire.ProtocolError, Text: "an answer that does not belong to a request"}
	}
	delete(c.requests, id)
	r.answer <- codes
	c.pump(time.Now())
	signal(c.room)
	return nil
}
