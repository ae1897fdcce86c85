// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"edged/mqtt"
)

const (
	redrawEvery = 100 * time.Millisecond // at most
	rawKept     = 200                    // lines of bytes
)

func newWatch(g *globals) *cobra.Command {
	var broker other
	cmd := &cobra.Command{
		Use:   "watch [DEVICE]",
		Short: "live readings",
		Long: `Shows the readings of all devices, or of one, as they come. On a terminal each has a line with its newest values as a curve;
r shows the bytes that go over the selected device's port, the arrows select another, q ends it. Elsewhere, and with --json, each
message is a line.`,
		Example: `  edged watch
  edged watch office
  edged watch office | tee office.log
  edged watch --url mqtt://192.168.1.7:1883`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			device := "+"
			if len(args) == 1 {
				device = args[0]
				if err := g.knownDevice(ctx, broker, device); err != nil {
					return err
				}
			}
			return g.watch(ctx, broker, device)
		},
	}
	broker.flags(cmd)
	return cmd
}

// knownDevice refuses a name that the running gateway has no device of.
func (g *globals) knownDevice(ctx context.Context, broker other, device string) error {
	if strings.ContainsAny(device, "/+#") {
		return exitWith(exitUsage, fmt.Errorf("%q is no name of a device", device))
	}
	if broker.url != "" {
		return nil
	}
	s, err := g.askStatus(ctx)
	if err != nil {
		return err
	}
	_, err = only(s, device)
	return err
}

// watch shows what the broker tells of a device, "+" for all, until ctx ends or the user has seen enough.
func (g *globals) watch(ctx context.Context, broker other, device string) error {
	messages := make(chan *mqtt.Delivery, waiting)
	watching, leave := context.WithCancel(ctx)
	defer leave()
	c, err := g.connect(ctx, broker, func(d *mqtt.Delivery) {
		select {
		case messages <- d:
		case <-watching.Done():
		}
	})
	if err != nil {
		return err
	}
	var subs []mqtt.Subscription
	for _, leaf := range []string{"meta", "status", "health", "data"} {
		subs = append(subs, mqtt.Subscription{Filter: "edged/+/dev/" + device + "/" + leaf, QoS: 0})
	}
	if _, err := c.Subscribe(ctx, 0, subs...); err != nil {
		return errors.Join(fmt.Errorf("subscribe: %w", err), c.Close())
	}
	w := &watched{devices: map[string]*watchedDevice{}}
	if out, ok := g.out.(*os.File); ok && term.IsTerminal(int(out.Fd())) && !g.json {
		err = g.watchScreen(ctx, broker, w, messages, c.Done())
	} else {
		err = g.watchLines(ctx, w, messages, c.Done())
	}
	leave()
	return errors.Join(err, c.Close())
}

// errBrokerGone ends a watch.
func errBrokerGone() error {
	return exitWith(exitUnavailable, errors.New("the broker closed the connection"))
}

// watchLines prints a line for each message of readings.
func (g *globals) watchLines(ctx context.Context, w *watched, messages <-chan *mqtt.Delivery, gone <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return errBrokerGone()
		case m := <-messages:
			d, live := w.take(m.Topic, m.Payload, m.Retain, time.Now())
			if !live {
				continue
			}
			if err := g.watchLine(w, d, m.Payload); err != nil {
				return fmt.Errorf("write a line: %w", err)
			}
		}
	}
}

func (g *globals) watchLine(w *watched, d *watchedDevice, payload []byte) error {
	if g.json {
		return json.NewEncoder(g.out).Encode(map[string]any{"gateway": d.gateway, "device": d.name, "data": json.RawMessage(payload)})
	}
	_, err := fmt.Fprintln(g.out, d.line(w.several))
	return err
}

// watchScreen draws on the terminal.
func (g *globals) watchScreen(ctx context.Context, broker other, w *watched, messages <-chan *mqtt.Delivery, gone <-chan struct{}) error {
	s, err := openScreen(g.out)
	if err != nil {
		return err
	}
	defer s.close()
	v := &watchView{}
	raw := &rawBytes{g: g, remote: broker.url != ""}
	defer raw.stop()
	redraw := time.NewTicker(redrawEvery)
	defer redraw.Stop()
	changed := time.Now()
	var drawn time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return errBrokerGone()
		case m := <-messages:
			w.take(m.Topic, m.Payload, m.Retain, time.Now())
			changed = time.Now()
		case line := <-raw.lines:
			v.rawLines = append(v.rawLines, line)
			v.rawLines = v.rawLines[max(0, len(v.rawLines)-rawKept):]
			changed = time.Now()
		case k := <-s.keys:
			if k == 'q' || k == 3 { // Ctrl-C
				return nil
			}
			g.watchKey(ctx, k, v, w, raw)
			changed = time.Now()
		case now := <-redraw.C:
			if !changed.After(drawn) && now.Sub(drawn) < time.Second {
				continue
			}
			width, height := s.size()
			if err := s.show(w.draw(v, width, height, now, g.mark)); err != nil {
				return fmt.Errorf("draw: %w", err)
			}
			drawn = now
		}
	}
}

// watchKey does what a key says.
func (g *globals) watchKey(ctx context.Context, k byte, v *watchView, w *watched, raw *rawBytes) {
	switch k {
	case 'A', 'k':
		v.move(w, -1)
	case 'B', 'j':
		v.move(w, 1)
	case 'r':
		v.raw = !v.raw
	default:
		return
	}
	raw.stop()
	v.rawLines, v.rawNote = nil, ""
	if v.raw && v.selected != "" {
		_, device, _ := strings.Cut(v.selected, "/")
		v.rawNote = raw.start(ctx, device)
	}
}

// rawBytes hears what goes over a device's port.
type rawBytes struct {
	g      *globals
	remote bool
	from   io.Closer
	lines  chan string
	done   chan struct{}
}

// start begins to listen; it says why that cannot be.
func (r *rawBytes) start(ctx context.Context, device string) string {
	if r.remote {
		return "the bytes can be seen where the gateway runs, not over the network"
	}
	tap, err := r.g.tap(ctx, device)
	if err != nil {
		return err.Error()
	}
	r.from, r.lines, r.done = tap, make(chan string), make(chan struct{})
	go func(lines chan<- string, done chan struct{}) {
		defer close(done)
		text := bufio.NewScanner(tap)
		for text.Scan() {
			if strings.HasPrefix(text.Text(), "#") {
				continue
			}
			select {
			case lines <- text.Text():
			case <-ctx.Done():
				return
			}
		}
	}(r.lines, r.done)
	return ""
}

// stop ends listening.
func (r *rawBytes) stop() {
	if r.from == nil {
		return
	}
	_ = r.from.Close() // it was only read
	for ended := false; !ended; {
		select {
		case <-r.lines:
		case <-r.done:
			ended = true
		}
	}
	r.from, r.lines = nil, nil
}
