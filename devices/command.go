// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
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
}

// command is how one command is written.
type command struct {
	info   CommandInfo
	t      template
	values map[string][]byte // of bool and enum
	number field             // of number
	bytes  int               // of hex
	expect Expect
	within time.Duration
	silent []string
	effect map[string]string
}

// ask is one request of a round.
type ask struct {
	t      template
	within time.Duration
}

// template is a request with places for a value, options and a checksum.
type template struct {
	parts []part
	sum   *checksum
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
			b = append(b, make([]byte, sumSize(t.sum.kind))...)
		default:
			b = append(b, given[p.place]...)
		}
	}
	if t.sum != nil {
		t.sum.put(b)
	}
	return b
}

// Command turns a value into a request.
func (d *frameDecoder) Command(name string, v Value) (Request, error) {
	i := slices.IndexFunc(d.p.commands, func(c *command) bool { return c.info.Name == name })
	if i < 0 {
		return Request{}, fmt.Errorf("there is no command %q; possible: %s", name, d.p.commandNames())
	}
	c := d.p.commands[i]
	value, err := c.encode(v)
	if err != nil {
		return Request{}, err
	}
	r := Request{Bytes: c.t.build(value, d.given), Command: name, Expect: c.expect, Within: c.within}
	if c.expect == ExpectNothing || slices.Contains(c.silent, v.String()) {
		r.Expect, r.Within = ExpectNothing, 0
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
func (d *frameDecoder) Next(step int) (Request, bool) {
	if step < 0 || step >= len(d.p.asks) {
		return Request{}, false
	}
	a := d.p.asks[step]
	return Request{Bytes: a.t.build(nil, d.given), Expect: ExpectData, Within: a.within}, true
}

// encode gives the bytes of {value}.
func (c *command) encode(v Value) ([]byte, error) {
	text := v.String()
	switch c.info.Kind {
	case KindBool:
		if v.Kind() == Bool {
			return c.values[text], nil
		}
	case KindEnum:
		if b, ok := c.values[text]; ok && v.Kind() != Bool {
			return b, nil
		}
	case KindTrigger:
		if on, _ := v.Truth(); on {
			return nil, nil
		}
	case KindNumber:
		if x, ok := v.Float(); ok && x == math.Trunc(x) && x >= *c.info.Min && x <= *c.info.Max {
			b := make([]byte, c.number.width)
			c.number.put(b, v)
			return b, nil
		}
	case KindHex:
		if b, err := hex.DecodeString(text); err == nil && len(b) == c.bytes && v.Kind() == String {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s takes %s, not %s", c.info.Name, c.takes(), v.AppendJSON(nil))
}

// takes says what encode accepts.
func (c *command) takes() string {
	switch c.info.Kind {
	case KindBool:
		return "true or false"
	case KindEnum:
		return "one of " + quoteAll(c.info.Values)
	case KindTrigger:
		return "true"
	case KindNumber:
		return fmt.Sprintf("a whole number from %v to %v", *c.info.Min, *c.info.Max)
	}
	return fmt.Sprintf("a string of %d hexadecimal digits", 2*c.bytes)
}
