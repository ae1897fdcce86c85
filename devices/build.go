// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Driver makes a driver of the description. Its error is Faults, whose keys are paths into the description, such as
// "frame[1].checksum.from".
func (d *Description) Driver() (*Driver, error) {
	b := builder{d: d, p: &protocol{}}
	b.head()
	for i := range d.Option {
		b.option(fmt.Sprintf("option[%d]", i), &d.Option[i])
	}
	for i := range d.Frame {
		b.shape(fmt.Sprintf("frame[%d]", i), &d.Frame[i])
	}
	for i := range d.Reading {
		b.reading(fmt.Sprintf("reading[%d]", i), &d.Reading[i])
	}
	for i := range d.Command {
		b.command(fmt.Sprintf("command[%d]", i), &d.Command[i])
	}
	for i := range d.Ask {
		b.ask(fmt.Sprintf("ask[%d]", i), &d.Ask[i])
	}
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	b.finish()
	return b.driver(), nil
}

// builder understands a description and collects what is wrong with it.
type builder struct {
	d      *Description
	p      *protocol
	every  time.Duration
	infos  []Info
	faults Faults
}

func (b *builder) head() {
	if strings.Trim(b.d.Name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || b.d.Name == "" {
		b.faults.add("driver", "%q is not a name: lower-case letters, digits, _ and -", b.d.Name)
	}
	if b.d.Title == "" {
		b.faults.add("title", "must say what the device is")
	}
	if b.d.Protocol != "frame" {
		b.faults.add("protocol", "%q is not known; possible: \"frame\"", b.d.Protocol)
	}
	if len(b.d.Frame) == 0 {
		b.faults.add("frame", "a description needs at least one frame")
	}
	b.every = b.duration("every", b.d.Every, 0)
	b.p.period = b.duration("simulate.period", b.d.Simulate.Period, 0)
}

func (b *builder) duration(key, s string, or time.Duration) time.Duration {
	if s == "" {
		return or
	}
	t, err := time.ParseDuration(s)
	if err != nil || t <= 0 {
		b.faults.add(key, "%q is not a duration such as \"500ms\" or \"10s\"", s)
	}
	return t
}

// hex reads bytes written in hexadecimal with blanks.
func (b *builder) hex(key, s string) []byte {
	raw, err := ParseHex(s)
	if err != nil {
		b.faults.add(key, "%v", err)
	}
	return raw
}

// ParseHex reads bytes written in hexadecimal, with blanks and line ends between them as one likes.
func ParseHex(s string) ([]byte, error) {
	raw, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return nil, fmt.Errorf("%q is not bytes in hexadecimal, such as \"42 4d\"", s)
	}
	return raw, nil
}

func (b *builder) little(key, order string) bool {
	if order != "" && order != "big" && order != "little" {
		b.faults.add(key, "%q is not known; possible: \"big\", \"little\"", order)
	}
	return order == "little"
}

// constants reads a table of offset = bytes; the order of offsets makes the result repeatable.
func (b *builder) constants(key string, table map[string]string, limit int) []constant {
	var all []constant
	for _, at := range slices.Sorted(maps.Keys(table)) {
		n, err := strconv.Atoi(at)
		raw := b.hex(key+"."+at, table[at])
		switch {
		case err != nil:
			b.faults.add(key+"."+at, "%q is not an offset", at)
		case len(raw) == 0 || n >= 0 && n+len(raw) > limit || n < -limit || n < 0 && n+len(raw) > 0:
			b.faults.add(key+"."+at, "does not lie within the frame of at most %d bytes", limit)
		default:
			all = append(all, constant{n, raw})
		}
	}
	return all
}

// checksum reads where a checksum stands; before is how many bytes follow it by default.
func (b *builder) checksum(key string, c *ChecksumDescription, before, least int) *checksum {
	if c == nil {
		return nil
	}
	size := sumSize(c.Kind)
	if size == 0 {
		b.faults.add(key+".kind", "%q is not known; possible: \"sum8\", \"neg8\", \"xor8\", \"sum16\", \"neg16\"", c.Kind)
		return nil
	}
	sum := &checksum{kind: c.Kind, from: c.From, at: -size - before, little: b.little(key+".order", c.Order)}
	if c.At != nil {
		sum.at = *c.At
	}
	sum.to = sum.at
	if c.To != nil {
		sum.to = *c.To
	}
	if _, _, _, ok := sum.place(least); !ok {
		b.faults.add(key, "does not lie within the frame of at least %d bytes", least)
	}
	return sum
}

// option is a key of the device's table that stands for bytes.
func (b *builder) option(key string, o *OptionDescription) {
	if !IsName(o.Name) || o.Name == "value" || o.Name == "sum" {
		b.faults.add(key+".name", "%q can't be the name of an option", o.Name)
	}
	if o.Bytes < 1 || o.Bytes > 64 {
		b.faults.add(key+".bytes", "must be 1 to 64")
	}
	if raw := b.hex(key+".default", o.Default); len(raw) != o.Bytes {
		b.faults.add(key+".default", "must be %d bytes", o.Bytes)
	}
	b.p.options = append(b.p.options, *o)
}

// finish prepares the search for start bytes.
func (b *builder) finish() {
	count := 0
	for _, s := range b.p.shapes {
		if !b.p.starts[s.start[0]] {
			count++
		}
		b.p.starts[s.start[0]], b.p.first = true, s.start[0]
		b.p.limit = max(b.p.limit, s.limit)
	}
	b.p.only = count == 1
}

func (b *builder) driver() *Driver {
	p := b.p
	d := &Driver{
		Name: b.d.Name, Title: b.d.Title, Model: b.d.Model, Also: b.d.Also, Class: b.d.Class, Serial: b.d.Serial,
		Notes: b.d.Notes, Every: b.every, Readings: b.infos,
		New: func(o Options) (Decoder, error) {
			given, err := p.given(o)
			if err != nil {
				return nil, err
			}
			return newFrameDecoder(p, given), nil
		},
		Simulate: func(o Options, seed uint64) (Simulator, error) {
			given, err := p.given(o)
			if err != nil {
				return nil, err
			}
			return newFrameSimulator(p, given, seed), nil
		},
	}
	for _, c := range p.commands {
		d.Commands = append(d.Commands, c.info)
	}
	for _, o := range p.options {
		d.Options = append(d.Options, OptionInfo{Name: o.Name, Kind: KindHex, Bytes: o.Bytes, Default: o.Default, Text: o.Text})
	}
	return d
}

// given reads the options' bytes.
func (p *protocol) given(o Options) (map[string][]byte, error) {
	all := map[string][]byte{}
	var faults Faults
	for _, x := range p.options {
		raw, err := ParseHex(o.text(x.Name, x.Default))
		if err != nil || len(raw) != x.Bytes {
			faults.add(x.Name, "%q is not %d hexadecimal digits", o[x.Name], 2*x.Bytes)
		}
		all[x.Name] = raw
	}
	return all, faults.orNil()
}
