// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"encoding/hex"
	"slices"
	"time"

	"edged/devices"
)

// simulator is a device as its description tells it. It sends the first shape that has readings and an example,
// and obeys commands by their effects.
type simulator struct {
	p      *protocol
	given  map[string][]byte
	data   *shape // nil: it never measures
	wander devices.Wander
	next   time.Time // of the frame that it sends by itself; zero: not begun
	asleep bool
	quiet  bool
	got    []byte // what may begin a request
}

func newSimulator(p *protocol, given map[string][]byte, seed uint64) *simulator {
	s := &simulator{p: p, given: given, wander: devices.Wander{Seed: seed}, quiet: p.period == 0}
	s.data = p.measured()
	return s
}

// Tick sends a frame each period.
func (s *simulator) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if s.asleep || s.quiet || s.data == nil {
		return out, time.Time{}
	}
	switch {
	case s.next.IsZero():
		s.next = now.Add(s.p.period)
	case !now.Before(s.next):
		out = s.measure(s.data, out)
		if s.next = s.next.Add(s.p.period); !s.next.After(now) { // nobody called for long
			s.next = now.Add(s.p.period)
		}
	}
	return out, s.next
}

// measure appends a frame of readings.
func (s *simulator) measure(x *shape, out []byte) []byte {
	if x == nil || x.example == nil {
		return out
	}
	frame := bytes.Clone(x.example)
	for i := range x.readings {
		r := &x.readings[i]
		if r.wander != nil && r.applies(x, frame) && (!r.row || r.at+r.Width <= x.body(len(frame))) {
			r.put(frame, devices.Num(s.wander.Between(r.wander.Low, r.wander.High, i)))
		}
	}
	if x.sum != nil {
		x.sum.put(frame)
	}
	s.wander.N++
	return append(out, s.p.wire(frame)...)
}

// Receive obeys requests, and skips what is none.
func (s *simulator) Receive(p []byte, _ time.Time, out []byte) []byte {
	for _, x := range p {
		if s.p.stuffing != nil {
			out = s.packet(x, out)
			continue
		}
		s.got = append(s.got, x)
		for len(s.got) > 0 {
			n, answer := s.obey()
			if n < 0 {
				break
			}
			out = append(out, answer...)
			s.got = s.got[:copy(s.got, s.got[max(n, 1):])]
		}
	}
	return out
}

// packet obeys requests between delimiters.
func (s *simulator) packet(x byte, out []byte) []byte {
	if x != s.p.stuffing.delimiter {
		if s.got = append(s.got, x); len(s.got) > maxFrame {
			s.got = s.got[:0]
		}
		return out
	}
	var ok bool
	if s.got, ok = s.p.stuffing.unstuff(s.got); ok && len(s.got) > 0 {
		if n, answer := s.obey(); n == len(s.got) {
			out = append(out, answer...)
		}
	}
	s.got = s.got[:0]
	return out
}

// obey looks for a request at the beginning of what was received: n is its size, 0 when there is none, -1 when there
// may be one.
func (s *simulator) obey() (n int, answer []byte) {
	waits := 0
	for i := range s.p.asks {
		a := &s.p.asks[i]
		switch _, n := a.t.parse(s.got, 0, s); {
		case n > 0 && s.asleep:
			return n, nil
		case n > 0 && a.shape != nil:
			return n, s.measure(a.shape, nil)
		case n > 0:
			return n, s.measure(s.data, nil)
		case n < 0:
			waits = n
		}
	}
	for _, c := range s.p.commands {
		value, n := c.t.parse(s.got, c.width(), s)
		if n < 0 {
			waits = n
		}
		if v, ok := c.decode(value); n > 0 && ok {
			return n, s.do(c, v)
		}
	}
	return waits, nil
}

// do carries out a command and answers it.
func (s *simulator) do(c *command, v devices.Value) []byte {
	effect := c.effect[v.String()]
	if s.asleep && effect != "wake" {
		return nil
	}
	switch effect {
	case "sleep":
		s.asleep = true
	case "wake":
		s.asleep, s.next = false, time.Time{}
	case "stream":
		s.quiet, s.next = false, time.Time{}
	case "quiet":
		s.quiet = true
	case "send":
		return s.measure(s.data, nil)
	}
	if c.expect != devices.ExpectAnswer || slices.Contains(c.silent, v.String()) {
		return nil
	}
	return s.p.answerTo(c.info.Name, v)
}

// answerTo builds the answer that tells v back.
func (p *protocol) answerTo(command string, v devices.Value) []byte {
	for _, x := range p.shapes {
		for i := range x.answers {
			a := &x.answers[i]
			if a.command != command || a.example == nil {
				continue
			}
			frame := bytes.Clone(a.example)
			for _, c := range a.need {
				c.put(frame)
			}
			if !a.plain {
				a.put(frame, v) // a trigger's answer tells what the example says
			}
			if x.sum != nil {
				x.sum.put(frame)
			}
			return p.wire(frame)
		}
	}
	return nil
}

// parse reads a request from b: the bytes of {value} and the request's size, 0 when it is none, -1 when more bytes are
// needed to say so.
func (t *template) parse(b []byte, width int, s *simulator) (value []byte, n int) {
	for _, p := range t.parts {
		want := p.bytes
		size := len(want)
		switch p.place {
		case "":
		case "value":
			want, size = nil, width
		case "sum":
			want, size = nil, t.sum.width()
		default:
			want = s.given[p.place]
			size = len(want)
		}
		have := b[min(n, len(b)):min(n+size, len(b))]
		if want != nil && !bytes.Equal(have, want[:len(have)]) {
			return nil, 0
		}
		if len(have) < size {
			return nil, -1
		}
		if p.place == "value" {
			value = have
		}
		n += size
	}
	if t.sum != nil && !t.sum.holds(b[:n]) {
		return nil, 0
	}
	return value, n
}

// width is the size of {value}.
func (c *command) width() int {
	switch c.info.Kind {
	case devices.KindNumber:
		return c.number.Width
	case devices.KindHex:
		return c.bytes
	}
	for _, b := range c.values {
		return len(b)
	}
	return 0
}

// decode is the reverse of encode.
func (c *command) decode(b []byte) (devices.Value, bool) {
	switch c.info.Kind {
	case devices.KindNumber:
		v := c.number.Read(b)
		x, ok := v.Float()
		return v, ok && x >= *c.info.Min && x <= *c.info.Max
	case devices.KindHex:
		return devices.Str(hex.EncodeToString(b)), len(b) == c.bytes
	case devices.KindTrigger:
		return devices.Flag(true), true
	}
	for text, raw := range c.values {
		if bytes.Equal(raw, b) {
			if c.info.Kind == devices.KindBool {
				return devices.Flag(text == "true"), true
			}
			return devices.Str(text), true
		}
	}
	return devices.Value{}, false
}

// measured gives the shape that the pretended device sends by itself; nil: none.
func (p *protocol) measured() *shape {
	i := slices.IndexFunc(p.shapes, func(x *shape) bool { return x.example != nil && x.readings != nil })
	if i < 0 {
		return nil
	}
	return p.shapes[i]
}
