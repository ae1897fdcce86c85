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
	"time"

	"edged/bridge"
	"edged/bridge/port"
	"edged/broker"
	"edged/broker/journal"
	"edged/config"
	"edged/devices/catalog"
	"edged/uplink"
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
}

// Gateway is a gateway that runs.
type Gateway struct {
	opts     Options
	cfg      *config.Config
	log      *slog.Logger
	clock    *clock
	broker   *broker.Broker
	own      *bridge.Gateway
	ports    *port.System
	bridges  []*bridge.Bridge
	disabled []string       // names of devices that are
	uplink   *uplink.Uplink // nil: no cloud
	machine  machine
	facts    facts
}

// New opens the journal and makes every part; nothing runs and nobody can connect yet. An error that wraps
// journal.ErrUnusable means that the state directory cannot be used (E604).
func New(opts Options) (*Gateway, error) {
	g := &Gateway{opts: opts, cfg: opts.Config, log: opts.Log, machine: machine{"/"}}
	if err := os.MkdirAll(opts.State, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %s: %w (E604)\nname another with --state, or mend what is there", journal.ErrUnusable, opts.State, err)
	}
	if err := g.cfg.Identify(opts.State); err != nil {
		g.log.Warn("the gateway's id could not be kept", "err", err)
	}
	g.clock = newClock(opts.State, opts.Built)
	var err error
	g.broker, err = broker.Open(g.cfg.Broker, opts.State, g.log.With("part", "broker"), broker.Options{
		Version:  opts.Version,
		NoRetain: []string{"edged/+/dev/+/set"}, // a command that is kept would be carried out again and again (E406)
	})
	if err != nil {
		return nil, err
	}
	g.own = bridge.NewGateway(bridge.GatewayDeps{
		Gateway: g.cfg.Gateway.ID, Version: opts.Version, Dial: g.dial, Log: g.log.With("part", "gateway"),
		Info: g.info, Health: g.health,
	})
	if err := g.makeBridges(); err != nil {
		return nil, err
	}
	return g, g.makeUplink()
}

func (g *Gateway) makeBridges() error {
	seq, err := bridge.OpenSeq(filepath.Join(g.opts.State, "seq"), g.log)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		g.log.Warn("sequence numbers are not kept", "err", err)
	}
	g.ports = port.New("", g.log.With("part", "port"))
	for i, c := range g.cfg.Devices {
		if c.Disabled {
			g.disabled = append(g.disabled, c.Name)
			continue
		}
		drv, ok := catalog.Get(c.Driver)
		if !ok {
			return fmt.Errorf("device %s: there is no driver %q", c.Name, c.Driver)
		}
		b, err := bridge.New(c, drv, bridge.Deps{
			Gateway: g.cfg.Gateway.ID, Dial: g.dial, Ports: g.ports, Seq: seq, Clock: g.clock, Log: g.log, Seed: uint64(i),
			Event: g.own.Event, Changed: g.own.Announce,
		})
		if err != nil {
			return err
		}
		g.bridges = append(g.bridges, b)
	}
	g.own.SetDevices(g.bridges...)
	return nil
}

func (g *Gateway) makeUplink() error {
	if g.cfg.Uplink == nil {
		return nil
	}
	publish, subscribe := uplink.Rights(g.cfg.Gateway.ID, *g.cfg.Uplink)
	id := broker.Identity{ClientID: uplink.ClientID, Publish: publish, Subscribe: subscribe, SessionQueue: g.cfg.Uplink.QueueSize}
	var err error
	g.uplink, err = uplink.New(*g.cfg.Uplink, uplink.Deps{
		Gateway: g.cfg.Gateway.ID, Log: g.log.With("part", "uplink"), Floor: g.clock.Floor, Changed: g.own.Changed,
		DialLocal: func() (net.Conn, error) { return g.broker.Dial(id) },
	})
	return err
}

// dial opens a connection to the broker for a session of ours, with exactly the rights that it needs.
func (g *Gateway) dial(clientID string) (net.Conn, error) {
	id := broker.Identity{ClientID: clientID}
	if clientID == bridge.GatewayClient {
		id.Publish, id.Subscribe = bridge.GatewayRights(g.cfg.Gateway.ID)
		return g.broker.Dial(id)
	}
	for _, b := range g.bridges {
		if bridge.DeviceClient(b.Name()) == clientID {
			id.Publish, id.Subscribe = bridge.DeviceRights(g.cfg.Gateway.ID, b.Name())
			return g.broker.Dial(id)
		}
	}
	return nil, fmt.Errorf("no session of the gateway has the ClientId %q", clientID)
}

// ID is the gateway's id.
func (g *Gateway) ID() string { return g.cfg.Gateway.ID }

// Broker is the gateway's broker.
func (g *Gateway) Broker() *broker.Broker { return g.broker }

// Uplink is the link to the cloud; nil where there is none.
func (g *Gateway) Uplink() *uplink.Uplink { return g.uplink }
