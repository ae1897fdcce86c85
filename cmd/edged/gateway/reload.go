// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"reflect"
	"time"

	"edged/bridge"
	"edged/broker"
	"edged/config"
)

// Reloaded is what came of reading the configuration again.
type Reloaded struct {
	OK      bool     `json:"ok"`
	Text    string   `json:"text,omitempty"` // what kept it from coming into force
	Changed []string `json:"changed"`        // tables that took effect, such as "broker" or "device.air"
	Restart []string `json:"restart"`        // keys that count from the next start on

	Config *config.Config `json:"-"` // now in force
}

// Reload has the configuration read again and put into force, as far as that goes without a restart. A faulty one is
// told of, and the running one stays. The error is that of ctx.
func (g *Gateway) Reload(ctx context.Context) (Reloaded, error) {
	answer := make(chan Reloaded, 1)
	select {
	case g.reloads <- answer:
	case <-ctx.Done():
		return Reloaded{}, ctx.Err()
	}
	select {
	case r := <-answer:
		return r, nil
	case <-ctx.Done():
		return Reloaded{}, ctx.Err()
	}
}

// reload is done by Run, so that there is one at a time and none beside a stop.
func (g *Gateway) reload(ctx context.Context) Reloaded {
	if g.opts.Load == nil {
		return Reloaded{Text: "this gateway was started without a file"}
	}
	cfg, err := g.opts.Load()
	r := Reloaded{Changed: []string{}, Restart: []string{}}
	if err == nil {
		err = g.change(ctx, cfg, &r)
	}
	if err == nil {
		r.OK = true
		g.log.Info("the configuration was read again", "changed", r.Changed, "restart", r.Restart)
	} else {
		r.Text = err.Error()
		var problems config.Problems
		if errors.As(err, &problems) {
			r.Text = problems.Pretty()
		}
		g.log.Error("the configuration has faults; the running one stays", "err", err)
	}
	g.mu.Lock()
	before := g.rejected
	g.rejected = err
	r.Config = g.cfg
	g.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		g.announceRejection()
	}
	if g.opts.Reloaded != nil {
		g.opts.Reloaded(r)
	}
	return r
}

// change puts a configuration into force. Where it returns an error, nothing has changed.
func (g *Gateway) change(ctx context.Context, cfg *config.Config, r *Reloaded) error {
	if err := cfg.Identify(g.opts.State); err != nil {
		g.log.Warn("the gateway's id could not be kept", "err", err)
	}
	before, _ := g.config()
	r.Restart = append(r.Restart, brokerRestart(g.opts.Config.Broker, cfg.Broker)...)
	if cfg.Gateway.ID != g.id {
		// Every topic has another name then; devices and uplink belong to the id.
		r.Restart = append(r.Restart, "gateway.id")
		cfg.KeepGateway(before)
	}
	plan, err := g.planFleet(cfg)
	if err != nil {
		return err
	}
	newLink := !cfg.SameUplink(before)
	var link cloudLink
	if newLink {
		if link, err = g.newLink(cfg.Uplink); err != nil {
			return err
		}
	}
	if err := g.broker.Reload(cfg.Broker); err != nil {
		return err
	}
	g.mu.Lock()
	g.cfg = cfg
	g.mu.Unlock()
	if !cfg.SameBroker(before) {
		r.Changed = append(r.Changed, "broker")
	}
	if newLink {
		g.changeLink(ctx, link)
		r.Changed = append(r.Changed, "uplink")
	}
	if cfg.Console != before.Console {
		r.Changed = append(r.Changed, "console")
	}
	if cfg.Console != before.Console || !cfg.Console.Local() { // certificates are read again
		g.changeWeb()
	}
	g.applyFleet(ctx, plan)
	for _, name := range append(plan.changed, plan.removed...) {
		r.Changed = append(r.Changed, "device."+name)
	}
	if !reflect.DeepEqual(before.Gateway, cfg.Gateway) {
		r.Changed = append(r.Changed, "gateway")
	}
	return nil
}

// brokerRestart are the keys of the broker that differ from those it was started with and cannot change while it runs.
func brokerRestart(started, wanted broker.Config) []string {
	var keys []string
	for _, k := range []struct {
		key           string
		before, after any
	}{
		{"broker.listen", started.Listen, wanted.Listen},
		{"broker.durability", started.Durability, wanted.Durability},
		{"broker.limits.journal", started.Limits.Journal, wanted.Limits.Journal},
	} {
		if !reflect.DeepEqual(k.before, k.after) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// announceRejection tells that an older configuration runs than the one that was written.
func (g *Gateway) announceRejection() {
	g.own.Event(bridge.Event{Time: time.Now(), Code: rejectedCode, Level: "error", Text: rejectedText})
}
