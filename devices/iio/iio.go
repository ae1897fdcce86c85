// SPDX-License-Identifier: Apache-2.0

// Package iio reads any sensor for which the kernel has a driver, through its industrial I/O subsystem: DHT22 and some
// hundred chips more.
package iio

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/devices"
)

// options are the keys of a device's table.
type options struct {
	Address string `toml:"address" text:"which sensor: its name (\"dht11\"), its label, or the kernel's \"iio:device0\"; where there is one only, it need not be named"`
}

// directory is where the kernel shows its sensors.
const directory = "sys/bus/iio/devices"

// Driver is the driver of the kernel's sensors.
func Driver() *devices.Driver {
	return &devices.Driver{
		Name: "iio", Title: "Any sensor that the kernel has a driver for", Class: "sensor", Every: 10 * time.Second,
		Also: []string{"DHT22", "DHT11", "AM2302", "BH1750", "TSL2561", "MCP3008", "HX711", "BME680", "HDC1080", "Si7021"},
		Notes: "An overlay announces the sensor to the kernel, in a Raspberry Pi's config.txt: `dtoverlay=dht11,gpiopin=4` for a DHT22. " +
			"What it can measure are the readings: `temperature`, `humidity`, `pressure`, `voltage_0`, … A DHT22 that did not " +
			"answer is asked again after 2 s.",
		Options: devices.OptionsOf(options{}),
		Sensor:  &devices.Opening{Open: open, Pretend: pretend, Place: func(o devices.Options) string { return o.Text("address", "") }, Tell: tell},
	}
}

// channel is one value that a sensor measures.
type channel struct {
	name  string // of the reading
	file  string // _input or _raw
	raw   bool
	scale float64
	add   float64 // to raw, before it is scaled
	kind  *quantity
}

// sensor is one of the kernel's.
type sensor struct {
	m        devices.Machine
	channels []channel
	out      []devices.Reading
}

func open(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x options
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	dir, err := find(m.Files, x.Address)
	if err != nil {
		return nil, err
	}
	s := &sensor{m: m}
	if s.channels, err = channels(m.Files, dir); err != nil {
		return nil, &devices.Trouble{Code: devices.Absent, Text: "the sensor can't be read", Err: err}
	}
	if len(s.channels) == 0 {
		return nil, &devices.Trouble{Code: devices.Strange, Text: path.Base(dir) + " measures nothing that edged knows", Do: "name another by address"}
	}
	return s, nil
}

// find gives the directory of the sensor that is meant.
func find(files fs.FS, address string) (string, error) {
	all, err := fs.ReadDir(files, directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", &devices.Trouble{Code: devices.Absent, Text: "the kernel's sensors can't be listed", Err: err}
	}
	var there []string
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), "iio:device") {
			continue
		}
		there = append(there, e.Name())
		for _, file := range []string{"name", "label"} {
			if text, err := devices.ReadText(files, path.Join(directory, e.Name(), file)); err == nil && text == address && address != "" {
				return path.Join(directory, e.Name()), nil
			}
		}
	}
	name, err := devices.Choose(address, "sensor of the kernel's", there)
	return path.Join(directory, name), err
}

// channels lists what the sensor measures, in the order of the names. The scale and offset of a value may be that of all
// of its kind.
func channels(files fs.FS, dir string) ([]channel, error) {
	all, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}
	var list []channel
	for _, e := range all {
		stem, ok := strings.CutPrefix(e.Name(), "in_")
		if !ok {
			continue
		}
		c := channel{file: path.Join(dir, e.Name()), scale: 1}
		if stem, ok = strings.CutSuffix(stem, "_input"); !ok {
			if stem, c.raw = strings.CutSuffix(stem, "_raw"); !c.raw {
				continue
			}
		}
		if c.name, c.kind = reading(stem); c.kind == nil {
			continue
		}
		if c.raw {
			if c.scale, err = factor(files, dir, stem, "scale", 1); err != nil {
				return nil, err
			}
			if c.add, err = factor(files, dir, stem, "offset", 0); err != nil {
				return nil, err
			}
		}
		if i := slices.IndexFunc(list, func(x channel) bool { return x.name == c.name }); i >= 0 {
			if list[i].raw && !c.raw { // the kernel's own conversion
				list[i] = c
			}
			continue
		}
		list = append(list, c)
	}
	return list, nil
}

// factor finds the scale or offset of a value.
func factor(files fs.FS, dir, stem, what string, or float64) (float64, error) {
	for _, of := range []string{stem, withoutDigits(stem), kindOf(stem)} {
		text, err := devices.ReadText(files, path.Join(dir, "in_"+of+"_"+what))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, fmt.Errorf("in_%s_%s holds %q, no number", of, what, text)
		}
		return x, nil
	}
	return or, nil
}

// Close has nothing to close.
func (s *sensor) Close() error { return nil }

const (
	tries = 3
	pause = 2 * time.Second // a DHT22 can't be asked oftener
)

// Read reads every value. What can't be read after some tries is absent; only when nothing can is that an error.
func (s *sensor) Read(emit func(devices.Sample)) error {
	at := s.m.Now()
	s.out = s.out[:0]
	left := s.channels
	var last error
	for i := range tries {
		if i > 0 {
			if err := s.m.Wait(pause); err != nil {
				return err
			}
		}
		var failed []channel
		for _, c := range left {
			x, err := c.measure(s.m.Files)
			if err != nil {
				failed, last = append(failed, c), err
				continue
			}
			s.out = append(s.out, devices.Reading{Name: c.name, Value: devices.Num(x)})
		}
		if left = failed; len(left) == 0 {
			break
		}
	}
	if len(s.out) == 0 {
		code := devices.Silent
		if errors.Is(last, fs.ErrNotExist) {
			code = devices.Absent
		}
		return &devices.Trouble{Code: code, Text: "the sensor does not answer", Err: last, Do: "look at its wires"}
	}
	emit(devices.Sample{At: at, Readings: s.out})
	return nil
}

// measure reads the value, in the unit of the reading.
func (c *channel) measure(files fs.FS) (float64, error) {
	text, err := devices.ReadText(files, c.file)
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds %q, no number", path.Base(c.file), text)
	}
	v := devices.Num(devices.NewLinear(c.scale*c.kind.factor, c.add*c.scale*c.kind.factor).Apply(x))
	y, ok := v.Float()
	if !ok {
		return 0, fmt.Errorf("%s holds %q, no number", path.Base(c.file), text)
	}
	return y, nil
}
