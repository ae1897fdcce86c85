// SPDX-License-Identifier: Apache-2.0

// Package nmea reads the sentences of satellite receivers, NMEA 0183.
package nmea

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

// limit bounds a sentence: 82 characters by the standard, more in makers' own.
const limit = 256

// Driver is the driver of receivers that send sentences by themselves.
func Driver() *devices.Driver {
	return &devices.Driver{
		Name: "nmea", Title: "Satellite receivers (GPS, GNSS) that speak NMEA 0183", Model: "NMEA 0183 receiver",
		Also: []string{"u-blox", "Quectel", "SIMCom"}, Class: "position", Serial: "9600 8N1", Text: true,
		Notes: "One sentence gives one object of readings; what an empty field would hold is absent. Without a fix there is no " +
			"position. GGA, RMC, GLL, VTG, GSA and GSV are read.",
		Readings: infos(),
		New:      func(devices.Options) (devices.Decoder, error) { return stream.New(&protocol{}, limit, true), nil },
		Simulate: func(_ devices.Options, seed uint64) (devices.Simulator, error) { return newSimulator(seed), nil },
	}
}

func infos() []devices.Info {
	n := func(name, unit, class, text string) devices.Info {
		return devices.Info{Name: name, Unit: unit, Class: class, Text: text, Optional: true}
	}
	return []devices.Info{
		n("latitude", "°", "", "north; negative: south"),
		n("longitude", "°", "", "east; negative: west"),
		n("altitude", "m", "distance", "above mean sea level"),
		n("fix", "", "", "0 none, 1 GPS, 2 differential, 4 RTK, 5 RTK float, 6 estimated"),
		n("satellites", "", "", "that are used"),
		n("hdop", "", "", "horizontal dilution of precision"),
		n("valid", "", "", "there is a fix"),
		n("speed", "km/h", "speed", "over ground"),
		n("course", "°", "", "over ground, from true north"),
		n("fix_mode", "", "", "1 none, 2 without height, 3 with height"),
		n("pdop", "", "", "dilution of precision"),
		n("vdop", "", "", "vertical dilution of precision"),
		n("satellites_in_view", "", "", "of one system, that of the sentence's talker"),
	}
}

// protocol finds sentences: $ (or !, of AIS), characters, *, their exclusive or in two hexadecimal digits, CR LF.
type protocol struct {
	out []devices.Reading
}

// Candidate finds where a sentence may begin.
func (*protocol) Candidate(b []byte) int {
	if i := bytes.IndexAny(b, "$!"); i >= 0 {
		return i
	}
	return len(b)
}

// Judge checks a sentence.
func (*protocol) Judge(b []byte) (int, stream.Verdict) {
	if b[0] != '$' && b[0] != '!' {
		return 0, stream.No
	}
	var sum byte
	star := 0
	for i, x := range b[1:] {
		switch {
		case x == '\r' && i+2 < len(b) && b[i+2] == '\n', x == '\n':
			size := i + 2
			if x == '\r' {
				size++
			}
			if star == 0 || i+1-star != 3 {
				return size, stream.Bad
			}
			want, err := strconv.ParseUint(string(b[star+1:star+3]), 16, 8)
			if err != nil || byte(want) != sum {
				return size, stream.Bad
			}
			return size, stream.Match
		case x == '\r' && i+2 == len(b):
		case x < ' ' || x > 0x7e || x == '$' || i+2 >= limit:
			return 0, stream.No
		case x == '*' && star == 0:
			star = i + 1
		case star == 0:
			sum ^= x
		}
	}
	return 0, stream.More
}

// Read gives what a sentence says. One that is of another kind says nothing.
func (p *protocol) Read(b []byte, at time.Time, emit func(devices.Sample)) {
	body, _, _ := strings.Cut(string(b[1:]), "*")
	f := strings.Split(body, ",")
	if len(f[0]) != 5 || f[0][0] == 'P' {
		return
	}
	s := sentence{fields: f, to: p.out[:0]}
	switch f[0][2:] {
	case "GGA":
		s.gga()
	case "RMC":
		s.rmc()
	case "GLL":
		s.gll()
	case "VTG":
		s.number("course", 1, 1)
		s.speed(7, 5)
	case "GSA":
		s.number("fix_mode", 2, 1)
		s.number("pdop", 15, 1)
		s.number("hdop", 16, 1)
		s.number("vdop", 17, 1)
	case "GSV":
		s.number("satellites_in_view", 3, 1)
	default:
		return
	}
	p.out = s.to
	emit(devices.Sample{At: at, Readings: s.to})
}
