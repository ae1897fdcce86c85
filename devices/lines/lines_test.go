// SPDX-License-Identifier: Apache-2.0

package lines_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/lines"
)

// line is one that the test holds.
type line struct {
	devices.LineConfig
	active bool
	closed bool
	sets   []bool
	stuck  bool // it does not follow
	gone   error
}

func (l *line) Active() (bool, error) { return l.active, l.gone }

func (l *line) Set(active bool) error {
	l.sets = append(l.sets, active)
	if !l.stuck {
		l.active = active
	}
	return l.gone
}

func (l *line) Next() (devices.Edge, error) {
	return devices.Edge{}, errors.New("the test gives the edges")
}

func (l *line) Close() error { l.closed = true; return nil }

// store is one in memory.
type store struct {
	p    []byte
	fail error
}

func (s *store) Load() ([]byte, error) { return s.p, nil }

func (s *store) Save(p []byte) error {
	if s.fail == nil {
		s.p = append([]byte(nil), p...)
	}
	return s.fail
}

// desk is a machine with one line, and a clock that the test sets.
type desk struct {
	*line
	*store
	now time.Time
}

func newDesk() *desk { return &desk{&line{}, &store{}, time.Unix(1000, 0)} }

func (d *desk) open(t *testing.T, drv *devices.Driver, o devices.Options) devices.Sensor {
	t.Helper()
	drv.Validate(o, func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	s, err := drv.Sensor.Open(o, devices.Machine{
		Line: func(c devices.LineConfig) (devices.Line, error) {
			d.LineConfig, d.closed = c, false
			if c.Output {
				d.active = c.Initial
			}
			return d.line, nil
		},
		Store: d.store, Now: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, s devices.Sensor) string {
	t.Helper()
	var got string
	if err := s.Read(func(x devices.Sample) { got = string(devices.AppendObject(nil, x.Readings)) }); err != nil {
		return err.Error()
	}
	return got
}

func TestInput(t *testing.T) {
	d := newDesk()
	s := d.open(t, lines.In(), devices.Options{"gpio": "GPIO17", "pull": "up", "active": "low", "debounce": "20ms", "class": "door"})
	want := devices.LineConfig{Name: "GPIO17", Pull: "up", Low: true, Debounce: 20 * time.Millisecond, Edges: 64}
	if d.LineConfig != want {
		t.Errorf("the line is taken as %+v, want %+v", d.LineConfig, want)
	}
	if got := read(t, s); got != `{"state":false}` {
		t.Errorf("at first %s", got)
	}
	at := time.Unix(999, 5)
	s.(devices.Listener).Edge(devices.Edge{At: at, Active: true}, func(x devices.Sample) {
		if got := string(devices.AppendObject(nil, x.Readings)); got != `{"state":true}` || !x.At.Equal(at) {
			t.Errorf("an edge gives %s of %v", got, x.At)
		}
	})
	d.gone = errors.New("no such device")
	if got := read(t, s); got != "no such device" {
		t.Errorf("of a line that is gone %s is read", got)
	}
	infos := lines.In().ReadingsFor(devices.Options{"class": "door"})
	if len(infos) != 1 || infos[0].Class != "door" || infos[0].Kind != devices.Bool {
		t.Errorf("readings %+v", infos)
	}
	if err := s.Close(); err != nil || !d.closed {
		t.Errorf("closed %v, %v", d.closed, err)
	}
}

func TestOutput(t *testing.T) {
	for _, c := range []struct {
		options devices.Options
		config  devices.LineConfig
		last    string // what is set at the end
	}{
		{devices.Options{}, devices.LineConfig{Output: true}, "[true false]"},
		{devices.Options{"active": "low", "start": true, "stop": "on"}, devices.LineConfig{Output: true, Low: true, Initial: true}, "[true true]"},
		{devices.Options{"drive": "open-drain", "stop": "keep"}, devices.LineConfig{Output: true, Drive: "open-drain"}, "[true]"},
	} {
		d := newDesk()
		c.options["gpio"], c.config.Name = "GPIO4", "GPIO4"
		s := d.open(t, lines.Out(), c.options)
		if d.LineConfig != c.config {
			t.Errorf("%v: the line is taken as %+v, want %+v", c.options, d.LineConfig, c.config)
		}
		if got, want := read(t, s), fmt.Sprintf(`{"state":%v}`, c.config.Initial); got != want {
			t.Errorf("%v: at first %s, want %s", c.options, got, want)
		}
		rs, err := s.(devices.Setter).Set("state", devices.Flag(true))
		if got := string(devices.AppendObject(nil, rs)); got != `{"state":true}` || err != nil {
			t.Errorf("%v: switched on: %s, %v", c.options, got, err)
		}
		if err := s.Close(); err != nil || !d.closed || fmt.Sprint(d.sets) != c.last {
			t.Errorf("%v: %v was set, want %s; closed %v, %v", c.options, d.sets, c.last, d.closed, err)
		}
	}
}

// TestOutputThatDoesNotFollow reads back what is, not what was asked for.
func TestOutputThatDoesNotFollow(t *testing.T) {
	d := newDesk()
	s := d.open(t, lines.Out(), devices.Options{"gpio": "GPIO4"})
	d.stuck = true
	rs, err := s.(devices.Setter).Set("state", devices.Flag(true))
	if got := string(devices.AppendObject(nil, rs)); got != `{"state":false}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// pulse gives edges at a steady pace.
func (d *desk) pulse(s devices.Sensor, n, lost int, every time.Duration, clock *time.Duration) {
	for range n {
		*clock += every
		d.now = d.now.Add(every)
		s.(devices.Listener).Edge(devices.Edge{At: d.now, Clock: *clock, Active: true, Lost: lost}, func(devices.Sample) {})
	}
}

func TestPulses(t *testing.T) {
	d := newDesk()
	o := devices.Options{"gpio": "GPIO17"}
	s := d.open(t, lines.Pulse(), o)
	want := devices.LineConfig{Name: "GPIO17", Pull: "up", Low: true, Debounce: 5 * time.Millisecond, Rising: true, Edges: 1024}
	if d.LineConfig != want {
		t.Errorf("the line is taken as %+v, want %+v", d.LineConfig, want)
	}
	var clock time.Duration
	is := func(what, want string) {
		t.Helper()
		if got := read(t, s); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	is("at first", `{"energy":0}`)
	d.pulse(s, 1, 0, time.Second, &clock)
	is("one pulse tells no power", `{"energy":0.001}`)
	d.pulse(s, 3, 0, 1800*time.Millisecond, &clock)
	is("1.8 s between", `{"energy":0.004,"power":2000}`)
	d.now = d.now.Add(time.Second)
	is("before the next is due", `{"energy":0.004,"power":2000}`)
	d.now = d.now.Add(3 * time.Second)
	is("none for 4 s", `{"energy":0.004,"power":900}`)
	d.now = d.now.Add(-4 * time.Second)
	d.pulse(s, 1, 3, 3600*time.Millisecond, &clock)
	is("three of four were not taken in time", `{"energy":0.008,"power":4000}`)

	// Killed without an end, it goes on where it was; a rate comes with the second pulse.
	s = d.open(t, lines.Pulse(), o)
	is("in its next life", `{"energy":0.008}`)
	d.pulse(s, 2, 0, 7200*time.Millisecond, &clock)
	is("then", `{"energy":0.01,"power":500}`)
	rs, err := s.(devices.Setter).Set("total", devices.Num(4711.25))
	if got := string(devices.AppendObject(nil, rs)); got != `{"total":4711.25}` || err != nil {
		t.Errorf("set to 4711.25: %s, %v", got, err)
	}
	is("set", `{"energy":4711.25,"power":500}`)
	if _, err := s.(devices.Setter).Set("total", devices.Num(1e18)); err == nil {
		t.Error("a total is set that can't be counted")
	}
	s = d.open(t, lines.Pulse(), devices.Options{"gpio": "GPIO17", "per_unit": 500.0})
	is("of a meter with half as many pulses", `{"energy":4711.25}`)
}

func TestUnitsOfPulses(t *testing.T) {
	for unit, want := range map[string]string{
		"m³": `{"volume":0.02,"flow":3.6}`, "L": `{"volume":0.02,"flow":0.06}`, "pulses": `{"count":0.02,"rate":0.06}`,
	} {
		d := newDesk()
		o := devices.Options{"gpio": "GPIO1", "unit": unit, "per_unit": 100.0}
		s := d.open(t, lines.Pulse(), o)
		var clock time.Duration
		d.pulse(s, 2, 0, 10*time.Second, &clock)
		if got := read(t, s); got != want {
			t.Errorf("%s: %s, want %s", unit, got, want)
		}
		for _, i := range lines.Pulse().ReadingsFor(o) {
			if !strings.Contains(want, `"`+i.Name+`"`) {
				t.Errorf("%s: it names a reading %s", unit, i.Name)
			}
		}
	}
}

// TestATotalThatCantBeKept is told in the result of a command, and kept as soon as that is possible.
func TestATotalThatCantBeKept(t *testing.T) {
	d := newDesk()
	s := d.open(t, lines.Pulse(), devices.Options{"gpio": "GPIO1"})
	d.fail = errors.New("the disk is full")
	if _, err := s.(devices.Setter).Set("total", devices.Num(5)); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("set on a full disk: %v", err)
	}
	d.fail = nil
	read(t, s)
	if string(d.p) != "pulses 5000 per_unit 1000" {
		t.Errorf("then kept is %q", d.p)
	}
}

func TestImpossibleOptions(t *testing.T) {
	for _, c := range []struct {
		drv     *devices.Driver
		options devices.Options
		want    string
	}{
		{lines.In(), devices.Options{}, "gpio: driver gpio-in needs it"},
		{lines.In(), devices.Options{"gpio": "a", "debounce": "20"}, `debounce: "20" is not a duration`},
		{lines.In(), devices.Options{"gpio": "a", "debounce": "2h"}, `debounce: "2h" is longer`},
		{lines.Pulse(), devices.Options{"gpio": "a", "per_unit": 0.0}, "per_unit: must be"},
	} {
		var got []string
		c.drv.Validate(c.options, func(key, problem string) { got = append(got, key+": "+problem) })
		if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%v: %q, want %q", c.options, got, c.want)
		}
	}
}

// FuzzPulses starts with anything kept.
func FuzzPulses(f *testing.F) {
	f.Add("pulses 5000 per_unit 1000")
	f.Add("pulses 5 per_unit 1e-300")
	f.Fuzz(func(t *testing.T, kept string) {
		d := newDesk()
		d.p = []byte(kept)
		s, err := lines.Pulse().Sensor.Open(devices.Options{"gpio": "a"}, devices.Machine{
			Line:  func(devices.LineConfig) (devices.Line, error) { return d.line, nil },
			Store: d.store, Now: func() time.Time { return d.now },
		})
		if err != nil {
			return
		}
		first := read(t, s)
		var clock time.Duration
		d.pulse(s, 1, 0, time.Second, &clock)
		if second := read(t, s); !strings.Contains(second, "energy") || !strings.Contains(first, "energy") {
			t.Errorf("%q: %s, then %s", kept, first, second)
		}
	})
}
