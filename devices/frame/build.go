// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/checksum"
)

// Driver makes a driver of the description. Its error is Faults, whose keys are paths into the description, such as
// "frame[1].checksum.from".
func (d *Description) Driver() (*devices.Driver, error) {
	b := builder{d: d, p: &protocol{}}
	out := d.Head.Driver(&b.faults)
	if len(d.Frame) == 0 {
		b.faults.Add("frame", "a description needs at least one frame")
	}
	b.p.period = b.duration("simulate.period", d.Simulate.Period, 0)
	b.p.gap = b.duration("gap", d.Gap, 0)
	b.stuffing("stuffing", d.Stuffing)
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
	b.p.finish()
	b.complete(out)
	return out, nil
}

// builder understands a description and collects what is wrong with it.
type builder struct {
	d      *Description
	p      *protocol
	infos  []devices.Info
	faults devices.Faults
}

func (b *builder) duration(key, s string, or time.Duration) time.Duration {
	return devices.ParseDuration(key, s, or, &b.faults)
}

// hex reads bytes written in hexadecimal with blanks.
func (b *builder) hex(key, s string) []byte {
	raw, err := devices.ParseHex(s)
	if err != nil {
		b.faults.Add(key, "%v", err)
	}
	return raw
}

func (b *builder) little(key, order string) bool {
	if order != "" && order != "big" && order != "little" {
		b.faults.Add(key, "%q is not known; possible: \"big\", \"little\"", order)
	}
	return order == "little"
}

func (b *builder) stuffing(key string, s *StuffingDescription) {
	if s == nil {
		return
	}
	kinds := []string{"slip", "cobs", "hdlc"}
	if !slices.Contains(kinds, s.Kind) {
		b.faults.Add(key+".kind", "%q is not known; possible: %s", s.Kind, devices.QuoteAll(kinds))
	}
	if s.Also != "" && s.Kind != "hdlc" {
		b.faults.Add(key+".also", "only hdlc escapes other bytes")
	}
	if b.d.Gap != "" {
		b.faults.Add("gap", "delimiters tell where frames end")
	}
	b.p.stuffing = newStuffing(s.Kind, b.hex(key+".also", s.Also))
}

// constants reads a table of offset = bytes; the order of offsets makes the result repeatable.
func (b *builder) constants(key string, table map[string]string, limit int) []constant {
	var all []constant
	for _, at := range slices.Sorted(maps.Keys(table)) {
		n, err := strconv.Atoi(at)
		raw := b.hex(key+"."+at, table[at])
		switch {
		case err != nil:
			b.faults.Add(key+"."+at, "%q is not an offset", at)
		case len(raw) == 0 || n >= 0 && n+len(raw) > limit || n < -limit || n < 0 && n+len(raw) > 0:
			b.faults.Add(key+"."+at, "does not lie within the frame of at most %d bytes", limit)
		default:
			all = append(all, constant{n, raw})
		}
	}
	return all
}

// checksum reads where a checksum stands; before is how many bytes follow it by default.
func (b *builder) checksum(key string, c *ChecksumDescription, before, least int) *sum {
	if c == nil {
		return nil
	}
	out := &sum{kind: b.sumKind(key, c), from: c.From, little: b.little(key+".order", c.Order), digits: c.Digits, over: c.Over == "digits"}
	if out.kind == nil {
		return nil
	}
	if c.Over != "" && !out.over {
		b.faults.Add(key+".over", "%q is not known; possible: \"digits\"", c.Over)
	}
	out.at = -out.width() - before
	if c.At != nil {
		out.at = *c.At
	}
	out.to = out.at
	if c.To != nil {
		out.to = *c.To
	}
	if _, _, _, ok := out.place(least); !ok {
		b.faults.Add(key, "does not lie within the frame of at least %d bytes", least)
	}
	return out
}

func (b *builder) sumKind(key string, c *ChecksumDescription) *checksum.Kind {
	if bits, isCRC := map[string]int{"crc8": 8, "crc16": 16, "crc32": 32}[c.Kind]; isCRC && c.Poly != nil {
		return checksum.NewCRC(checksum.CRC{Bits: bits, Poly: *c.Poly, Init: c.Init, XorOut: c.XorOut, Reflect: c.Reflect})
	}
	k, ok := checksum.New(c.Kind)
	if !ok {
		b.faults.Add(key+".kind", "%q is not known; possible: %s; or crc8, crc16, crc32 with poly", c.Kind, devices.QuoteAll(checksum.Names()))
		return nil
	}
	if c.Poly != nil || c.Init != 0 || c.XorOut != 0 || c.Reflect {
		b.faults.Add(key+".kind", "poly, init, xorout and reflect are those of crc8, crc16 and crc32 with poly")
	}
	return k
}

// option is a key of the device's table that stands for bytes.
func (b *builder) option(key string, o *OptionDescription) {
	if !devices.IsName(o.Name) || o.Name == "value" || o.Name == "sum" {
		b.faults.Add(key+".name", "%q can't be the name of an option", o.Name)
	}
	if o.Bytes < 1 || o.Bytes > 64 {
		b.faults.Add(key+".bytes", "must be 1 to 64")
	}
	if raw := b.hex(key+".default", o.Default); len(raw) != o.Bytes {
		b.faults.Add(key+".default", "must be %d bytes", o.Bytes)
	}
	b.p.options = append(b.p.options, *o)
}

// finish prepares the search for start bytes.
func (p *protocol) finish() {
	count := 0
	for _, s := range p.shapes {
		p.limit = max(p.limit, s.limit)
		if len(s.start) == 0 {
			continue
		}
		if !p.starts[s.start[0]] {
			count++
		}
		p.starts[s.start[0]], p.first = true, s.start[0]
	}
	p.only = count == 1
}

// complete gives the driver what the description says.
func (b *builder) complete(d *devices.Driver) {
	p := b.p
	d.Readings = b.infos
	d.New = func(o devices.Options) (devices.Decoder, error) {
		given, err := p.given(o)
		if err != nil {
			return nil, err
		}
		return newDecoder(p, given), nil
	}
	d.Simulate = func(o devices.Options, seed uint64) (devices.Simulator, error) {
		given, err := p.given(o)
		if err != nil {
			return nil, err
		}
		return newSimulator(p, given, seed), nil
	}
	for _, c := range p.commands {
		d.Commands = append(d.Commands, c.info)
	}
	for _, o := range p.options {
		d.Options = append(d.Options, devices.OptionInfo{Name: o.Name, Kind: devices.KindHex, Bytes: o.Bytes, Default: o.Default, Text: o.Text})
	}
}

// given reads the options' bytes.
func (p *protocol) given(o devices.Options) (map[string][]byte, error) {
	all := map[string][]byte{}
	var faults devices.Faults
	for _, x := range p.options {
		raw, err := devices.ParseHex(o.Text(x.Name, x.Default))
		if err != nil || len(raw) != x.Bytes {
			faults.Add(x.Name, "%q is not %d hexadecimal digits", o[x.Name], 2*x.Bytes)
		}
		all[x.Name] = raw
	}
	return all, faults.OrNil()
}

// name replaces {n} in a reading's name.
func numberedName(name string, n int) string { return strings.ReplaceAll(name, "{n}", strconv.Itoa(n)) }
