// SPDX-License-Identifier: Apache-2.0

// Package gateway wires the parts of edged into one running gateway, and starts and stops them in the right order.
package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"edged/bridge"
	"edged/bridge/hardware"
	"edged/bridge/port"
	"edged/broker"
	"edged/broker/journal"
	"edged/config"
	"edged/devices"
)

// Options is what a gateway is started with.
type Options struct {
	Config   *config.Config
	Rejected error        // why Config is not the newest that was written; nil: it is
	State    string       // directory of all that must survive; made where it is missing
	Socket   string       // path of the control socket; "": none
	Version  string       // of edged
	Built    time.Time    // no clock is believed that is before it
	Log      *slog.Logger // handed down to every part
	// Ready is called once every listener accepts and the journal is writable or its alarm is raised; nil: nobody waits.
	Ready func()
	// Load reads the configuration again, at each Reload; nil: there is nothing to read.
	Load func() (*config.Config, error)
	// Reloaded is called at the end of each Reload; nil: nobody waits.
	Reloaded func(Reloaded)
}

// Gateway is a gateway that runs.
type Gateway struct {
	opts    Options
	id      string
	log     *slog.Logger
	clock   *clock
	broker  *broker.Broker
	own     *bridge.Gateway
	ports   *port.System
	seq     *bridge.SeqStore
	keep    *bridge.KeepStore
	sensors devices.Machine // what sensors that are on no port may use
	seed    uint64          // of the newest bridge
	watch   *part           // hears of plugging, once there is a device
	machine machine
	gaps    *gaps
	alive   time.Time // of an earlier run, see newest
	facts   facts
	phase   atomic.Int32         // a phase
	reloads chan chan<- Reloaded // to Run; whoever asks waits until it takes the order

	doctoring chan struct{} // holds one who looks into the cloud; others wait

	mu        sync.Mutex // over what a reload changes
	cfg       *config.Config
	rejected  error // why cfg is not the newest that was written; nil: it is
	members   []*member
	lines     []*sharedLine
	cloudLink cloudLink
	web       web
}

// New opens the journal and makes every part; nothing runs and nobody can connect yet. An error that wraps
// journal.ErrUnusable means that the state directory cannot be used (E604).
func New(opts Options) (*Gateway, error) {
	g := &Gateway{
		opts: opts, cfg: opts.Config, rejected: opts.Rejected, log: opts.Log, machine: machine{"/"}, reloads: make(chan chan<- Reloaded),
		doctoring: make(chan struct{}, 1),
	}
	g.gaps = newGaps()
	if err := os.MkdirAll(opts.State, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %s: %w (E604)\nname another with --state, or mend what is there", journal.ErrUnusable, opts.State, err)
	}
	g.alive = newest(opts.State)
	if err := g.cfg.Identify(opts.State); err != nil {
		g.log.Warn("the gateway's id could not be kept", "err", err)
	}
	g.id = g.cfg.Gateway.ID
	g.clock = newClock(opts.State, opts.Built)
	var err error
	g.broker, err = broker.Open(g.cfg.Broker, opts.State, g.log.With("part", "broker"), broker.Options{
		Version:  opts.Version,
		Gap:      g.gaps.add,
		Classed:  classed(),
		Queue:    g.queue(g.cfg.Uplink),
		Restated: bridge.Restated(g.id),
		NoRetain: []string{"edged/+/dev/+/set"}, // a command that is kept would be carried out again and again (E406)
	})
	if err != nil {
		return nil, err
	}
	g.own = bridge.NewGateway(bridge.GatewayDeps{
		Gateway: g.id, Version: opts.Version, Dial: g.dial, Log: g.log.With("part", "gateway"),
		Info: g.info, Health: g.health,
	})
	if err := g.makeDevices(); err != nil {
		return nil, err
	}
	g.cloudLink, err = g.newLink(g.cfg.Uplink)
	return g, err
}

func (g *Gateway) makeDevices() error {
	seq, err := bridge.OpenSeq(filepath.Join(g.opts.State, "seq"), g.log)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		g.log.Warn("sequence numbers are not kept", "err", err)
	}
	g.seq = seq
	if g.keep, err = bridge.OpenKeep(filepath.Join(g.opts.State, "keep"), g.log); err != nil {
		g.log.Warn("what sensors must not forget is not kept", "err", err)
	}
	g.sensors = hardware.Machine("/", g.opts.State)
	g.ports = port.New("", g.log.With("part", "port"))
	plan, err := g.planFleet(g.cfg)
	if err != nil {
		return err
	}
	g.lines, g.members = plan.lines, plan.after
	g.own.SetDevices(g.bridges()...)
	return nil
}

// dial opens a connection to the broker for a session of ours, with exactly the rights that it needs.
func (g *Gateway) dial(clientID string) (net.Conn, error) {
	id := broker.Identity{ClientID: clientID}
	if clientID == bridge.GatewayClient {
		id.Publish, id.Subscribe = bridge.GatewayRights(g.id)
		return g.broker.Dial(id)
	}
	for _, b := range g.bridges() {
		if bridge.DeviceClient(b.Name()) == clientID {
			id.Publish, id.Subscribe = bridge.DeviceRights(g.id, b.Name())
			return g.broker.Dial(id)
		}
	}
	return nil, fmt.Errorf("no session of the gateway has the ClientId %q", clientID)
}

// ID is the gateway's id.
func (g *Gateway) ID() string { return g.id }

// config is the configuration in force.
func (g *Gateway) config() (cfg *config.Config, rejected error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg, g.rejected
}

// Broker is the gateway's broker.
func (g *Gateway) Broker() *broker.Broker { return g.broker }
