// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edged/bridge"
	"edged/bridge/port"
	"edged/bridge/scan"
	"edged/config"
)

// firstReading is how long device add waits for the device to come online.
const firstReading = 10 * time.Second

// addition is a device that is to be added.
type addition struct {
	name, driver, serial string
	set                  []string
	dwell                time.Duration
}

func newDeviceAdd(g *globals) *cobra.Command {
	var a addition
	cmd := &cobra.Command{
		Use:   "add PORT|BUS:ADDRESS",
		Short: "add a device to the configuration; comments in the file are kept",
		Long: `Adds the table of a device to the configuration, checks the whole before anything is saved, and has the running gateway
read it. Without --driver it listens to the port, as edged scan does, and takes what speaks there.`,
		Example: `  edged device add usb:1a86:7523 --name office
  edged device add /dev/ttyUSB0 --name air --driver pms5003
  edged device add sim --name test --driver line --set 'format = "template"' --set 'parse = "T={temperature}"'
  edged device add hall:3 --name meter --driver sdm630`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return g.addDevice(ctx, args[0], a)
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.name, "name", "", "the device's name: 1 to 32 of a-z, 0-9, _ and - (needed)")
	f.StringVar(&a.driver, "driver", "", "what understands it (default: what is heard on the port)")
	f.StringVar(&a.serial, "serial", "", "how a serial port speaks, such as \"9600 8N1\" (default: the driver's)")
	f.StringArrayVar(&a.set, "set", nil, "another key of the device's table as TOML: 'key = value' (repeatable)")
	f.DurationVar(&a.dwell, "for", 5*time.Second, "without --driver: how long to listen at each rate")
	return cmd
}

// addDevice adds a device at a port or a bus.
func (g *globals) addDevice(ctx context.Context, where string, a addition) error {
	if a.name == "" {
		return exitWith(exitUsage, errors.New("--name is needed: what the device is called"))
	}
	if err := config.CheckDeviceName(a.name); err != nil {
		return exitWith(exitUsage, err)
	}
	set, err := config.ParseOptions(strings.Join(a.set, "\n"))
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("--set: %w", err))
	}
	d, err := g.openDraft(config.DevicesFile)
	if err != nil {
		return err
	}
	table := config.DeviceTable(a.name)
	if file, ok := d.Find(table...); ok {
		return exitWith(exitUsage, fmt.Errorf("there is a device %s already, in %s", a.name, file))
	}
	keys, err := g.keysOf(ctx, where, a)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		keys = slices.DeleteFunc(keys, func(k config.KeyValue) bool { return k.Key == key })
		keys = append(keys, config.KeyValue{Key: key, Value: set[key]})
	}
	running, err := g.saveDraft(ctx, d, func() (string, error) {
		file, err := d.Set(table, keys...)
		return fmt.Sprintf("device %s is in %s", a.name, file), err
	}, func(_, _ *config.Config) error { return nil })
	if err != nil || !running {
		return err
	}
	return g.awaitDevice(ctx, a.name)
}

// keysOf are the first keys of the table of a device at a port or a bus.
func (g *globals) keysOf(ctx context.Context, where string, a addition) ([]config.KeyValue, error) {
	wrong := port.CheckName(where)
	if bus, address, ok := strings.Cut(where, ":"); wrong != nil && ok && config.CheckDeviceName(bus) == nil && address != "" {
		if a.driver == "" {
			return nil, exitWith(exitUsage, errors.New("--driver is needed: what is at that address"))
		}
		keys := []config.KeyValue{{Key: "driver", Value: a.driver}, {Key: "bus", Value: bus}, {Key: "address", Value: address}}
		if n, err := strconv.ParseInt(address, 10, 64); err == nil {
			keys[2].Value = n
		}
		return keys, nil
	}
	if wrong != nil {
		return nil, exitWith(exitUsage, wrong)
	}
	if a.driver == "" {
		return g.keysByEar(ctx, where, a)
	}
	keys := []config.KeyValue{{Key: "driver", Value: a.driver}, {Key: "port", Value: where}}
	if a.serial != "" {
		keys = append(keys, config.KeyValue{Key: "serial", Value: a.serial})
	}
	return keys, nil
}

// keysByEar listens to find out what speaks on a port.
func (g *globals) keysByEar(ctx context.Context, where string, a addition) ([]config.KeyValue, error) {
	if !port.Serial(where) {
		return nil, exitWith(exitUsage, errors.New("--driver is needed: only a serial port is listened to for what speaks there"))
	}
	described, err := config.Described(g.config)
	if err != nil {
		return nil, g.problems(err)
	}
	drivers := described.All()
	l := scan.Listening{Drivers: drivers, Modes: scan.Modes(drivers), Dwell: a.dwell}
	if a.serial != "" {
		m, err := port.ParseSerial(a.serial)
		if err != nil {
			return nil, exitWith(exitUsage, fmt.Errorf("--serial: %w", err))
		}
		l.Modes = []port.Mode{m}
	}
	p, err := openTunable(ctx, port.New("", g.logger(slog.LevelWarn)), where, l.Modes[0])
	if err != nil {
		return nil, portError(err)
	}
	g.say("listening to %s; nothing is written", where)
	r, err := scan.Listen(ctx, p, l)
	if err = errors.Join(err, p.Close()); err != nil {
		return nil, exitWith(exitUnavailable, err)
	}
	switch {
	case r.Silent():
		return nil, exitWith(exitProblem, fmt.Errorf("nothing came from %s in %v: name its driver (--driver), or listen longer (--for 60s)", where, a.dwell))
	case r.Match == nil:
		return nil, exitWith(exitProblem, fmt.Errorf("what comes from %s is not known; edged scan %s tells more. Name its driver: --driver", where, shellWord(where)))
	}
	g.say("%s at %v, %s", r.Match.Driver, r.Match.Mode, plural(r.Match.Frames, "frame"))
	return matchKeys(where, r.Match, drivers), nil
}

// awaitDevice tells how a device that was added is doing, once it is online or after some seconds.
func (g *globals) awaitDevice(ctx context.Context, name string) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	late := time.After(firstReading)
	for over := false; ; {
		s, err := g.askStatus(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Devices, func(d bridge.Status) bool { return d.Name == name })
		if i < 0 || s.Devices[i].State == "online" && len(s.Devices[i].Readings) > 0 || over {
			if i >= 0 {
				g.say("%s  %s  %s", name, s.Devices[i].State, deviceLine(s.Devices[i]))
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-late:
			over = true
		case <-tick.C:
		}
	}
}

func newDeviceRm(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "remove a device from the configuration, and what the broker and Home Assistant know of it",
		Long: `Removes the table of a device, and those of its readings, from the configuration; comments around them stay. The running
gateway ends the device and clears its retained messages, Home Assistant's discovery among them; one that does not run does so
when it starts.`,
		Example: "  edged device rm office",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			table := config.DeviceTable(args[0])
			d, err := g.openDraft(config.DevicesFile)
			if err != nil {
				return err
			}
			if _, ok := d.Find(table...); !ok {
				return exitWith(exitUsage, fmt.Errorf("there is no device %q in the configuration; edged status lists all", args[0]))
			}
			_, err = g.saveDraft(ctx, d, func() (string, error) {
				file, err := d.RemoveAll(table...)
				return fmt.Sprintf("device %s is no longer in %s", args[0], file), err
			}, func(_, _ *config.Config) error { return nil })
			return err
		},
	}
}
