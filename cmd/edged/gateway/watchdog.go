// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"edged/broker"
	"edged/mqtt"
	"edged/systemd"
)

// watchdogTopic is for messages from the watchdog to itself; no other client may use it.
const (
	watchdogTopic  = "$edged/watchdog"
	watchdogClient = "edged-watchdog"
)

// feedWatchdog tells the service manager that the gateway lives, each time that a message of its own has gone through
// the broker and back, until ctx ends. A broker that hangs is thus restarted, whatever timers still run.
func feedWatchdog(ctx context.Context, interval time.Duration, dial func(broker.Identity) (net.Conn, error), log *slog.Logger) error {
	nc, err := dial(broker.Identity{ClientID: watchdogClient, Publish: []string{watchdogTopic}, Subscribe: []string{watchdogTopic}})
	if err != nil {
		return err
	}
	back := make(chan string, 1) // one round is under way at a time; what is left of an earlier one is overwritten
	c, _, err := mqtt.Connect(ctx, nc, mqtt.NewSession(), mqtt.Config{
		ClientID: watchdogClient, Version: 5, Clean: true, KeepAlive: time.Minute,
		OnMessage: func(d *mqtt.Delivery) {
			select {
			case <-back:
			default:
			}
			back <- string(d.Payload)
		},
	})
	if err != nil {
		return err
	}
	_, err = c.Subscribe(ctx, 0, mqtt.Subscription{Filter: watchdogTopic})
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for n := 0; err == nil; n++ {
		if err = round(ctx, c, back, strconv.Itoa(n)); err != nil {
			break
		}
		if err := systemd.Alive(); err != nil {
			log.Warn("feeding the watchdog", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, c.Close())
}

// round sends one message and waits until it is back.
func round(ctx context.Context, c *mqtt.Client, back <-chan string, payload string) error {
	if _, err := c.Publish(ctx, mqtt.Message{Topic: watchdogTopic, Payload: []byte(payload)}); err != nil {
		return fmt.Errorf("publish to the watchdog: %w", err)
	}
	for {
		select {
		case got := <-back:
			if got == payload {
				return nil
			}
		case <-c.Done():
			return fmt.Errorf("the watchdog's connection ended: %w", c.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
