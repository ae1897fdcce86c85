// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/field"
)

// Driver makes a driver of the description. Its error is Faults, whose keys are paths into the description.
func (d *Description) Driver() (*devices.Driver, error) {
	b := builder{d: d, m: &model{gap: d.Gap, limit: cmp.Or(d.Limit, 60), address: cmp.Or(d.Address, 1)}}
	out := d.Head.Driver(&b.faults)
	if out.Every == 0 {
		out.Every = 10 * time.Second
	}
	b.m.every = out.Every
	b.m.within = devices.ParseDuration("within", d.Within, time.Second, &b.faults)
	if b.m.limit < 1 || b.m.limit > 125 {
		b.faults.Add("limit", "must be 1 to 125 registers")
	}
	if d.Gap < 0 || d.Gap > b.m.limit {
		b.faults.Add("gap", "must be 0 to the limit")
	}
	if b.m.address > 254 || b.m.address < 1 {
		b.faults.Add("address", "must be 1 to 254")
	}
	for i, r := range d.Read {
		key := fmt.Sprintf("read[%d]", i)
		if r.At < 0 || r.Count < 1 || r.Count > b.m.limit || r.At+r.Count > 1<<16 {
			b.faults.Add(key, "needs at and a count of 1 to the limit within registers 0 to 65535")
		}
		b.m.reads = append(b.m.reads, read{table: b.table(key, cmp.Or(r.Table, d.Table)), at: r.At, count: r.Count, rounds: 1, given: true})
	}
	for i := range d.Reading {
		b.reading(fmt.Sprintf("reading[%d]", i), &d.Reading[i])
	}
	for i := range d.Command {
		b.command(fmt.Sprintf("command[%d]", i), &d.Command[i])
	}
	if len(d.Reading) == 0 && len(d.Command) == 0 {
		b.faults.Add("reading", "a description needs a reading or a command")
	}
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	b.m.plan()
	b.complete(out)
	return out, nil
}

// builder understands a description and collects what is wrong with it.
type builder struct {
	d      *Description
	m      *model
	infos  []devices.Info
	faults devices.Faults
}

// complete gives the driver what the description says.
func (b *builder) complete(d *devices.Driver) {
	m := b.m
	d.Readings = b.infos
	for _, c := range m.commands {
		d.Commands = append(d.Commands, c.info)
	}
	d.Options = devices.OptionsOf(options{})
	d.Options[0].Default = strconv.Itoa(m.address)
	d.New = func(o devices.Options) (devices.Decoder, error) {
		x, err := m.options(o)
		if err != nil {
			return nil, err
		}
		return newDecoder(m, x), nil
	}
	d.Simulate = func(o devices.Options, seed uint64) (devices.Simulator, error) {
		x, err := m.options(o)
		if err != nil {
			return nil, err
		}
		return newSimulator(m, x, seed), nil
	}
}

func (m *model) options(o devices.Options) (x options, err error) {
	if err := o.Decode(&x); err != nil {
		return x, err
	}
	x.Address = cmp.Or(x.Address, m.address)
	return x, nil
}

// table finds a table by its name.
func (b *builder) table(key, name string) table {
	name = cmp.Or(name, "holding")
	i := slices.Index([]string{"coil", "discrete", "holding", "input"}, name)
	if i < 0 {
		b.faults.Add(key+".table", "%q is not known; possible: \"holding\", \"input\", \"coil\", \"discrete\"", name)
	}
	return table(i + 1)
}

// reading understands one [[reading]].
func (b *builder) reading(key string, r *ReadingDescription) {
	if !devices.IsName(strings.ReplaceAll(r.Name, "{n}", "1")) || strings.Contains(r.Name, "{n}") != (r.Repeat != nil) {
		b.faults.Add(key+".name", "%q is not a name: lower-case letters, digits and _; {n} where it repeats", r.Name)
	}
	out := reading{name: r.Name, table: b.table(key, cmp.Or(r.Table, b.d.Table)), at: r.At, wander: r.Simulate, count: 1}
	if !out.table.bits() {
		d := r.Description
		d.Order = cmp.Or(d.Order, b.d.Order)
		if strings.HasSuffix(d.Type, "8") { // of a byte
			d.Order = ""
			out.byte = map[bool]int{true: 0, false: 1}[r.High]
		}
		out.field = d.Field(key, "u16", &b.faults)
		out.count = (out.field.Width + 1) / 2
	}
	if every := devices.ParseDuration(key+".every", r.Every, b.m.every, &b.faults); every > 0 {
		out.rounds = max(1, int((every+b.m.every/2)/b.m.every))
	}
	if r.At < 0 || r.At+out.count > 1<<16 || out.count > b.m.limit {
		b.faults.Add(key+".at", "does not lie within registers 0 to 65535, or is more than the limit")
		return
	}
	row := 1
	step := out.count
	if r.Repeat != nil {
		row, step = r.Repeat.Count, cmp.Or(r.Repeat.Step, out.count)
		if row < 1 || row > 256 || step < 1 || r.At+row*step > 1<<16 {
			b.faults.Add(key+".repeat", "needs a count of 1 to 256 within the registers")
			return
		}
	}
	for n := range row {
		x, number := out, strconv.Itoa(n+1)
		x.name, x.at = strings.ReplaceAll(r.Name, "{n}", number), out.at+n*step
		if slices.ContainsFunc(b.m.readings, func(y reading) bool { return y.name == x.name }) {
			b.faults.Add(key+".name", "another reading is named %q", x.name)
		}
		b.m.readings = append(b.m.readings, x)
		b.infos = append(b.infos, devices.Info{
			Name: x.name, Unit: r.Unit, Class: r.Class, Total: r.Total, Min: r.Min, Max: r.Max,
			Text: strings.ReplaceAll(r.Text, "{n}", number), Optional: r.Repeat != nil || r.Absent != nil,
		})
	}
}

// command understands one [[command]].
func (b *builder) command(key string, c *CommandDescription) {
	out := &command{
		table: b.table(key, c.Table), at: uint16(c.At), many: c.Many, values: map[string]uint64{},
		info: devices.CommandInfo{Name: c.Name, Kind: c.Kind, Unit: c.Unit, Min: c.Min, Max: c.Max, Text: c.Text},
	}
	if !devices.IsName(c.Name) || devices.Reserved(c.Name) {
		b.faults.Add(key+".name", "%q can't be the name of a command", c.Name)
	}
	if c.At < 0 || c.At > 0xffff {
		b.faults.Add(key+".at", "must be 0 to 65535")
	}
	if out.table != coil && out.table != holding {
		b.faults.Add(key+".table", "only \"holding\" and \"coil\" can be written")
	}
	d := field.Description{Type: c.Type, Order: cmp.Or(c.Order, b.d.Order), Scale: c.Scale}
	if out.field = d.Field(key, "u16", &b.faults); out.field.Width != 2 && out.field.Width != 4 {
		b.faults.Add(key+".type", "must have 16 or 32 bits")
	}
	for text, x := range c.Values {
		out.values[text] = uint64(x)
	}
	b.kind(key, c, out)
	out.info.Answered = out.echoed() || out.readable()
	b.m.commands = append(b.m.commands, out)
}

// kind understands what a command takes.
func (b *builder) kind(key string, c *CommandDescription, out *command) {
	switch c.Kind {
	case devices.KindBool:
		if out.table == coil && c.Values == nil {
			out.values = map[string]uint64{"true": 0xff00, "false": 0}
		}
		if _, ok := out.values["true"]; !ok || len(out.values) != 2 {
			b.faults.Add(key+".values", "must give what is written for true and for false")
		}
	case devices.KindEnum:
		for text := range c.Values {
			out.info.Values = append(out.info.Values, text)
		}
		slices.Sort(out.info.Values)
	case devices.KindNumber:
		if low, high := out.field.Limits(); c.Min == nil || c.Max == nil || *c.Min < low || *c.Max > high {
			b.faults.Add(key, "needs min and max within what its type can hold")
		}
	case devices.KindTrigger:
		raw, err := devices.ParseHex(c.Send)
		_, ok := out.values["true"]
		if err != nil || (len(raw) > 0) == ok || len(raw) > 200 {
			b.faults.Add(key+".send", "needs the function and its data, or values = { true = … }")
		}
		out.send = raw
	default:
		b.faults.Add(key+".kind", "%q is not known; possible: \"bool\", \"number\", \"enum\", \"trigger\"", c.Kind)
	}
}
