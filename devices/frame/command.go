// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/field"
)

// protocol is a description that was understood. It is shared by all decoders of its driver and never changed.
type protocol struct {
	shapes   []*shape
	starts   [256]bool
	first    byte // the only byte of starts, where only
	only     bool
	limit    int // the largest frame
	commands []*command
	asks     []ask
	options  []OptionDescription
	period   time.Duration // of the pretended device
	stuffing *stuffing     // nil: frames follow each other
	gap      time.Duration // a silence that ends a frame; 0: none does
}

// command is how one command is written.
type command struct {
	info   devices.CommandInfo
	t      template
	values map[string][]byte // of bool and enum
	number field.Field       // of number
	bytes  int               // of hex
	expect devices.Expect
	within time.Duration
	silent []string
	effect map[string]string
}

// ask is one request of a round.
type ask struct {
	t      template
	within time.Duration
	shape  *shape // that answers; nil: the first with readings
}

// template is a request with places for a value, options and a checksum.
type template struct {
	parts []part
	sum   *sum
}

// part is constant bytes or the place of something.
type part struct {
	bytes []byte
	place string // "value", "sum" or an option's name; "": bytes
}

// build writes the request.
func (t *template) build(value []byte, given map[string][]byte) []byte {
	var b []byte
	for _, p := range t.parts {
		switch p.place {
		case "":
			b = append(b, p.bytes...)
		case "value":
			b = append(b, value...)
		case "sum":
			b = append(b, make([]byte, t.sum.width())...)
		default:
			b = append(b, given[p.place]...)
		}
	}
	if t.sum != nil {
		t.sum.put(b)
	}
	return b
}

// packets reports whether something cuts frames out of the stream.
func (p *protocol) packets() bool { return p.stuffing != nil || p.gap > 0 }

// wire gives a request or a frame as it goes over the line.
func (p *protocol) wire(b []byte) []byte {
	if p.stuffing == nil {
		return b
	}
	return p.stuffing.stuff(nil, b)
}

// Command turns a value into a request.
func (d *base) Command(name string, v devices.Value) (devices.Request, error) {
	i := slices.IndexFunc(d.p.commands, func(c *command) bool { return c.info.Name == name })
	if i < 0 {
		return devices.Request{}, fmt.Errorf("there is no command %q; possible: %s", name, d.p.commandNames())
	}
	c := d.p.commands[i]
	value, err := c.encode(v)
	if err != nil {
		return devices.Request{}, err
	}
	d.asked = name
	r := devices.Request{Bytes: d.p.wire(c.t.build(value, d.given)), Command: name, Expect: c.expect, Within: c.within}
	if c.expect == devices.ExpectNothing || slices.Contains(c.silent, v.String()) {
		r.Expect, r.Within = devices.ExpectNothing, 0
	}
	return r, nil
}

func (p *protocol) commandNames() string {
	var names []string
	for _, c := range p.commands {
		names = append(names, c.info.Name)
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Next gives the requests of a round of asking.
func (d *base) Next(step int) (devices.Request, bool) {
	if step < 0 || step >= len(d.p.asks) {
		return devices.Request{}, false
	}
	a := d.p.asks[step]
	return devices.Request{Bytes: d.p.wire(a.t.build(nil, d.given)), Expect: devices.ExpectData, Within: a.within}, true
}

// encode gives the bytes of {value}.
func (c *command) encode(v devices.Value) ([]byte, error) {
	text := v.String()
	switch c.info.Kind {
	case devices.KindBool:
		if v.Kind() == devices.Bool {
			return c.values[text], nil
		}
	case devices.KindEnum:
		if b, ok := c.values[text]; ok && v.Kind() != devices.Bool {
			return b, nil
		}
	case devices.KindTrigger:
		if on, _ := v.Truth(); on {
			return nil, nil
		}
	case devices.KindNumber:
		x, ok := v.Float()
		if ok && (c.number.Scaled() || x == math.Trunc(x)) && x >= *c.info.Min && x <= *c.info.Max {
			b := make([]byte, c.number.Width)
			c.number.Put(b, v)
			return b, nil
		}
	case devices.KindHex:
		if b, err := hex.DecodeString(text); err == nil && len(b) == c.bytes && v.Kind() == devices.String {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s takes %s, not %s", c.info.Name, c.takes(), v.AppendJSON(nil))
}

// takes says what encode accepts.
func (c *command) takes() string {
	switch c.info.Kind {
	case devices.KindBool:
		return "true or false"
	case devices.KindEnum:
		return "one of " + devices.QuoteAll(c.info.Values)
	case devices.KindTrigger:
		return "true"
	case devices.KindNumber:
		if c.number.Scaled() {
			return fmt.Sprintf("a number from %v to %v", *c.info.Min, *c.info.Max)
		}
		return fmt.Sprintf("a whole number from %v to %v", *c.info.Min, *c.info.Max)
	}
	return fmt.Sprintf("a string of %d hexadecimal digits", 2*c.bytes)
}
