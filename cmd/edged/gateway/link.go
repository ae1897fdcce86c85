// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io/fs"
	"net"
	"path/filepath"
	"time"

	"edged/bridge"
	"edged/broker"
	"edged/uplink"
)

// cloudLink is the uplink and what runs it; the zero value is no cloud.
type cloudLink struct {
	uplink *uplink.Uplink
	part   *part
}

// newLink makes the uplink of a configuration; nothing runs yet.
func (g *Gateway) newLink(cfg *uplink.Config) (cloudLink, error) {
	if cfg == nil {
		return cloudLink{}, nil
	}
	publish, subscribe := uplink.Rights(g.id, *cfg)
	id := broker.Identity{ClientID: uplink.ClientID, Publish: publish, Subscribe: subscribe, Queue: g.queue(cfg)}
	u, err := uplink.New(*cfg, uplink.Deps{
		Gateway: g.id, Log: g.log.With("part", "uplink"), Floor: g.clock.Floor, Changed: g.own.Changed,
		Memory:    filepath.Join(g.opts.State, "cloud-addresses.json"),
		DialLocal: func() (net.Conn, error) { return g.broker.Dial(id) },
		Event:     g.cloudEvent, GaveUp: g.cloudGap,
		Commands: filepath.Join(g.opts.State, "commands"), Alive: g.lastAlive(),
		Networks:      filepath.Join(g.opts.State, "networks"),
		Subscriptions: filepath.Join(g.opts.State, "cloud-subscriptions.json"),
	})
	return cloudLink{uplink: u}, err
}

// lastAlive is when the link, or an earlier run, was last alive for certain; zero where the clock cannot tell.
func (g *Gateway) lastAlive() time.Time {
	if u := g.Uplink(); u != nil {
		return u.Status().LastAck
	}
	if !g.clock.Believed() {
		return time.Time{}
	}
	return g.alive
}

// newest is when something below a directory was written last; zero: never. An earlier run was alive then.
func newest(dir string) (at time.Time) {
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is not there any more, or not ours
		}
		if info, err := e.Info(); err == nil && !e.IsDir() && info.ModTime().After(at) {
			at = info.ModTime()
		}
		return nil
	})
	if err != nil {
		return time.Time{}
	}
	return at
}

// queue is that of the uplink's session.
func (g *Gateway) queue(cfg *uplink.Config) broker.Queue {
	if cfg == nil {
		return broker.Queue{}
	}
	return broker.Queue{
		Size: cfg.QueueSize, Age: cfg.QueueAge, WhenFull: cfg.WhenFull, Reserved: []string{"edged/" + g.id + "/event"},
		Conflate:  cfg.Conflate,
		LiveFirst: cfg.Order == uplink.LiveFirst,
	}
}

// cloudEvent publishes what is wrong with the link as an event, for the time when it is right again.
func (g *Gateway) cloudEvent(code, text string) {
	g.own.Event(bridge.Event{Time: time.Now(), Code: code, Level: "warning", Text: text})
}

// cloudGap tells of a message that is too large for the cloud, or that it cannot hold otherwise.
func (g *Gateway) cloudGap(topic string, payload []byte) {
	g.gaps.add(broker.Gap{
		ClientID: uplink.ClientID, Reason: unsendable, Messages: 1, Bytes: int64(len(payload)),
		Topics: []broker.GapTopic{{Topic: topic, Messages: 1, First: payload, Last: payload}},
	})
}

// told notes that an event tells of what a session gave up, and will not be lost.
func (g *Gateway) told(x *broker.Gap) {
	if x.Reason != unsendable {
		g.broker.Told(x)
	}
}

// startLink runs the uplink that was made.
func (g *Gateway) startLink() {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.cloudLink.uplink
	if u == nil {
		return
	}
	g.cloudLink.part = launch("uplink", func(ctx context.Context) error {
		return bridge.Keep(ctx, g.log, bridge.Restart(), u.Run)
	})
}

// endLink stops the uplink within stopUplink.
func (g *Gateway) endLink() {
	g.mu.Lock()
	p := g.cloudLink.part
	g.mu.Unlock()
	if p != nil {
		p.end(stopUplink, g.log)
	}
}

// changeLink puts another uplink into the place of the one that runs. Its session on the broker, and what waits there,
// is the same.
func (g *Gateway) changeLink(ctx context.Context, l cloudLink) {
	g.endLink()
	g.mu.Lock()
	g.cloudLink = l
	g.mu.Unlock()
	if l.uplink != nil {
		ctx, cancel := context.WithTimeout(ctx, prepareTimeSick)
		defer cancel()
		if err := l.uplink.Prepare(ctx); err != nil {
			g.log.Warn("the uplink's session is not ready; what is published before it is will not reach the cloud", "err", err)
		}
	}
	g.startLink()
	g.own.Changed()
}

// Uplink is the link to the cloud; nil where there is none.
func (g *Gateway) Uplink() *uplink.Uplink {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cloudLink.uplink
}
