// SPDX-License-Identifier: Apache-2.0

// Package vedirect reads what Victron's chargers, battery monitors and inverters write to their VE.Direct port.
package vedirect

import (
	"bytes"
	"strconv"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

// limit bounds a block, which has at most 22 fields of 9 + 33 characters (VE.Direct Protocol, Victron, rev 33), and the
// HEX messages in it.
const limit = 2048

// Driver is the driver of the text that the device writes each second.
func Driver() *devices.Driver {
	d := &devices.Driver{
		Name: "vedirect", Title: "Victron solar chargers, battery monitors and inverters (VE.Direct)", Model: "Victron VE.Direct",
		Also:  []string{"BlueSolar", "SmartSolar", "BMV-700", "SmartShunt", "Phoenix"},
		Class: "energy", Serial: "19200 8N1",
		Notes: "Readings are those that the product has. It speaks text by itself as long as nobody speaks HEX to it. A battery " +
			"monitor tells its state and its history in turns.",
		New: func(devices.Options) (devices.Decoder, error) {
			return stream.New(&protocol{fields: byLabel()}, limit, true), nil
		},
		Simulate: func(_ devices.Options, seed uint64) (devices.Simulator, error) { return newSimulator(seed), nil },
		Text:     true,
	}
	for _, f := range fields() {
		d.Readings = append(d.Readings, f.Info)
	}
	return d
}

// protocol finds blocks: CR LF label TAB value, again and again, up to the label Checksum, whose value is one byte of
// any kind. The sum of all bytes of a block is 0 modulo 256.
type protocol struct {
	fields map[string]*fieldOf
	out    []devices.Reading
}

// Candidate finds where a block may begin. A block begins with the field PID or H1 and nowhere else, else the rest of a
// damaged one would now and then pass for a whole one: its checksum is but a byte.
func (p *protocol) Candidate(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\r')
		if i < 0 {
			return len(b)
		}
		if from += i; begins(b[from:]) {
			return from
		}
		from++
	}
}

func begins(b []byte) bool {
	for _, start := range []string{"\r\nPID\t", "\r\nH1\t"} {
		if n := min(len(b), len(start)); string(b[:n]) == start[:n] {
			return true
		}
	}
	return false
}

// Judge sums a block up.
func (p *protocol) Judge(b []byte) (int, stream.Verdict) {
	if !begins(b) {
		return 0, stream.No
	}
	var sum byte
	good := true
	for at := 0; ; {
		f, n, v := field(b[at:])
		if v == stream.More && len(b) >= limit || at > 0 && begins(b[at:]) && len(b)-at > len("\r\nPID") {
			return at, stream.Bad // another block begins here
		}
		if v != stream.Match {
			return 0, v
		}
		if !f.hex {
			for _, x := range b[at : at+n] {
				sum += x
			}
		}
		at += n
		switch {
		case f.last && sum == 0 && good:
			return at, stream.Match
		case f.last:
			return at, stream.Bad
		}
		known := p.fields[string(f.label)]
		good = good && (known == nil || known.valid(f.value))
	}
}

// part is one field, or a HEX message between fields.
type part struct {
	label, value []byte
	last, hex    bool
}

// field reads what follows.
func field(b []byte) (f part, n int, v stream.Verdict) {
	if len(b) > 0 && b[0] == ':' {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return f, 0, stream.More
		}
		return part{hex: true}, i + 1, stream.Match
	}
	if k := min(len(b), 2); string(b[:k]) != "\r\n"[:k] {
		return f, 0, stream.No
	}
	if len(b) < 3 {
		return f, 0, stream.More
	}
	tab := bytes.IndexByte(b[2:], '\t')
	if tab < 0 {
		return f, 0, undecided(b[2:], 9)
	}
	f.label = b[2 : 2+tab]
	if rest := b[3+tab:]; string(f.label) == "Checksum" {
		if len(rest) == 0 {
			return f, 0, stream.More
		}
		f.last = true
		return f, 4 + tab, stream.Match
	}
	end := bytes.IndexByte(b[3+tab:], '\r')
	if colon := bytes.IndexByte(b[3+tab:], ':'); colon >= 0 && (end < 0 || colon < end) {
		end = colon
	}
	if tab > 9 || end > 33 {
		return f, 0, stream.No
	}
	if end < 0 {
		return f, 0, undecided(b[3+tab:], 33)
	}
	f.value = b[3+tab : 3+tab+end]
	if !printable(f.label) || !printable(f.value) {
		return f, 0, stream.No
	}
	return f, 3 + tab + end, stream.Match
}

// undecided is what a label or value without an end is.
func undecided(b []byte, most int) stream.Verdict {
	if len(b) > most || !printable(b) {
		return stream.No
	}
	return stream.More
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' || x > 0x7e {
			return false
		}
	}
	return true
}

// Read gives the block's readings.
func (p *protocol) Read(b []byte, at time.Time, emit func(devices.Sample)) {
	p.out = p.out[:0]
	for {
		f, n, v := field(b)
		if b = b[n:]; v != stream.Match || f.last {
			break
		}
		if known := p.fields[string(f.label)]; known != nil {
			if v := known.read(f.value); v.Kind() != devices.None {
				p.out = append(p.out, devices.Reading{Name: known.Name, Value: v})
			}
		}
	}
	emit(devices.Sample{At: at, Readings: p.out})
}

// valid reports whether a known field holds what it may.
func (f *fieldOf) valid(value []byte) bool {
	return string(value) == "---" || f.read(value).Kind() != devices.None || string(value) == f.never
}

// read gives a field's value; none when it was not measured or is nonsense.
func (f *fieldOf) read(value []byte) devices.Value {
	s := string(value)
	switch {
	case s == f.never:
		return devices.Value{}
	case f.onOff:
		if s != "ON" && s != "OFF" && s != "On" && s != "Off" {
			return devices.Value{}
		}
		return devices.Flag(s == "ON" || s == "On")
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return devices.Value{}
	}
	return devices.Num(f.linear.Apply(float64(n)))
}
