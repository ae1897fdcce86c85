// SPDX-License-Identifier: Apache-2.0

// Package lines reads, counts and switches what is wired to GPIO lines.
package lines

import (
	"time"

	"edged/devices"
)

type inOptions struct {
	Line     string `toml:"gpio" required:"yes" text:"which line: its name \"GPIO17\", its chip and number \"gpiochip0:17\", or a header pin \"J8-11\""`
	Pull     string `toml:"pull" values:"up down off" text:"the resistor in the chip; without it the line stays as it is"`
	Active   string `toml:"active" values:"high low" default:"high" text:"the level at which the state is true: \"low\" for a switch to ground"`
	Debounce string `toml:"debounce" text:"a change that does not last so long is none, such as \"20ms\"; the kernel sees to it"`
	Class    string `toml:"class" text:"what it is to Home Assistant: door, window, motion, moisture, smoke, …"`
}

type outOptions struct {
	Line   string `toml:"gpio" required:"yes" text:"which line: its name \"GPIO17\", its chip and number \"gpiochip0:17\", or a header pin \"J8-11\""`
	Active string `toml:"active" values:"high low" default:"high" text:"the level at which the state is true: relay boards often want \"low\""`
	Drive  string `toml:"drive" values:"push-pull open-drain open-source" default:"push-pull" text:"how the line is driven"`
	Start  bool   `toml:"start" default:"false" text:"the state from the moment that the line is taken"`
	Stop   string `toml:"stop" values:"off on keep" default:"off" text:"the state at an orderly stop"`
}

// where names the line.
func where(o devices.Options) string { return o.Text("gpio", "") }

// In is the driver of an input.
func In() *devices.Driver {
	return &devices.Driver{
		Name: "gpio-in", Title: "A switch, contact or motion sensor at a GPIO line", Class: "switch", Event: true,
		Notes: "Each change is published with the kernel's time of it. Edges that came faster than they were taken are counted as bad frames; " +
			"the state is right all the same.",
		Options: devices.OptionsOf(inOptions{}),
		Expects: func(o devices.Options) []devices.Info {
			return []devices.Info{{Name: "state", Class: o.Text("class", ""), Kind: devices.Bool, Text: "whether the line is active"}}
		},
		Sensor: &devices.Opening{Open: openIn, Check: checkIn, Place: where, Pretend: func(_ devices.Options, seed uint64, m devices.Machine) devices.Machine {
			return pretend(seed, 5*time.Second, m)
		}},
	}
}

// duration reads an option.
func duration(key, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	var faults devices.Faults
	d := devices.ParseDuration(key, text, 0, &faults)
	if d > time.Minute {
		faults.Add(key, "%q is longer than a minute", text)
	}
	return d, faults.OrNil()
}

func checkIn(o devices.Options) error {
	_, err := duration("debounce", o.Text("debounce", ""))
	return err
}

type input struct {
	devices.Line
	m devices.Machine
}

func openIn(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x inOptions
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	debounce, err := duration("debounce", x.Debounce)
	if err != nil {
		return nil, err
	}
	l, err := m.Line(devices.LineConfig{Name: x.Line, Pull: x.Pull, Low: x.Active == "low", Debounce: debounce, Edges: 64})
	if err != nil {
		return nil, err
	}
	return &input{l, m}, nil
}

func state(active bool) []devices.Reading {
	return []devices.Reading{{Name: "state", Value: devices.Flag(active)}}
}

// Read tells the state as it is.
func (i *input) Read(emit func(devices.Sample)) error {
	at := i.m.Now()
	active, err := i.Active()
	if err != nil {
		return err
	}
	emit(devices.Sample{At: at, Readings: state(active)})
	return nil
}

// Edge tells a change.
func (i *input) Edge(e devices.Edge, emit func(devices.Sample)) {
	emit(devices.Sample{At: e.At, Readings: state(e.Active)})
}

// Out is the driver of an output.
func Out() *devices.Driver {
	return &devices.Driver{
		Name: "gpio-out", Title: "A relay, lamp or valve at a GPIO line", Class: "switch", Every: 30 * time.Second,
		Notes: "What is read back after a command is the line's level, not what was asked for. When edged is killed rather than stopped, " +
			"the level stays as most chips leave it.",
		Readings: []devices.Info{{Name: "state", Kind: devices.Bool, Text: "whether the line is active"}},
		Commands: []devices.CommandInfo{{Name: "state", Kind: devices.KindBool, Answered: true, Text: "switch it on or off"}},
		Options:  devices.OptionsOf(outOptions{}),
		Sensor: &devices.Opening{Open: openOut, Place: where, Pretend: func(_ devices.Options, seed uint64, m devices.Machine) devices.Machine {
			return pretend(seed, 0, m)
		}},
	}
}

type output struct {
	devices.Line
	m    devices.Machine
	stop string
}

func openOut(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x outOptions
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	drive := x.Drive
	if drive == "push-pull" {
		drive = ""
	}
	l, err := m.Line(devices.LineConfig{Name: x.Line, Output: true, Low: x.Active == "low", Drive: drive, Initial: x.Start})
	if err != nil {
		return nil, err
	}
	return &output{l, m, x.Stop}, nil
}

// Read tells the state.
func (x *output) Read(emit func(devices.Sample)) error {
	return (&input{x.Line, x.m}).Read(emit)
}

// Set switches it, and reads the line back.
func (x *output) Set(_ string, v devices.Value) ([]devices.Reading, error) {
	on, _ := v.Truth()
	if err := x.Line.Set(on); err != nil {
		return nil, err
	}
	is, err := x.Active()
	if err != nil {
		return nil, err
	}
	return state(is), nil
}

// Close leaves the line as it shall be left.
func (x *output) Close() error {
	var err error
	if x.stop != "keep" {
		err = x.Line.Set(x.stop == "on")
	}
	if cerr := x.Line.Close(); err == nil {
		err = cerr
	}
	return err
}
