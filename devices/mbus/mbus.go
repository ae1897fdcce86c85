// SPDX-License-Identifier: Apache-2.0

// Package mbus reads meters of water, heat, gas and electricity that are wired to an M-Bus (EN 13757-2 and -3).
package mbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

// limit bounds a frame: 255 bytes that its length counts, and 6 around them.
const limit = 261

// options are the keys of a device's table.
type options struct {
	Address int `toml:"address" min:"1" max:"250" default:"1" text:"the meter's primary address"`
}

// Driver is the driver of one meter at a bus.
func Driver() *devices.Driver {
	return &devices.Driver{
		Name: "mbus", Title: "Meters of water, heat, gas and electricity at a wired M-Bus", Model: "M-Bus meter",
		Class: "meter", Serial: "2400 8E1", Every: time.Minute,
		Notes: "It needs a level converter. The records of the first telegram are read; the second one of a kind has _2, the third " +
			"_3. Meters with a battery give few answers a day: ask rarely.",
		Options: devices.OptionsOf(options{}),
		New: func(o devices.Options) (devices.Decoder, error) {
			var x options
			if err := o.Decode(&x); err != nil {
				return nil, err
			}
			p := &protocol{address: byte(x.Address)}
			return &decoder{stream.New(p, limit, false), p}, nil
		},
		Simulate: func(o devices.Options, seed uint64) (devices.Simulator, error) {
			var x options
			if err := o.Decode(&x); err != nil {
				return nil, err
			}
			return &simulator{address: byte(x.Address), wander: devices.Wander{Seed: seed}}, nil
		},
	}
}

// decoder asks a meter: it is reset (SND_NKE), which it acknowledges with E5, and asked for its data (REQ_UD2).
type decoder struct {
	*stream.Decoder
	p *protocol
}

// Next gives the two requests of a round.
func (d *decoder) Next(step int) (devices.Request, bool) {
	if step < 0 || step > 1 {
		return devices.Request{}, false
	}
	return devices.Request{Bytes: short([]byte{0x40, 0x5b}[step], d.p.address), Expect: devices.ExpectData, Within: 2 * time.Second}, true
}

// Sent tells what was written: an acknowledgement is one only when a reset was asked for, and data only of the meter that
// was asked.
func (d *decoder) Sent(b []byte) {
	d.p.reset = bytes.Equal(b, short(0x40, d.p.address))
	d.p.asked = true
	d.Decoder.Sent(b)
}

// short makes a frame of 5 bytes: 10, control, address, sum of these two, 16.
func short(control, address byte) []byte {
	return []byte{0x10, control, address, control + address, 0x16}
}

// protocol finds frames: E5, or 68 length length 68, control, address, CI, data, sum of all from control on, 16.
type protocol struct {
	address byte
	asked   bool
	reset   bool
	out     []devices.Reading
}

// Candidate finds where a frame may begin.
func (p *protocol) Candidate(b []byte) int {
	i := bytes.IndexByte(b, 0x68)
	if p.reset {
		i = bytes.IndexAny(b, "\x68")
		if j := bytes.IndexByte(b, 0xe5); j >= 0 && (i < 0 || j < i) {
			i = j
		}
	}
	if i < 0 {
		return len(b)
	}
	return i
}

// Judge checks a frame.
func (p *protocol) Judge(b []byte) (int, stream.Verdict) {
	if b[0] == 0xe5 && p.reset {
		return 1, stream.Match
	}
	for i, want := range []int{0x68, -1, -1, 0x68} {
		if i >= len(b) {
			return 0, stream.More
		}
		if want >= 0 && b[i] != byte(want) || i == 2 && (b[2] != b[1] || b[1] < 3) {
			return 0, stream.No
		}
	}
	if len(b) > 4 && b[4]&^0x30 != 0x08 { // RSP_UD: what a meter sends
		return 0, stream.No
	}
	size := int(b[1]) + 6
	if len(b) < size {
		return size, stream.More
	}
	var sum byte
	for _, x := range b[4 : size-2] {
		sum += x
	}
	if sum != b[size-2] || b[size-1] != 0x16 {
		return size, stream.Bad
	}
	return size, stream.Match
}

// Read gives a frame's readings.
func (p *protocol) Read(b []byte, at time.Time, emit func(devices.Sample)) {
	if b[0] == 0xe5 {
		p.reset = false
		emit(devices.Sample{At: at})
		return
	}
	if p.asked && b[5] != p.address {
		return // of another meter
	}
	t := telegram{to: p.out[:0]}
	if data := b[7 : len(b)-2]; b[6] == 0x72 && len(data) >= 12 {
		t.header(data)
		t.records(data[12:])
	}
	p.out = t.to
	emit(devices.Sample{At: at, Readings: t.to})
}

// telegram is one that is being read.
type telegram struct {
	to    []devices.Reading
	kinds map[string]int // how many there were of each
}

func (t *telegram) add(name string, v devices.Value) {
	if v.Kind() == devices.None || len(t.to) >= 128 {
		return
	}
	if t.kinds == nil {
		t.kinds = map[string]int{}
	}
	if t.kinds[name]++; t.kinds[name] > 1 {
		name = fmt.Sprintf("%s_%d", name, t.kinds[name])
	}
	t.to = append(t.to, devices.Reading{Name: name, Value: v})
}

// header reads the 12 bytes before the records: id (BCD), manufacturer, version, medium, access, status, signature.
func (t *telegram) header(b []byte) {
	if id, ok := bcd(b[:4]); ok {
		t.add("id", devices.Num(float64(id)))
	}
	m := binary.LittleEndian.Uint16(b[4:])
	t.add("manufacturer", devices.Str(string([]byte{byte(m>>10&31) + 64, byte(m>>5&31) + 64, byte(m&31) + 64})))
	media := []string{
		"other", "oil", "electricity", "gas", "heat", "steam", "warm water", "water", "heat cost allocator", "compressed air",
		"cooling", "cooling", "heat", "heat and cooling",
	}
	if i := int(b[7]); i < len(media) {
		t.add("medium", devices.Str(media[i]))
	}
	t.add("access", devices.Num(float64(b[8])))
	t.add("status", devices.Num(float64(b[9])))
}

// bcd reads decimal digits, the lowest byte first. An F in the highest place is a minus.
func bcd(b []byte) (n int64, ok bool) {
	minus := false
	for i, x := range slices.Backward(b) {
		if i == len(b)-1 && x>>4 == 15 {
			minus, x = true, x&15
		}
		if x>>4 > 9 || x&15 > 9 {
			return 0, false
		}
		n = n*100 + int64(x>>4)*10 + int64(x&15)
	}
	if minus {
		n = -n
	}
	return n, true
}
