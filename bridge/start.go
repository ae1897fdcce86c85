// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"edged/mqtt"
)

// prepareTimeout bounds Prepare: it keeps the listeners closed.
const prepareTimeout = 10 * time.Second

// found is a retained message of an earlier run.
type found struct {
	topic   string
	payload []byte
}

// Prepare corrects what an earlier run left retained: statuses that say online become offline, and what belongs to
// devices that are not configured any more is cleared. It is called after SetDevices and before anybody from outside
// can connect; a device whose data is still there learns which seq the broker has. kept names devices that are
// configured but have no bridge, being disabled.
func (g *Gateway) Prepare(ctx context.Context, kept ...string) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	nc, err := g.deps.Dial(GatewayClient)
	if err != nil {
		return fmt.Errorf("correct retained messages: %w", err)
	}
	all := make(chan []found, 1)
	marker := g.topic("status")
	var seen []found // of the goroutine that reads
	cfg := g.link.config
	cfg.OnMessage = func(d *mqtt.Delivery) {
		if d.Topic != marker {
			seen = append(seen, found{d.Topic, d.Payload})
			return
		}
		select {
		case all <- seen:
		default:
		}
	}
	c, _, err := mqtt.Connect(ctx, nc, nil, cfg)
	if err != nil {
		return fmt.Errorf("correct retained messages: %w", err)
	}
	err = g.correct(ctx, c, all, marker, kept)
	return errors.Join(err, c.Disconnect(ctx))
}

// correct asks for what is retained. Deliveries come in order, so our own message on marker follows the last of them.
func (g *Gateway) correct(ctx context.Context, c *mqtt.Client, all <-chan []found, marker string, kept []string) error {
	_, err := c.Subscribe(ctx, 0,
		mqtt.Subscription{Filter: g.topic("dev/+/+"), QoS: 1},
		mqtt.Subscription{Filter: discoveryFilter, QoS: 1},
		mqtt.Subscription{Filter: marker, QoS: 1, RetainHandling: 2})
	if err != nil {
		return fmt.Errorf("correct retained messages: %w", err)
	}
	if _, err := c.Publish(ctx, mqtt.Message{Topic: marker, Payload: []byte(offline), QoS: 1, Retain: true}); err != nil {
		return fmt.Errorf("correct retained messages: %w", err)
	}
	var messages []found
	select {
	case messages = <-all:
	case <-c.Done():
		return fmt.Errorf("correct retained messages: %w", c.Err())
	case <-ctx.Done():
		return fmt.Errorf("correct retained messages: %w", ctx.Err())
	}
	var last *mqtt.Pending
	for _, m := range g.corrections(messages, kept) {
		if last, err = c.Publish(ctx, m); err != nil {
			return fmt.Errorf("correct retained messages: %w", err)
		}
	}
	if last == nil {
		return nil
	}
	select {
	case <-last.Done():
		return nil
	case <-c.Done():
		return fmt.Errorf("correct retained messages: %w", c.Err())
	case <-ctx.Done():
		return fmt.Errorf("correct retained messages: %w", ctx.Err())
	}
}

// corrections says what to publish for what was found.
func (g *Gateway) corrections(messages []found, kept []string) []mqtt.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := map[string]bool{}
	for _, name := range kept {
		known[name] = true
	}
	for name := range g.bridges {
		known[name] = true
	}
	var out []mqtt.Message
	clear := func(topic string) { out = append(out, mqtt.Message{Topic: topic, QoS: 1, Retain: true}) }
	for _, m := range messages {
		if len(m.payload) == 0 {
			continue
		}
		if id, ok := strings.CutPrefix(m.topic, "homeassistant/device/"+discoveryID(g.deps.Gateway, "")); ok {
			if !known[strings.TrimSuffix(id, "/config")] {
				clear(m.topic)
			}
			continue
		}
		device, leaf, ok := strings.Cut(strings.TrimPrefix(m.topic, g.topic("dev/")), "/")
		switch {
		case !ok || !strings.HasPrefix(m.topic, g.topic("dev/")):
		case !known[device]:
			clear(m.topic)
		case leaf == "status" && string(m.payload) != offline:
			out = append(out, mqtt.Message{Topic: m.topic, Payload: []byte(offline), QoS: 1, Retain: true})
		case leaf == "data" && g.bridges[device] != nil:
			var d struct{ Seq uint64 }
			if err := json.Unmarshal(m.payload, &d); err == nil {
				g.bridges[device].sawSeq(d.Seq)
			}
		}
	}
	return out
}
