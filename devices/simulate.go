// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"time"
)

// wander gives values that drift slowly and never leave their range, the same for the same seed.
type wander struct {
	seed uint64
	n    int // values are those of the n-th frame
}

// between gives the value of the i-th reading.
func (w *wander) between(low, high float64, i int) float64 {
	phase := float64(mix(w.seed)%1000) / 1000 * 2 * math.Pi
	slow := math.Sin(phase + float64(w.n)/40)
	quick := math.Sin(2.3*phase + float64(w.n)/7 + float64(i))
	jitter := float64(mix(w.seed+uint64(w.n)*31+uint64(i))%2001)/1000 - 1
	return low + (high-low)*(0.5+0.38*slow+0.1*quick+0.02*jitter)
}

// mix spreads a number over all bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// frameSimulator is a device as its description tells it. It sends the first shape that has readings and an example,
// and obeys commands by their effects.
type frameSimulator struct {
	p      *protocol
	given  map[string][]byte
	data   *shape // nil: it never measures
	wander wander
	next   time.Time // of the frame that it sends by itself; zero: not begun
	asleep bool
	quiet  bool
	got    []byte // what may begin a request
}

func newFrameSimulator(p *protocol, given map[string][]byte, seed uint64) *frameSimulator {
	s := &frameSimulator{p: p, given: given, wander: wander{seed: seed}, quiet: p.period == 0}
	if i := slices.IndexFunc(p.shapes, func(x *shape) bool { return x.example != nil && x.readings != nil }); i >= 0 {
		s.data = p.shapes[i]
	}
	return s
}

// Tick sends a frame each period.
func (s *frameSimulator) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if s.asleep || s.quiet || s.data == nil {
		return out, time.Time{}
	}
	switch {
	case s.next.IsZero():
		s.next = now.Add(s.p.period)
	case !now.Before(s.next):
		out = s.measure(out)
		if s.next = s.next.Add(s.p.period); !s.next.After(now) { // nobody called for long
			s.next = now.Add(s.p.period)
		}
	}
	return out, s.next
}

// measure appends a frame of readings.
func (s *frameSimulator) measure(out []byte) []byte {
	if s.data == nil {
		return out
	}
	frame := bytes.Clone(s.data.example)
	for i := range s.data.readings {
		r := &s.data.readings[i]
		if r.wander != nil && r.applies(s.data, frame) {
			r.put(frame, Num(s.wander.between(r.wander.Low, r.wander.High, i)))
		}
	}
	if s.data.sum != nil {
		s.data.sum.put(frame)
	}
	s.wander.n++
	return append(out, frame...)
}

// Receive obeys requests, and skips what is none.
func (s *frameSimulator) Receive(p []byte, _ time.Time, out []byte) []byte {
	for _, x := range p {
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

// obey looks for a request at the beginning of what was received: n is its size, 0 when there is none, -1 when there
// may be one.
func (s *frameSimulator) obey() (n int, answer []byte) {
	for i := range s.p.asks {
		switch _, n := s.p.asks[i].t.parse(s.got, 0, s); {
		case n > 0 && s.asleep:
			return n, nil
		case n != 0:
			return n, s.measureIf(n > 0)
		}
	}
	waits := 0
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

func (s *frameSimulator) measureIf(yes bool) []byte {
	if !yes {
		return nil
	}
	return s.measure(nil)
}

// do carries out a command and answers it.
func (s *frameSimulator) do(c *command, v Value) []byte {
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
		return s.measure(nil)
	}
	if c.expect != ExpectAnswer || slices.Contains(c.silent, v.String()) {
		return nil
	}
	return s.p.answerTo(c.info.Name, v)
}

// answerTo builds the answer that tells v back.
func (p *protocol) answerTo(command string, v Value) []byte {
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
			a.put(frame, v) // a trigger's answer tells what the example says
			if x.sum != nil {
				x.sum.put(frame)
			}
			return frame
		}
	}
	return nil
}

// parse reads a request from b: the bytes of {value} and the request's size, 0 when it is none, -1 when more bytes are
// needed to say so.
func (t *template) parse(b []byte, width int, s *frameSimulator) (value []byte, n int) {
	for _, p := range t.parts {
		want := p.bytes
		size := len(want)
		switch p.place {
		case "":
		case "value":
			want, size = nil, width
		case "sum":
			want, size = nil, sumSize(t.sum.kind)
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
	case KindNumber:
		return c.number.width
	case KindHex:
		return c.bytes
	}
	for _, b := range c.values {
		return len(b)
	}
	return 0
}

// decode is the reverse of encode.
func (c *command) decode(b []byte) (Value, bool) {
	switch c.info.Kind {
	case KindNumber:
		v := c.number.read(b)
		x, ok := v.Float()
		return v, ok && x >= *c.info.Min && x <= *c.info.Max
	case KindHex:
		return Str(hex.EncodeToString(b)), len(b) == c.bytes
	case KindTrigger:
		return Flag(true), true
	}
	for text, raw := range c.values {
		if bytes.Equal(raw, b) {
			if c.info.Kind == KindBool {
				return Flag(text == "true"), true
			}
			return Str(text), true
		}
	}
	return Value{}, false
}
