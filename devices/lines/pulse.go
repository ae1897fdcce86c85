// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"errors"
	"fmt"
	"math"
	"time"

	"edged/devices"
)

type pulseOptions struct {
	Line     string  `toml:"gpio" required:"yes" text:"which line: its name \"GPIO17\", its chip and number \"gpiochip0:17\", or a header pin \"J8-11\""`
	Pull     string  `toml:"pull" values:"up down off" default:"up" text:"the resistor in the chip: an S0 output is a switch to ground"`
	Active   string  `toml:"active" values:"high low" default:"low" text:"the level of a pulse"`
	Debounce string  `toml:"debounce" default:"5ms" text:"what does not last so long is no pulse; the kernel sees to it"`
	Unit     string  `toml:"unit" values:"kWh m³ L pulses" default:"kWh" text:"what is counted"`
	PerUnit  float64 `toml:"per_unit" min:"0.000001" max:"1000000000" default:"1000" text:"how many pulses stand for one unit, as the meter says"`
}

// quantity is what a unit's total and its rate are called.
type quantity struct {
	total, totalClass     string
	rate, rateUnit, class string
	perHour               float64 // rate of one unit an hour, in the rate's unit
}

func quantities() map[string]quantity {
	return map[string]quantity{
		"kWh":    {"energy", "energy", "power", "W", "power", 1000},
		"m³":     {"volume", "volume", "flow", "m³/h", "volume_flow_rate", 1},
		"L":      {"volume", "volume", "flow", "L/min", "volume_flow_rate", 1.0 / 60},
		"pulses": {"count", "", "rate", "1/min", "", 1.0 / 60},
	}
}

// Pulse is the driver of a counter.
func Pulse() *devices.Driver {
	return &devices.Driver{
		Name: "pulse", Title: "A meter that gives pulses (S0) to a GPIO line", Class: "energy", Every: 10 * time.Second,
		Notes: "The total survives restarts and kill -9; a power cut costs the pulses of the last minute at most, and those that come while " +
			"edged does not run are not seen: the command `total` sets it to what the meter shows. Power comes from the kernel's times of " +
			"the last two pulses, and falls while none comes.",
		Options:  devices.OptionsOf(pulseOptions{}),
		Commands: []devices.CommandInfo{{Name: "total", Kind: devices.KindNumber, Answered: true, Text: "set the total, in its unit"}},
		Expects:  pulseInfos,
		Takes: func(o devices.Options) []devices.CommandInfo {
			zero, most := 0.0, 1e9
			return []devices.CommandInfo{{
				Name: "total", Kind: devices.KindNumber, Unit: o.Text("unit", "kWh"), Min: &zero, Max: &most, Answered: true,
				Text: "set the total, in its unit",
			}}
		},
		Sensor: &devices.Opening{Open: openPulse, Check: checkIn, Place: where, Pretend: func(_ devices.Options, seed uint64, m devices.Machine) devices.Machine {
			return pretend(seed, 3*time.Second, m)
		}},
	}
}

func pulseInfos(o devices.Options) []devices.Info {
	unit := o.Text("unit", "kWh")
	q := quantities()[unit]
	total := devices.Info{Name: q.total, Unit: unit, Class: q.totalClass, Total: true, Kind: devices.Number, Text: "total"}
	if unit == "pulses" {
		total.Unit = ""
	}
	return []devices.Info{
		total,
		{Name: q.rate, Unit: q.rateUnit, Class: q.class, Kind: devices.Number, Optional: true, Text: "of the last two pulses"},
	}
}

// counter counts pulses. Each is kept for the next life before anything is told of it.
type counter struct {
	devices.Line
	quantity
	m       devices.Machine
	perUnit float64

	pulses   uint64
	interval time.Duration // between the last two; 0: there were none
	clock    time.Duration // of the last, by the kernel
	seen     time.Time     // when it was taken, with the monotonic clock; zero: none yet
	failed   error         // what could not be kept
}

func openPulse(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x pulseOptions
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	debounce, err := duration("debounce", x.Debounce)
	if err != nil {
		return nil, err
	}
	c := &counter{quantity: quantities()[x.Unit], m: m, perUnit: x.PerUnit}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.Line, err = m.Line(devices.LineConfig{
		Name: x.Line, Pull: x.Pull, Low: x.Active == "low", Debounce: debounce, Rising: true, Edges: 1024,
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the total of the life before. When a unit has become another number of pulses, the total stays.
func (c *counter) load() error {
	b, err := c.m.Store.Load()
	if err != nil {
		return fmt.Errorf("the total of the life before is lost, counting begins anew: %w", err)
	}
	if len(b) == 0 {
		return nil
	}
	var per float64
	if _, err := fmt.Sscanf(string(b), "pulses %d per_unit %g", &c.pulses, &per); err != nil {
		return fmt.Errorf("the total of the life before can't be read: %w", err)
	}
	if per == c.perUnit {
		return nil
	}
	n := math.Round(float64(c.pulses) / per * c.perUnit)
	if !(n >= 0 && n <= 1<<53) {
		return fmt.Errorf("the total of the life before, %d pulses of %g per unit, can't be", c.pulses, per)
	}
	c.pulses = uint64(n)
	return nil
}

func (c *counter) save() {
	c.failed = c.m.Store.Save(fmt.Appendf(nil, "pulses %d per_unit %g", c.pulses, c.perUnit))
}

// Edge counts a pulse, and those that nobody took in time: the kernel numbers them. The interval is then what it is on
// average.
func (c *counter) Edge(e devices.Edge, _ func(devices.Sample)) {
	n := uint64(1 + e.Lost)
	c.pulses += n
	if !c.seen.IsZero() && e.Clock > c.clock {
		c.interval = (e.Clock - c.clock) / time.Duration(n)
	}
	c.clock, c.seen = e.Clock, c.m.Now()
	c.save()
}

// Read tells total and rate. That a pulse is overdue says that the rate is lower than it was.
func (c *counter) Read(emit func(devices.Sample)) error {
	if c.failed != nil {
		c.save()
	}
	now := c.m.Now()
	rs := []devices.Reading{c.reading()}
	if c.interval > 0 {
		since := max(c.interval, now.Sub(c.seen))
		rate := c.perHour * float64(time.Hour) / float64(since) / c.perUnit
		rs = append(rs, devices.Reading{Name: c.rate, Value: devices.Num(rounded(rate, 4))})
	}
	emit(devices.Sample{At: now, Readings: rs})
	return nil
}

// reading is the total.
func (c *counter) reading() devices.Reading {
	return devices.Reading{Name: c.total, Value: devices.Num(rounded(float64(c.pulses)/c.perUnit, 15))}
}

// rounded keeps so many digits that mean something.
func rounded(x float64, digits int) float64 {
	if x == 0 {
		return 0
	}
	f := math.Pow10(digits - int(math.Ceil(math.Log10(math.Abs(x)))))
	if y := math.Round(x*f) / f; !math.IsInf(y, 0) && !math.IsNaN(y) {
		return y
	}
	return x
}

// Set sets the total to what the meter shows.
func (c *counter) Set(_ string, v devices.Value) ([]devices.Reading, error) {
	x, ok := v.Float()
	if n := x * c.perUnit; !ok || n < 0 || n > 1<<53 {
		return nil, errors.New("is more pulses than can be counted")
	}
	c.pulses = uint64(math.Round(x * c.perUnit))
	c.save()
	if c.failed != nil {
		return nil, fmt.Errorf("can't be kept: %w", c.failed)
	}
	return []devices.Reading{{Name: "total", Value: c.reading().Value}}, nil
}
