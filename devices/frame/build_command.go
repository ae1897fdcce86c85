// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"maps"
	"slices"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/field"
)

// command understands one [[command]].
func (b *builder) command(key string, c *CommandDescription) {
	out := &command{
		values: map[string][]byte{}, bytes: c.Bytes, silent: c.Silent, effect: c.Effects,
		within: b.within(key+".within", c.Within),
		info: devices.CommandInfo{
			Name: c.Name, Kind: c.Kind, Unit: c.Unit, Min: c.Min, Max: c.Max, Text: c.Text,
			Answered: c.Answer != nil && !c.Answer.Plain,
		},
	}
	if !devices.IsName(c.Name) || devices.Reserved(c.Name) {
		b.faults.Add(key+".name", "%q can't be the name of a command", c.Name)
	}
	if slices.ContainsFunc(b.p.commands, func(x *command) bool { return x.info.Name == c.Name }) {
		b.faults.Add(key+".name", "another command is named %q", c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		out.values[name] = b.hex(key+".values."+name, c.Values[name])
	}
	size := b.argument(key, c, out)
	out.t = b.template(key, c.Send, c.Checksum, size)
	b.outcome(key, c, out)
	b.p.commands = append(b.p.commands, out)
}

// argument understands what a command takes, and gives the bytes of {value}; -1: there is none.
func (b *builder) argument(key string, c *CommandDescription, out *command) int {
	size := -1
	switch c.Kind {
	case devices.KindBool, devices.KindEnum:
		out.info.Values = slices.Sorted(maps.Keys(c.Values))
		if c.Kind == devices.KindBool {
			out.info.Values = nil
			if len(c.Values) != 2 || c.Values["true"] == "" || c.Values["false"] == "" {
				b.faults.Add(key+".values", "must give the bytes of true and of false")
			}
		}
		for _, raw := range out.values {
			if size >= 0 && size != len(raw) {
				b.faults.Add(key+".values", "must all have the same number of bytes")
			}
			size = len(raw)
		}
	case devices.KindNumber:
		d := field.Description{Type: c.Type, Order: c.Order, Scale: c.Scale}
		out.number = d.Field(key, c.Type, &b.faults)
		size = out.number.Width
		low, high := out.number.Limits()
		if c.Min == nil || c.Max == nil || *c.Min < low || *c.Max > high || !out.number.Number() {
			b.faults.Add(key, "needs min and max within the range of %s", c.Type)
		}
	case devices.KindHex:
		if size = c.Bytes; size < 1 || size > 64 {
			b.faults.Add(key+".bytes", "must be 1 to 64")
		}
	case devices.KindTrigger:
	default:
		b.faults.Add(key+".kind", "%q is not known; possible: %s", c.Kind,
			devices.QuoteAll([]string{devices.KindBool, devices.KindNumber, devices.KindEnum, devices.KindHex, devices.KindTrigger}))
	}
	return size
}

// outcome understands what the device does then.
func (b *builder) outcome(key string, c *CommandDescription, out *command) {
	switch {
	case c.Answer != nil && c.Data:
		b.faults.Add(key+".data", "the answer is either a frame of readings or one of its own")
	case c.Data:
		out.expect = devices.ExpectData
	case c.Answer != nil:
		out.expect = devices.ExpectAnswer
		b.answer(key+".answer", c)
	}
	for value, effect := range c.Effects {
		if !slices.Contains([]string{"sleep", "wake", "stream", "quiet", "send"}, effect) {
			b.faults.Add(key+".effects."+value, "%q is not known; possible: sleep, wake, stream, quiet, send", effect)
		}
	}
}

func (b *builder) answer(key string, c *CommandDescription) {
	s := b.frame(key+".frame", c.Answer.Frame)
	if s == nil {
		return
	}
	a := answer{
		place: b.place(key, &c.Answer.FieldDescription, s), command: c.Name, plain: c.Answer.Plain,
		need: b.constants(key+".need", c.Answer.Need, s.limit), example: b.example(key+".example", c.Answer.Example, s),
	}
	if a.example == nil {
		a.example = s.example
	}
	if len(a.need) == 0 && len(s.readings) > 0 {
		b.faults.Add(key+".need", "must tell the answer from a frame of readings")
	}
	s.answers = append(s.answers, a)
}

// ask understands one [[ask]]. A request that would be taken for the device's own frame when the line echoes it is a
// fault of the description, since readings made of it would be wrong.
func (b *builder) ask(key string, a *AskDescription) {
	out := ask{t: b.template(key, a.Send, a.Checksum, -1), within: b.within(key+".within", a.Within)}
	if a.Frame != "" {
		out.shape = b.frame(key+".frame", a.Frame)
	}
	given, err := b.p.given(nil)
	if err == nil && len(b.faults) == 0 {
		raw := out.t.build(nil, given)
		for _, s := range b.p.shapes {
			if size, v := s.match(raw); v == match && size == len(raw) && len(s.readings) > 0 {
				b.faults.Add(key+".send", "would itself be taken for a frame of readings when the line echoes it: exclude it there by need")
			}
		}
	}
	b.p.asks = append(b.p.asks, out)
}

func (b *builder) within(key, own string) time.Duration {
	if own == "" {
		return b.duration("send.within", b.d.Send.Within, time.Second)
	}
	return b.duration(key, own, 0)
}

// template understands the bytes of a request; value is the size of {value}, -1 when there is none.
func (b *builder) template(key, text string, c *ChecksumDescription, value int) template {
	var t template
	if c == nil {
		c = b.d.Send.Checksum
	}
	var kind *sum
	if c != nil && strings.Contains(text, "{sum}") {
		kind = b.checksum(key+".checksum", &ChecksumDescription{
			Kind: c.Kind, Digits: c.Digits, Poly: c.Poly, Init: c.Init, XorOut: c.XorOut, Reflect: c.Reflect,
		}, 0, maxFrame)
	}
	size, sumAt, values := 0, -1, 0
	for word := range strings.FieldsSeq(text) {
		name, isPlace := strings.CutPrefix(word, "{")
		if !isPlace {
			raw := b.hex(key+".send", word)
			t.parts = append(t.parts, part{bytes: raw})
			size += len(raw)
			continue
		}
		name = strings.TrimSuffix(name, "}")
		t.parts = append(t.parts, part{place: name})
		switch i := slices.IndexFunc(b.p.options, func(o OptionDescription) bool { return o.Name == name }); {
		case name == "value" && value >= 0:
			size += value
			values++
		case name == "sum" && c != nil && sumAt < 0:
			sumAt = size
			if kind != nil {
				size += kind.width()
			}
		case i >= 0:
			size += b.p.options[i].Bytes
		default:
			b.faults.Add(key+".send", "{%s} stands for nothing here", name)
		}
	}
	if size == 0 {
		b.faults.Add(key+".send", "must give the bytes to send")
	}
	if value > 0 && values == 0 {
		b.faults.Add(key+".send", "has no {value}")
	}
	if sumAt >= 0 && kind != nil {
		t.sum = b.checksum(key+".checksum", c, size-sumAt-kind.width(), size)
	}
	return t
}
