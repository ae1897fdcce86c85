// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"edged/broker"
	"edged/mqtt"
)

// screen shows one line a second of each device, and what happens to the link.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	shown map[string]time.Time
	units map[string]string // of DEVICE/READING
}

func newScreen(out io.Writer) *screen {
	return &screen{out: out, shown: map[string]time.Time{}, units: map[string]string{}}
}

func (s *screen) say(who, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s  %-7s %s\n", time.Now().Format(time.TimeOnly), who, what)
}

// meta keeps the units of a device.
func (s *screen) meta(device string, payload []byte) {
	var m struct {
		Readings map[string]struct{ Unit string }
	}
	if json.Unmarshal(payload, &m) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range m.Readings {
		s.units[device+"/"+name] = r.Unit
	}
}

// data shows a device's readings, at most once a second.
func (s *screen) data(device string, payload []byte) {
	var d map[string]any
	if json.Unmarshal(payload, &d) != nil {
		return
	}
	s.mu.Lock()
	late := time.Since(s.shown[device]) >= time.Second
	if late {
		s.shown[device] = time.Now()
	}
	var parts []string
	for name, v := range d {
		if name != "time" && name != "seq" {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %v %s", name, v, s.units[device+"/"+name])))
		}
	}
	s.mu.Unlock()
	if late {
		slices.Sort(parts)
		s.say(device, strings.Join(parts[:min(len(parts), mostShown)], "  "))
	}
}

// mostShown is how many readings of a device fit in a line.
const mostShown = 4

// watch follows the gateway's broker, as any MQTT client may.
func (d *demo) watch(ctx context.Context) error {
	return follow(ctx, d.gateway.Broker(), "edged-demo", func(m *mqtt.Delivery) error {
		level := strings.Split(m.Topic, "/")
		if len(level) != 5 {
			return nil
		}
		switch device := level[3]; level[4] {
		case "meta":
			d.screen.meta(device, m.Payload)
		case "data":
			d.screen.data(device, m.Payload)
		case "status":
			d.screen.say(device, strings.ToUpper(string(m.Payload)))
		}
		return nil
	})
}

// countAll counts what arrives in the pretend cloud.
func (d *demo) countAll(ctx context.Context) error {
	return follow(ctx, d.cloud, "edged-count", func(m *mqtt.Delivery) error {
		if !mqtt.Matches("edged/+/dev/+/data", m.Topic) {
			return nil
		}
		return d.count.add(m.Topic, m.Payload)
	})
}

// follow subscribes to everything of a broker and hands it on until ctx ends.
func follow(ctx context.Context, b *broker.Broker, clientID string, each func(*mqtt.Delivery) error) error {
	nc, err := b.Dial(broker.Identity{ClientID: clientID, Subscribe: []string{"#"}})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	c, _, err := mqtt.Connect(ctx, nc, mqtt.NewSession(), mqtt.Config{
		ClientID: clientID, Version: 5, Clean: true, KeepAlive: time.Minute,
		OnMessage: func(m *mqtt.Delivery) {
			if err := each(m); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		},
	})
	if err != nil {
		return err
	}
	if _, err := c.Subscribe(ctx, 0, mqtt.Subscription{Filter: "edged/#", QoS: 1}); err != nil {
		return errors.Join(err, c.Close())
	}
	select {
	case <-ctx.Done():
		return c.Close()
	case err := <-failed:
		return errors.Join(err, c.Close())
	case <-c.Done():
		if ctx.Err() != nil {
			return nil
		}
		return c.Err()
	}
}
