// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
	"edged/bridge/port"
	"edged/devices"
)

func TestKeepStartsAgainAndBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var starts []time.Duration
		begun := time.Now()
		err := bridge.Keep(ctx, slog.New(slog.DiscardHandler), bridge.Backoff{Min: time.Second, Max: time.Minute, Healthy: 5 * time.Minute},
			func(context.Context) error {
				starts = append(starts, time.Since(begun))
				if len(starts)%2 == 0 {
					panic("driver bug")
				}
				return errors.New("port vanished")
			})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(starts); n < 60 || n > 140 {
			t.Errorf("%d starts in an hour, want the longest wait to be a minute", n)
		}
		if starts[1] > time.Second {
			t.Errorf("the first wait was %v", starts[1])
		}
	})
}

func TestKeepForgetsWhatWasLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var ended, again time.Time
		runs := 0
		err := bridge.Keep(ctx, slog.New(slog.DiscardHandler), bridge.Backoff{Min: time.Second, Max: time.Minute, Healthy: time.Minute},
			func(ctx context.Context) error {
				runs++
				if runs == 11 {
					again = time.Now()
					<-ctx.Done()
					return ctx.Err()
				}
				if runs == 10 {
					time.Sleep(2 * time.Minute)
					ended = time.Now()
				}
				return errors.New("over")
			})
		if err != nil || again.Sub(ended) > time.Second {
			t.Errorf("%v; started again %v after a healthy run", err, again.Sub(ended))
		}
	})
}

func TestKeepStopsWhenDone(t *testing.T) {
	if err := bridge.Keep(t.Context(), slog.New(slog.DiscardHandler), bridge.Restart(), func(context.Context) error { return bridge.ErrDone }); err != nil {
		t.Fatal(err)
	}
}

// brittle is a driver of which some bytes are the death.
func brittle(t *testing.T) *devices.Driver {
	d := *driver(t, "line")
	inner := d.New
	d.New = func(o devices.Options) (devices.Decoder, error) {
		dec, err := inner(o)
		return brittleDecoder{dec}, err
	}
	d.Commands = []devices.CommandInfo{{Name: "die", Kind: devices.KindTrigger}}
	return &d
}

type brittleDecoder struct{ devices.Decoder }

func (b brittleDecoder) Feed(p []byte, at time.Time, emit func(devices.Sample)) {
	if strings.Contains(string(p), "boom") {
		panic("index out of range")
	}
	b.Decoder.Feed(p, at, emit)
}

func (b brittleDecoder) Command(string, devices.Value) (devices.Request, error) { panic("nil map") }

func TestPanicOfADriverIsTheWillOfItsDeviceAlone(t *testing.T) {
	for name, kill := range map[string]func(r *rig){
		"on bytes":     func(r *rig) { r.send("boom\n") },
		"on a command": func(r *rig) { r.broker.send(r.topic("set"), `{"die":true,"id":1}`, false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := setUp(t, jsonLines(), brittle(t), nil)
				r.run()
				defer r.halt()
				for i := range 3 {
					r.send("{\"n\":1}\n")
					if r.status() != "online" {
						t.Fatalf("round %d: status %q", i, r.status())
					}
					published := len(r.broker.on(r.topic("status")))
					kill(r)
					synctest.Wait()
					r.broker.mu.Lock()
					tail := slices.Clone(r.broker.log[max(len(r.broker.log)-6, 0):])
					r.broker.mu.Unlock()
					last := tail[len(tail)-1]
					if r.status() != "offline" || last.topic != r.topic("status") || len(r.broker.on(r.topic("status"))) != published+1 {
						t.Errorf("round %d: the will was not published: %+v", i, tail)
					}
					if s := r.bridge.Status(); s.State != "offline" || !strings.Contains(s.Reason, "panic") {
						t.Errorf("round %d: status %+v", i, s)
					}
					r.sleep(10 * time.Second)
				}
				if !strings.Contains(strings.Join(r.broker.on(r.topic("health")), "\n"), "panic") {
					t.Errorf("no health says why: %q", r.broker.on(r.topic("health")))
				}
				if got := r.broker.on(r.topic("result")); name == "on a command" && len(got) < 3 { // QoS 1 may repeat
					t.Errorf("results %q", got)
				}
			})
		})
	}
}

// dying is a simulated device that panics after a second.
type dying struct{ at time.Time }

func (d *dying) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if d.at.IsZero() {
		d.at = now.Add(time.Second)
		return append(out, "{\"n\":1}\n"...), d.at
	}
	if now.Before(d.at) {
		return out, d.at
	}
	panic("simulated")
}

func (d *dying) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }

func TestPanicOfASimulatorIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := *driver(t, "line")
		d.Simulate = func(devices.Options, uint64) (devices.Simulator, error) { return &dying{}, nil }
		c := jsonLines()
		c.Port = port.Sim
		r := setUp(t, c, &d, func(d *bridge.Deps) { d.Ports = port.New("", slog.New(slog.DiscardHandler)) })
		r.run()
		defer r.halt()
		if r.status() != "online" {
			t.Errorf("status %q", r.status())
		}
		r.sleep(1010 * time.Millisecond)
		if s := r.bridge.Status(); r.status() != "offline" || s.Code != "" || !strings.HasPrefix(s.Reason, "the driver failed") {
			t.Errorf("%q, %+v", r.status(), s)
		}
		r.sleep(500 * time.Millisecond)
		if r.status() != "online" {
			t.Errorf("started again: %q", r.status())
		}
	})
}
