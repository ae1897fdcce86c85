// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"edged/bridge/port"
	"edged/bridge/scan"
	"edged/config"
)

// modbusWithin is how long a Modbus device may take to begin its answer. Few need more than 50 ms.
const modbusWithin = 100 * time.Millisecond

// scanModbus asks the addresses on a port.
func (g *globals) scanModbus(ctx context.Context, o scanOptions) error {
	a := scan.Asking{Modes: scan.ModbusModes(), Within: modbusWithin}
	var err error
	if a.From, a.To, err = addressRange(o.addresses); err != nil {
		return exitWith(exitUsage, fmt.Errorf("--addresses: %w", err))
	}
	if o.serial != "" {
		m, err := port.ParseSerial(o.serial)
		if err != nil {
			return exitWith(exitUsage, fmt.Errorf("--serial: %w", err))
		}
		a.Modes = []port.Mode{m}
	}
	if !port.Serial(o.modbus) {
		return exitWith(exitUsage, fmt.Errorf("--modbus: %q is no serial port: write /dev/… or usb:VID:PID", o.modbus))
	}
	p, err := openTunable(ctx, port.New("", g.logger(slog.LevelWarn)), o.modbus, a.Modes[0])
	if err != nil {
		return portError(err)
	}
	var found []scan.Answer
	a.Told = func(m port.Mode) { g.say("asking addresses %d to %d at %v", a.From, a.To, m) }
	a.Found = func(x scan.Answer) {
		found = append(found, x)
		if !g.json {
			fmt.Fprintf(g.out, "address %-3d  %v  %s\n", x.Address, x.Mode, answerText(x))
		}
	}
	err = scan.Modbus(ctx, p, a)
	if err = errors.Join(err, p.Close()); err != nil && ctx.Err() == nil {
		return exitWith(exitUnavailable, err)
	}
	return g.printModbus(o.modbus, found)
}

// printModbus ends with a block for whoever was found.
func (g *globals) printModbus(name string, found []scan.Answer) error {
	if g.json {
		type answer struct {
			Address   byte   `json:"address"`
			Serial    string `json:"serial"`
			Exception byte   `json:"exception,omitempty"`
		}
		list := []answer{}
		for _, x := range found {
			list = append(list, answer{x.Address, x.Mode.String(), x.Code})
		}
		return json.NewEncoder(g.out).Encode(map[string]any{"schema": 1, "port": name, "answers": list})
	}
	if len(found) == 0 {
		g.say("nobody answered: are A and B the right way round, and is the device powered?")
		return nil
	}
	for _, x := range found {
		block, err := config.Block([]string{"device", fmt.Sprintf("meter%d", x.Address)},
			config.KeyValue{Key: "driver", Value: "…"}, config.KeyValue{Key: "port", Value: name},
			config.KeyValue{Key: "serial", Value: x.Mode.String()}, config.KeyValue{Key: "address", Value: int64(x.Address)})
		if err != nil {
			return err
		}
		fmt.Fprintf(g.out, "\n%s", block)
	}
	g.say("\ndriver is what the device is: edged drivers lists all")
	return nil
}

func answerText(x scan.Answer) string {
	if x.Code != 0 {
		return fmt.Sprintf("answers (exception %d: it has no such register)", x.Code)
	}
	return "answers"
}

// addressRange reads "1-247", or one address.
func addressRange(s string) (from, to byte, err error) {
	first, last, two := strings.Cut(s, "-")
	if !two {
		last = first
	}
	a, err1 := strconv.Atoi(strings.TrimSpace(first))
	b, err2 := strconv.Atoi(strings.TrimSpace(last))
	if err1 != nil || err2 != nil || a < 1 || b > 247 || a > b {
		return 0, 0, fmt.Errorf("%q is no range of Modbus addresses such as \"1-32\"; they go from 1 to 247", s)
	}
	return byte(a), byte(b), nil
}
