// SPDX-License-Identifier: Apache-2.0

package nmea

import (
	"math"
	"strconv"
	"strings"

	"edged/devices"
)

// knot in km/h.
const knot = 1.852

// sentence is one whose fields are being read.
type sentence struct {
	fields []string
	to     []devices.Reading
}

// field gives the i-th; "" is one that is empty or not there.
func (s *sentence) field(i int) string {
	if i < len(s.fields) {
		return s.fields[i]
	}
	return ""
}

// float reads the i-th field; ok is false when it is empty or no number.
func (s *sentence) float(i int) (x float64, ok bool) {
	text := s.field(i)
	if strings.Trim(text, "+-.0123456789") != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil
}

func (s *sentence) add(name string, v devices.Value) {
	s.to = append(s.to, devices.Reading{Name: name, Value: v})
}

func (s *sentence) number(name string, i int, scale float64) {
	if x, ok := s.float(i); ok {
		s.add(name, devices.Num(devices.NewLinear(scale, 0).Apply(x)))
	}
}

// speed reads km/h, else knots.
func (s *sentence) speed(kmh, knots int) {
	if _, ok := s.float(kmh); ok {
		s.number("speed", kmh, 1)
		return
	}
	s.number("speed", knots, knot)
}

// gga: 1 time, 2 to 5 position, 6 quality, 7 satellites, 8 hdop, 9 altitude.
func (s *sentence) gga() {
	if q, ok := s.float(6); ok && q > 0 {
		s.position(2)
		s.number("altitude", 9, 1)
	}
	s.number("fix", 6, 1)
	s.number("satellites", 7, 1)
	s.number("hdop", 8, 1)
}

// rmc: 1 time, 2 status, 3 to 6 position, 7 knots, 8 course.
func (s *sentence) rmc() {
	if s.status(2) {
		s.position(3)
		s.number("speed", 7, knot)
		s.number("course", 8, 1)
	}
}

// gll: 1 to 4 position, 5 time, 6 status.
func (s *sentence) gll() {
	if s.status(6) {
		s.position(1)
	}
}

// status reads A (valid) or V.
func (s *sentence) status(i int) (valid bool) {
	switch s.field(i) {
	case "A":
		s.add("valid", devices.Flag(true))
		return true
	case "V":
		s.add("valid", devices.Flag(false))
	}
	return false
}

// position reads four fields: ddmm.mmmm, N or S, dddmm.mmmm, E or W. Half a position is none.
func (s *sentence) position(i int) {
	lat, ok := s.angle(i, "N", "S", 90)
	lon, ok2 := s.angle(i+2, "E", "W", 180)
	if ok && ok2 {
		s.add("latitude", devices.Num(lat))
		s.add("longitude", devices.Num(lon))
	}
}

func (s *sentence) angle(i int, plus, minus string, most float64) (float64, bool) {
	x, ok := s.float(i)
	if !ok || x < 0 || s.field(i+1) != plus && s.field(i+1) != minus {
		return 0, false
	}
	degrees := math.Floor(x / 100)
	minutes := x - 100*degrees
	x = math.Round((degrees+minutes/60)*1e7) / 1e7 // a centimetre
	if s.field(i+1) == minus {
		x = -x
	}
	return x, minutes < 60 && math.Abs(x) <= most
}
