// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/checksum"
	"edged/devices/stream"
)

// telegramLimit bounds a telegram, which has about 1 to 2 KiB.
const telegramLimit = 8 << 10

// DSMR is the driver of the P1 port of Dutch, Belgian, Luxembourgish, Swedish and Hungarian meters.
func DSMR() *devices.Driver {
	return &devices.Driver{
		Name: "dsmr", Title: "Smart meters with a P1 port (DSMR, ESMR, e-MUCS)", Model: "P1 smart meter",
		Class: "energy-meter", Serial: "115200 8N1", Text: true,
		Notes: "It sends by itself, each 1 or 10 s. Meters of DSMR 2 and 3 have serial = \"9600 7E1\" and no checksum. The signal is " +
			"inverted: take a P1 cable. Readings are those that the meter has.",
		Readings: append(infos("power_l", "power_absolute"), others()...),
		New: func(devices.Options) (devices.Decoder, error) {
			return stream.New(newTelegrams(), telegramLimit, true), nil
		},
		Simulate: func(_ devices.Options, seed uint64) (devices.Simulator, error) { return newDSMRSimulator(seed), nil },
	}
}

// telegrams finds telegrams: / identification CR LF CR LF, lines, ! checksum CR LF. The checksum is CRC-16/ARC over all
// from / to !, in hexadecimal digits, which some meters do not pad; those of DSMR 2 and 3 have none.
type telegrams struct {
	book    book
	crc     *checksum.Kind
	checked bool // the meter sends checksums, so that a telegram without one is damaged
	out     []devices.Reading
}

func newTelegrams() *telegrams {
	crc, _ := checksum.New("crc16-arc")
	return &telegrams{book: newBook(), crc: crc}
}

// Candidate finds where a telegram may begin.
func (*telegrams) Candidate(b []byte) int {
	if i := bytes.IndexByte(b, '/'); i >= 0 {
		return i
	}
	return len(b)
}

// Judge checks a telegram.
func (p *telegrams) Judge(b []byte) (int, stream.Verdict) {
	if b[0] != '/' || len(b) > 4 && (b[1] <= ' ' || b[2] <= ' ' || b[3] <= ' ') {
		return 0, stream.No
	}
	end := bytes.Index(b, []byte("\n!"))
	if i := bytes.Index(b, []byte("\n/")); i >= 0 && (end < 0 || i < end) {
		return 0, stream.No // another begins before this one ends
	}
	if end < 0 {
		return 0, undecided(b, telegramLimit-64)
	}
	end += 2
	i := bytes.IndexByte(b[end:], '\n')
	if i < 0 {
		return 0, undecided(b[end:], 8)
	}
	size := end + i + 1
	digits := strings.TrimSpace(string(b[end:size]))
	if digits == "" {
		if p.checked || !plain(b[:end]) {
			return size, stream.Bad
		}
		return size, stream.Match
	}
	want, err := strconv.ParseUint(digits, 16, 16)
	if err != nil || len(digits) > 4 || uint32(want) != p.crc.Sum(b[:end]) {
		return size, stream.Bad
	}
	p.checked = true
	return size, stream.Match
}

// undecided is what has no end yet.
func undecided(b []byte, most int) stream.Verdict {
	if len(b) > most {
		return stream.No
	}
	return stream.More
}

// plain reports whether a telegram without a checksum has the form of one in every line.
func plain(b []byte) bool {
	for i, s := range strings.Split(strings.TrimRight(string(b), "!"), "\n") {
		s = strings.TrimSuffix(s, "\r")
		for j := range len(s) {
			if s[j] < ' ' || s[j] > 0x7e {
				return false
			}
		}
		_, isLine := parseLine(s)
		if i > 0 && s != "" && !isLine && !(strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")")) {
			return false
		}
	}
	return true
}

// Read gives a telegram's readings.
func (p *telegrams) Read(b []byte, at time.Time, emit func(devices.Sample)) {
	p.out = p.out[:0]
	types := map[int]int{}
	var last line
	for _, s := range strings.Split(string(b), "\n")[1:] {
		s = strings.TrimSuffix(s, "\r")
		l, ok := parseLine(s)
		if strings.HasPrefix(s, "(") && len(last.values) > 0 { // the value of the line before, DSMR 2 and 3
			l, ok = last, true
			l.values = []string{strings.Trim(s, "()") + "*" + last.values[len(last.values)-1]}
		}
		if !ok {
			continue
		}
		if last = l; l.medium == 0 && strings.HasPrefix(l.code, "24.") {
			p.sub(l, types)
			continue
		}
		p.out = p.book.read(l, p.out)
	}
	emit(devices.Sample{At: at, Readings: p.out})
}

// sub reads a line of a meter that is connected to this one: its type, or its value. Types are those of EN 13757-3.
func (p *telegrams) sub(l line, types map[int]int) {
	value := l.values[len(l.values)-1]
	switch l.code {
	case "24.1.0":
		types[l.channel], _ = strconv.Atoi(value) // 0 is none that is known
	case "24.2.1", "24.2.3", "24.3.0":
		x, unit, ok := quantity(value)
		name := map[int]string{3: "gas_volume", 7: "water_volume", 4: "heat_energy", 12: "heat_energy"}[types[l.channel]]
		if want := map[bool]string{true: "GJ", false: "m3"}[name == "heat_energy"]; ok && name != "" && unit == want {
			p.out = put(p.out, devices.Reading{Name: name, Value: devices.Num(x)})
		}
	}
}
