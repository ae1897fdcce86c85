// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"edged/bridge/port"
	"edged/bridge/scan"
	"edged/config"
	"edged/devices"
)

// scanOptions are the flags of scan.
type scanOptions struct {
	list      bool
	dwell     time.Duration
	serial    string
	modbus    string
	addresses string
}

func newScan(g *globals) *cobra.Command {
	var o scanOptions
	cmd := &cobra.Command{
		Use:   "scan [PORT...]",
		Short: "which ports there are, what speaks on them, a block to paste",
		Long: `Lists the serial ports of this machine, and listens to each that is free: at one rate after the other, until a driver finds
its frames or lines of text are readable. Nothing is written to any port, and ports that a program has open are left alone. A
port is opened once, which raises DTR and RTS as the kernel does for every program; some boards restart by it.

--modbus asks the addresses of an RS-485 line for a register, in one mode after the other, which changes nothing in them.`,
		Example: `  edged scan
  edged scan /dev/ttyUSB0 --for 20s
  edged scan --modbus /dev/ttyUSB1 --addresses 1-32`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if o.modbus != "" && len(args) > 0 {
				return exitWith(exitUsage, errors.New("--modbus names the port that is asked; name no other"))
			}
			if o.modbus != "" {
				return g.scanModbus(ctx, o)
			}
			return g.scan(ctx, args, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.list, "list", false, "only list the ports, open none")
	f.DurationVar(&o.dwell, "for", 5*time.Second, "how long to listen at each rate")
	f.StringVar(&o.serial, "serial", "", "listen or ask in this mode alone, such as \"9600 8E1\"")
	f.StringVar(&o.modbus, "modbus", "", "ask the Modbus devices on this port (this writes to it)")
	f.StringVar(&o.addresses, "addresses", "1-247", "with --modbus: the addresses that are asked")
	return cmd
}

// scanned is a port and what was found on it.
type scanned struct {
	port.Listed
	Device string // of the configuration that uses it; "": none
	State  string // for people
	Code   string // why it was not listened to; ""
	Report *scan.Report
	Block  string // to paste; ""
}

// scan lists the ports, or those that are named, listens to them and prints what was found.
func (g *globals) scan(ctx context.Context, names []string, o scanOptions) error {
	sys := port.New("", g.logger(slog.LevelWarn))
	all, err := g.scannedPorts(sys, names)
	if err != nil {
		return err
	}
	drivers, err := config.Described(g.config)
	if err != nil {
		_ = g.problems(err) // they are told; what is right is used
	}
	l := scan.Listening{Drivers: drivers.All(), Modes: scan.Modes(drivers.All()), Dwell: o.dwell}
	if o.serial != "" {
		m, err := port.ParseSerial(o.serial)
		if err != nil {
			return exitWith(exitUsage, fmt.Errorf("--serial: %w", err))
		}
		l.Modes = []port.Mode{m}
	}
	if !o.list {
		g.listenAll(ctx, sys, all, l)
	}
	if err := g.printScan(all, drivers.All()); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	for _, s := range all {
		if len(names) > 0 && s.Code != "" {
			return exitWith(map[bool]int{true: exitPermission, false: exitUnavailable}[s.Code == port.Forbidden], errQuiet)
		}
	}
	return nil
}

// scannedPorts are the ports of those names, all where there are none, with what can be told without opening them.
func (g *globals) scannedPorts(sys *port.System, names []string) ([]*scanned, error) {
	listed, err := sys.List()
	if err != nil && len(names) == 0 {
		return nil, exitWith(exitIO, err)
	}
	var all []*scanned
	for _, l := range listed {
		if len(names) == 0 {
			all = append(all, &scanned{Listed: l})
		}
	}
	for _, name := range names {
		if !port.Serial(name) || port.CheckName(name) != nil {
			return nil, exitWith(exitUsage, fmt.Errorf("%q is no serial port: write /dev/… or usb:VID:PID", name))
		}
		path, err := sys.Locate(name)
		if err != nil {
			return nil, portError(err)
		}
		s := &scanned{Listed: port.Listed{Path: name, Name: name, Holder: sys.Holder(path)}}
		if i := slices.IndexFunc(listed, func(l port.Listed) bool { return l.Path == path }); i >= 0 {
			s.Listed = listed[i]
		}
		all = append(all, s)
	}
	g.markConfigured(sys, all)
	return all, nil
}

// markConfigured notes which device uses a port, as far as the configuration can be read.
func (g *globals) markConfigured(sys *port.System, all []*scanned) {
	cfg, err := config.Load(g.config)
	if err != nil {
		return
	}
	for _, d := range cfg.Devices {
		if !port.Serial(d.Port) {
			continue
		}
		path, err := sys.Locate(d.Port)
		if err != nil {
			continue // it is not plugged in
		}
		for _, s := range all {
			if real, err := filepath.EvalSymlinks(s.Path); err == nil && real == path {
				s.Device = d.Name
			}
		}
	}
}

// listenAll listens to the ports that are free, all at the same time.
func (g *globals) listenAll(ctx context.Context, sys *port.System, all []*scanned, l scan.Listening) {
	var waiting []string
	var parts sync.WaitGroup
	for _, s := range all {
		switch {
		case s.Holder != "":
			s.Code, s.State = port.Busy, "in use by "+s.Holder
		case s.Console:
			s.Code, s.State = port.Busy, "in use by the system's console"
		default:
			waiting = append(waiting, s.Path)
			parts.Go(func() { s.listen(ctx, sys, l) })
		}
	}
	if len(waiting) > 0 {
		g.say("listening to %s; nothing is written", strings.Join(waiting, ", "))
	}
	parts.Wait()
}

// listen listens to one port.
func (s *scanned) listen(ctx context.Context, sys *port.System, l scan.Listening) {
	p, err := openTunable(ctx, sys, s.Path, l.Modes[0])
	if err != nil {
		e := &port.Error{Code: port.Missing, Text: err.Error()}
		errors.As(err, &e)
		s.Code, s.State = e.Code, e.Text
		return
	}
	r, err := scan.Listen(ctx, p, l)
	s.Report = &r
	switch err = errors.Join(err, p.Close()); {
	case ctx.Err() != nil:
		s.State = "free, not listened to for long enough"
	case err != nil:
		s.Code, s.State = port.Missing, err.Error()
	case r.Silent():
		s.State = "free, silent"
	default:
		s.State = "free, data arriving"
	}
}

// openTunable opens a UART.
func openTunable(ctx context.Context, sys *port.System, name string, m port.Mode) (port.Tunable, error) {
	p, err := sys.Open(ctx, port.Request{Name: name, Mode: m})
	if err != nil {
		return nil, err
	}
	t, ok := p.(port.Tunable)
	if !ok {
		return nil, errors.Join(&port.Error{Code: port.Missing, Port: name, Text: "is no serial port"}, p.Close())
	}
	return t, nil
}

// matchKeys are the keys of a device's table by which it is what was found on a port.
func matchKeys(name string, m *scan.Match, drivers []*devices.Driver) []config.KeyValue {
	keys := []config.KeyValue{{Key: "driver", Value: m.Driver}, {Key: "port", Value: name}}
	i := slices.IndexFunc(drivers, func(d *devices.Driver) bool { return d.Name == m.Driver })
	usual, err := port.ParseSerial(drivers[i].Serial)
	if err != nil || usual != m.Mode || m.Driver == "line" {
		keys = append(keys, config.KeyValue{Key: "serial", Value: m.Mode.String()})
	}
	for _, key := range []string{"format", "separator", "parse"} {
		if v, ok := m.Options[key]; ok {
			keys = append(keys, config.KeyValue{Key: key, Value: v})
		}
	}
	return keys
}

// blockName is a name for a device until its owner has a better one.
func blockName(m *scan.Match) string {
	if m.Driver == "line" {
		return "sensor"
	}
	return cmp.Or(m.Driver, "sensor")
}
