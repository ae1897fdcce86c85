// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// command understands one [[command]].
func (b *builder) command(key string, c *CommandDescription) {
	out := &command{
		values: map[string][]byte{}, bytes: c.Bytes, silent: c.Silent, effect: c.Effects,
		within: b.within(key+".within", c.Within),
		info: CommandInfo{
			Name: c.Name, Kind: c.Kind, Unit: c.Unit, Min: c.Min, Max: c.Max, Text: c.Text, Answered: c.Answer != nil,
		},
	}
	if !IsName(c.Name) || Reserved(c.Name) {
		b.faults.add(key+".name", "%q can't be the name of a command", c.Name)
	}
	if slices.ContainsFunc(b.p.commands, func(x *command) bool { return x.info.Name == c.Name }) {
		b.faults.add(key+".name", "another command is named %q", c.Name)
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
	case KindBool, KindEnum:
		out.info.Values = slices.Sorted(maps.Keys(c.Values))
		if c.Kind == KindBool {
			out.info.Values = nil
			if len(c.Values) != 2 || c.Values["true"] == "" || c.Values["false"] == "" {
				b.faults.add(key+".values", "must give the bytes of true and of false")
			}
		}
		for _, raw := range out.values {
			if size >= 0 && size != len(raw) {
				b.faults.add(key+".values", "must all have the same number of bytes")
			}
			size = len(raw)
		}
	case KindNumber:
		out.number = field{kind: c.Type, width: widthOf(c.Type, 0), whole: isWhole(c.Type), little: b.little(key+".order", c.Order), bit: -1}
		size = out.number.width
		if !isWhole(c.Type) {
			b.faults.add(key+".type", "%q is not a whole number's type", c.Type)
		} else if low, high := rangeOf(c.Type); c.Min == nil || c.Max == nil || *c.Min < low || *c.Max > high {
			b.faults.add(key, "needs min and max within the range of %s", c.Type)
		}
	case KindHex:
		if size = c.Bytes; size < 1 || size > 64 {
			b.faults.add(key+".bytes", "must be 1 to 64")
		}
	case KindTrigger:
	default:
		b.faults.add(key+".kind", "%q is not known; possible: %s", c.Kind,
			quoteAll([]string{KindBool, KindNumber, KindEnum, KindHex, KindTrigger}))
	}
	return size
}

// outcome understands what the device does then.
func (b *builder) outcome(key string, c *CommandDescription, out *command) {
	switch {
	case c.Answer != nil && c.Data:
		b.faults.add(key+".data", "the answer is either a frame of readings or one of its own")
	case c.Data:
		out.expect = ExpectData
	case c.Answer != nil:
		out.expect = ExpectAnswer
		b.answer(key+".answer", c)
	}
	for value, effect := range c.Effects {
		if !slices.Contains([]string{"sleep", "wake", "stream", "quiet", "send"}, effect) {
			b.faults.add(key+".effects."+value, "%q is not known; possible: sleep, wake, stream, quiet, send", effect)
		}
	}
}

func (b *builder) answer(key string, c *CommandDescription) {
	s := b.frame(key+".frame", c.Answer.Frame)
	if s == nil {
		return
	}
	a := answer{
		field: b.field(key, &c.Answer.FieldDescription, s), command: c.Name,
		need: b.constants(key+".need", c.Answer.Need, s.limit), example: b.example(key+".example", c.Answer.Example, s),
	}
	if a.example == nil {
		a.example = s.example
	}
	if len(a.need) == 0 && len(s.readings) > 0 {
		b.faults.add(key+".need", "must tell the answer from a frame of readings")
	}
	s.answers = append(s.answers, a)
}

// ask understands one [[ask]].
func (b *builder) ask(key string, a *AskDescription) {
	b.p.asks = append(b.p.asks, ask{b.template(key, a.Send, a.Checksum, -1), b.within(key+".within", a.Within)})
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
	size, sumAt, values := 0, -1, 0
	for word := range strings.FieldsSeq(text) {
		place, isPlace := strings.CutPrefix(word, "{")
		if !isPlace {
			raw := b.hex(key+".send", word)
			t.parts = append(t.parts, part{bytes: raw})
			size += len(raw)
			continue
		}
		place = strings.TrimSuffix(place, "}")
		t.parts = append(t.parts, part{place: place})
		switch i := slices.IndexFunc(b.p.options, func(o OptionDescription) bool { return o.Name == place }); {
		case place == "value" && value >= 0:
			size += value
			values++
		case place == "sum" && c != nil && sumAt < 0:
			sumAt = size
			size += sumSize(c.Kind)
		case i >= 0:
			size += b.p.options[i].Bytes
		default:
			b.faults.add(key+".send", "{%s} stands for nothing here", place)
		}
	}
	if size == 0 {
		b.faults.add(key+".send", "must give the bytes to send")
	}
	if value > 0 && values == 0 {
		b.faults.add(key+".send", "has no {value}")
	}
	if sumAt >= 0 {
		t.sum = b.checksum(key+".checksum", c, size-sumAt-sumSize(c.Kind), size)
	}
	return t
}
