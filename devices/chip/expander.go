// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"edged/devices"
)

type mcp23017Options struct {
	Bus     string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int    `toml:"address" min:"3" max:"119" default:"0x20" text:"of the chip: 0x20 to 0x27"`
	Outputs string `toml:"outputs" text:"the pins that are outputs, such as \"a0 a1 b7\"; the others are inputs"`
	On      string `toml:"on" text:"the outputs that are on from the start; an earlier run's stay as they are while the chip has power"`
	Pull    string `toml:"pull_up" text:"the inputs that a resistor in the chip pulls up"`
	Active  string `toml:"active" values:"high low" default:"high" text:"the level at which a pin is true"`
}

type pcf8574Options struct {
	Bus     string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int    `toml:"address" min:"3" max:"119" default:"0x20" text:"of the chip: 0x20 to 0x27, of a PCF8574A 0x38 to 0x3f"`
	Outputs string `toml:"outputs" text:"the pins that are outputs, such as \"p0 p1\"; the others are inputs"`
	On      string `toml:"on" text:"the outputs that are on from the start"`
	Active  string `toml:"active" values:"high low" default:"high" text:"the level at which a pin is true; relay boards want \"low\""`
}

// pins are the names of an expander's, from the lowest bit on.
func pins(ports string) []string {
	var all []string
	for _, port := range ports {
		for i := range 8 {
			all = append(all, fmt.Sprintf("%c%d", port, i))
		}
	}
	return all
}

// expander is what options make of an expander's pins.
type expander struct {
	names   []string
	outputs uint16
	on      uint16 // true from the start
	pull    uint16
	low     uint16 // pins that are true while their level is low
}

// newExpander reads lists of pins.
func newExpander(names []string, outputs, on, pull, active string) (*expander, error) {
	e := &expander{names: names}
	var faults devices.Faults
	mask := func(key, list string) (m uint16) {
		for _, pin := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' }) {
			i := slices.Index(names, pin)
			if i < 0 {
				faults.Add(key, "there is no pin %q; they are %s to %s", pin, names[0], names[len(names)-1])
				continue
			}
			m |= 1 << i
		}
		return m
	}
	e.outputs, e.on, e.pull = mask("outputs", outputs), mask("on", on), mask("pull_up", pull)
	if e.on&^e.outputs != 0 {
		faults.Add("on", "names a pin that is no output")
	}
	if active == "low" {
		e.low = 0xffff >> (16 - len(names))
	}
	return e, faults.OrNil()
}

// readings gives the state of each pin.
func (e *expander) readings(levels uint16) []devices.Reading {
	rs := make([]devices.Reading, len(e.names))
	for i, name := range e.names {
		rs[i] = devices.Reading{Name: name, Value: devices.Flag((levels^e.low)>>i&1 != 0)}
	}
	return rs
}

// command tells what the levels of the outputs become.
func (e *expander) command(levels uint16, name string, v devices.Value) (uint16, error) {
	i := slices.Index(e.names, name)
	if i < 0 || e.outputs>>i&1 == 0 {
		return 0, fmt.Errorf("%s is no output; outputs = %q would make it one", name, name)
	}
	on, _ := v.Truth()
	if on != (e.low>>i&1 != 0) {
		return levels | 1<<i, nil
	}
	return levels &^ (1 << i), nil
}

func pinInfos(names []string) []devices.Info {
	var all []devices.Info
	for _, name := range names {
		all = append(all, devices.Info{Name: name, Kind: devices.Bool, Text: "state of the pin"})
	}
	return all
}

// outputCommands are those of the pins that options make outputs.
func outputCommands(names []string) func(devices.Options) []devices.CommandInfo {
	return func(o devices.Options) []devices.CommandInfo {
		var all []devices.CommandInfo
		for _, c := range pinCommands(names) {
			if slices.Contains(strings.FieldsFunc(o.Text("outputs", ""), func(r rune) bool { return r == ' ' || r == ',' }), c.Name) {
				all = append(all, c)
			}
		}
		return all
	}
}

func pinCommands(names []string) []devices.CommandInfo {
	var all []devices.CommandInfo
	for _, name := range names {
		all = append(all, devices.CommandInfo{Name: name, Kind: devices.KindBool, Answered: true, Text: "where the pin is an output: switch it"})
	}
	return all
}

// Registers of the MCP23017 with IOCON.BANK = 0 (Microchip MCP23017, "Register addresses"); each is that of port A, and
// that of port B follows.
const (
	mcpDirection = 0x00 // 1: input
	mcpInvert    = 0x02
	mcpPull      = 0x0c
	mcpPins      = 0x12
	mcpLatch     = 0x14
)

// MCP23017 is the driver of Microchip's expander with 16 pins.
func MCP23017() *devices.Driver {
	names := pins("ab")
	return describe(devices.Driver{
		Name: "mcp23017", Title: "Microchip MCP23017 expander, 16 pins (I²C)", Model: "Microchip MCP23017", Also: []string{"MCP23018"},
		Class: "switch", Every: time.Second,
		Notes:    "`edged decode` takes the 2 bytes of registers 12 and 13. Set `publish = \"on-change\"`.",
		Readings: pinInfos(names), Commands: pinCommands(names), Takes: outputCommands(names), Options: devices.OptionsOf(mcp23017Options{}),
	}, func(o devices.Options) (*model, error) {
		var x mcp23017Options
		if err := o.Decode(&x); err != nil {
			return nil, err
		}
		e, err := newExpander(names, x.Outputs, x.On, x.Pull, x.Active)
		if err != nil {
			return nil, err
		}
		m := &mcp23017{expander: e}
		return &model{size: 2, start: m.start, ask: m.ask, read: m.read, set: m.set}, nil
	}, fakeMCP23017)
}

type mcp23017 struct{ *expander }

// put writes the registers of both ports.
func (m *mcp23017) put(c *conn, register byte, x uint16) error {
	return c.write(register, byte(x), byte(x>>8))
}

func (m *mcp23017) get(c *conn, register byte) (uint16, error) {
	var b [2]byte
	err := c.get(register, b[:])
	return uint16(b[0]) | uint16(b[1])<<8, err
}

// start sets the chip up. Where it has our directions already, it kept its power and its outputs stay as they are; else
// the latches come first, so that no output is wrong for a moment.
func (m *mcp23017) start(c *conn) error {
	direction, err := m.get(c, mcpDirection)
	if err != nil {
		return err
	}
	if direction != ^m.outputs || m.outputs == 0 {
		if err := m.put(c, mcpLatch, (m.on^m.low)&m.outputs); err != nil {
			return err
		}
	}
	if err := m.put(c, mcpInvert, 0); err != nil {
		return err
	}
	if err := m.put(c, mcpPull, m.pull); err != nil {
		return err
	}
	return m.put(c, mcpDirection, ^m.outputs)
}

// ask reads the pins, and whether the chip is still set up: without power it forgets that.
func (m *mcp23017) ask(c *conn, b []byte) error {
	if err := c.get(mcpPins, b); err != nil {
		return err
	}
	for _, r := range []struct {
		register byte
		want     uint16
	}{{mcpDirection, ^m.outputs}, {mcpInvert, 0}, {mcpPull, m.pull}} {
		got, err := m.get(c, r.register)
		if err != nil {
			return err
		}
		if got != r.want {
			return c.strange("register 0x%02x is 0x%04x, want 0x%04x: it lost its supply meanwhile, or it is another chip", r.register, got, r.want)
		}
	}
	return nil
}

func (m *mcp23017) read(b []byte) ([]devices.Reading, error) {
	return m.readings(uint16(b[0]) | uint16(b[1])<<8), nil
}

// set writes the latch, and reads the pin back.
func (m *mcp23017) set(c *conn, name string, v devices.Value) ([]devices.Reading, error) {
	latch, err := m.get(c, mcpLatch)
	if err != nil {
		return nil, err
	}
	if latch, err = m.command(latch, name, v); err != nil {
		return nil, err
	}
	if err := m.put(c, mcpLatch, latch); err != nil {
		return nil, err
	}
	levels, err := m.get(c, mcpPins)
	if err != nil {
		return nil, err
	}
	return m.one(levels, name), nil
}

// one is the reading of one pin.
func (e *expander) one(levels uint16, name string) []devices.Reading {
	i := slices.Index(e.names, name)
	return e.readings(levels)[i : i+1]
}

// fakeMCP23017 has inputs that change now and then.
func fakeMCP23017(_ devices.Options, seed uint64, _ devices.Machine) fake {
	w := &devices.Wander{Seed: seed}
	var registers [0x16]byte
	registers[0], registers[1] = 0xff, 0xff
	return func(wr, r []byte) error {
		at := int(wr[0])
		if at+max(len(wr)-1, len(r)) > len(registers) {
			return errSilent
		}
		copy(registers[at:], wr[1:])
		w.N++
		noise := uint16(w.Between(0, 65535, 0))
		for i := range 2 {
			d := registers[i]
			registers[mcpPins+i] = registers[mcpLatch+i]&^d | byte(noise>>(8*i))&d
		}
		copy(r, registers[at:])
		return nil
	}
}

// PCF8574 is the driver of NXP's expander with 8 pins.
func PCF8574() *devices.Driver {
	names := pins("p")
	return describe(devices.Driver{
		Name: "pcf8574", Title: "NXP PCF8574 expander, 8 pins (I²C)", Model: "NXP PCF8574", Also: []string{"PCF8574A", "relay boards for I²C"},
		Class: "switch", Every: time.Second,
		Notes: "`edged decode` takes the 1 byte that the chip gives. After it got power all pins are high, and an output follows once edged is " +
			"heard of it. Set `publish = \"on-change\"`.",
		Readings: pinInfos(names), Commands: pinCommands(names), Takes: outputCommands(names), Options: devices.OptionsOf(pcf8574Options{}),
	}, func(o devices.Options) (*model, error) {
		var x pcf8574Options
		if err := o.Decode(&x); err != nil {
			return nil, err
		}
		e, err := newExpander(names, x.Outputs, x.On, "", x.Active)
		if err != nil {
			return nil, err
		}
		p := &pcf8574{expander: e}
		return &model{size: 1, start: p.start, ask: p.ask, read: p.read, set: p.set}, nil
	}, fakePCF8574)
}

// pcf8574 has no registers: a byte that is written is the level of each pin, where a high one is weak and may be pulled
// down from outside, so that it is an input; a byte that is read is what the levels are (NXP PCF8574,
// "Quasi-bidirectional I/Os").
type pcf8574 struct {
	*expander
	levels byte // that were written
}

func (p *pcf8574) start(c *conn) error {
	p.levels = byte((p.on^p.low)&p.outputs) | ^byte(p.outputs)
	return c.write(p.levels)
}

// ask reads the pins. An output that is high where low was written says that the chip forgot it, without power.
func (p *pcf8574) ask(c *conn, b []byte) error {
	if err := c.tx(nil, b); err != nil {
		return err
	}
	if wrong := b[0] &^ p.levels & byte(p.outputs); wrong != 0 {
		return c.strange("outputs 0x%02x are high and should be low: it lost its supply meanwhile, or it is another chip", wrong)
	}
	return nil
}

func (p *pcf8574) read(b []byte) ([]devices.Reading, error) { return p.readings(uint16(b[0])), nil }

func (p *pcf8574) set(c *conn, name string, v devices.Value) ([]devices.Reading, error) {
	levels, err := p.command(uint16(p.levels), name, v)
	if err != nil {
		return nil, err
	}
	if err := c.write(byte(levels)); err != nil {
		return nil, err
	}
	p.levels = byte(levels)
	var b [1]byte
	if err := c.tx(nil, b[:]); err != nil {
		return nil, err
	}
	return p.one(uint16(b[0]), name), nil
}

func fakePCF8574(o devices.Options, seed uint64, _ devices.Machine) fake {
	w := &devices.Wander{Seed: seed}
	written := byte(0xff)
	e, err := newExpander(pins("p"), o.Text("outputs", ""), "", "", "")
	if err != nil { // Open says so
		e = &expander{}
	}
	return func(wr, r []byte) error {
		if len(wr) > 0 {
			written = wr[0]
		}
		if len(r) > 0 {
			w.N++
			r[0] = written & (byte(e.outputs) | byte(w.Between(0, 255, 0)))
		}
		return nil
	}
}
