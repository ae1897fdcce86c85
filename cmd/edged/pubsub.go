// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edged/mqtt"
)

// interruptible is a context that the usual signals end.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

func newSub(g *globals) *cobra.Command {
	var broker other
	var count int
	cmd := &cobra.Command{
		Use:   "sub FILTER...",
		Short: "show what an MQTT client of the gateway's broker gets",
		Example: `  edged sub 'edged/#'
  edged sub --count 1 --json 'edged/+/dev/office/data'
  edged sub --url mqtt://192.168.1.7:1883 'edged/#'
  edged sub --url wss://hall-3.local/mqtt --ca cert.pem 'edged/#'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, filters []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return g.subscribe(ctx, broker, count, filters)
		},
	}
	broker.flags(cmd)
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after this many messages")
	return cmd
}

// waiting is how many messages may wait for the output to be written; the broker waits beyond.
const waiting = 256

func (g *globals) subscribe(ctx context.Context, broker other, count int, filters []string) error {
	messages := make(chan *mqtt.Delivery, waiting)
	c, err := g.connect(ctx, broker, func(d *mqtt.Delivery) {
		select {
		case messages <- d:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	subs := make([]mqtt.Subscription, 0, len(filters))
	for _, f := range filters {
		subs = append(subs, mqtt.Subscription{Filter: f, QoS: 1})
	}
	if _, err := c.Subscribe(ctx, 0, subs...); err != nil {
		return errors.Join(fmt.Errorf("subscribe: %w", err), c.Close())
	}
	for n := 0; count == 0 || n < count; n++ {
		select {
		case d := <-messages:
			if err := g.show(d); err != nil {
				return errors.Join(err, c.Close())
			}
		case <-c.Done():
			return exitWith(exitUnavailable, fmt.Errorf("the broker closed the connection: %w", c.Err()))
		case <-ctx.Done():
			return c.Close()
		}
	}
	return c.Disconnect(ctx)
}

// show prints a message: topic and payload on one line, or an object with --json.
func (g *globals) show(d *mqtt.Delivery) error {
	if !g.json {
		_, err := fmt.Fprintf(g.out, "%s %s\n", d.Topic, d.Payload)
		return err
	}
	line := struct {
		Received time.Time `json:"received"`
		Topic    string    `json:"topic"`
		Payload  any       `json:"payload"`
		QoS      byte      `json:"qos"`
		Retain   bool      `json:"retain"`
	}{time.Now().UTC(), d.Topic, string(d.Payload), d.QoS, d.Retain}
	if json.Valid(d.Payload) {
		line.Payload = json.RawMessage(d.Payload)
	}
	return json.NewEncoder(g.out).Encode(line)
}

func newPub(g *globals) *cobra.Command {
	var broker other
	var retain bool
	var qos uint8
	cmd := &cobra.Command{
		Use:   "pub TOPIC DATA",
		Short: "publish one message; DATA - reads it from standard input",
		Example: `  edged pub edged/press-hall-3/dev/air/set '{"sleep": true}'
  edged pub --retain plant/shift early`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if qos > 2 {
				return exitWith(exitUsage, fmt.Errorf("--qos %d: MQTT has 0, 1 and 2", qos))
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			m := mqtt.Message{Topic: args[0], Payload: []byte(args[1]), QoS: qos, Retain: retain}
			if args[1] == "-" {
				p, err := io.ReadAll(g.in)
				if err != nil {
					return fmt.Errorf("read the message: %w", err)
				}
				m.Payload = p
			}
			return g.publish(ctx, broker, m)
		},
	}
	broker.flags(cmd)
	cmd.Flags().BoolVarP(&retain, "retain", "r", false, "keep it as the topic's last value")
	cmd.Flags().Uint8VarP(&qos, "qos", "q", 1, "0, 1 or 2; 1 and 2 wait for the acknowledgement")
	return cmd
}

// publishTimeout is how long pub waits for the acknowledgement.
const publishTimeout = 10 * time.Second

func (g *globals) publish(ctx context.Context, broker other, m mqtt.Message) error {
	c, err := g.connect(ctx, broker, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	p, err := c.Publish(ctx, m)
	if err != nil {
		return errors.Join(fmt.Errorf("publish to %s: %w", m.Topic, err), c.Close())
	}
	select {
	case <-p.Done():
		err = p.Err()
	case <-c.Done():
		err = exitWith(exitUnavailable, fmt.Errorf("the broker closed the connection: %w", c.Err()))
	case <-ctx.Done():
		err = fmt.Errorf("no acknowledgement in %v (is the disk of the gateway full or read-only?): %w", publishTimeout, ctx.Err())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("publish to %s: %w", m.Topic, err), c.Close())
	}
	return c.Disconnect(ctx)
}
