// SPDX-License-Identifier: Apache-2.0

package iio

import (
	"strings"

	"edged/devices"
)

// quantity is a kind of value, with the unit of its reading. factor leads there from the kernel's unit
// (Documentation/ABI/testing/sysfs-bus-iio).
type quantity struct {
	kernel string // how the kernel's names begin
	name   string // how the readings' do
	unit   string
	class  string
	factor float64
}

// quantities are those that are known. What begins with a longer name stands first.
var quantities = [...]quantity{
	{"temp", "temperature", "°C", "temperature", 0.001},
	{"humidityrelative", "humidity", "%", "humidity", 0.001},
	{"pressure", "pressure", "hPa", "atmospheric_pressure", 10}, // from kPa
	{"voltage", "voltage", "V", "voltage", 0.001},
	{"altvoltage", "altvoltage", "V", "voltage", 0.001},
	{"current", "current", "A", "current", 0.001},
	{"power", "power", "W", "power", 0.001},
	{"energy", "energy", "J", "energy", 1},
	{"illuminance", "illuminance", "lx", "illuminance", 1},
	{"intensity", "intensity", "", "", 1},
	{"uvindex", "uv_index", "", "", 1},
	{"proximity", "proximity", "", "", 1},
	{"distance", "distance", "m", "distance", 1},
	{"resistance", "resistance", "Ω", "", 1},
	{"capacitance", "capacitance", "nF", "", 1},
	{"concentration_co2", "co2", "ppm", "carbon_dioxide", 1e4}, // from %
	{"concentration_voc", "voc", "ppm", "volatile_organic_compounds_parts", 1e4},
	{"concentration", "concentration", "%", "", 1},
	{"massconcentration_pm1", "pm1", "µg/m³", "pm1", 1},
	{"massconcentration_pm2p5", "pm25", "µg/m³", "pm25", 1},
	{"massconcentration_pm4", "pm4", "µg/m³", "pm4", 1},
	{"massconcentration_pm10", "pm10", "µg/m³", "pm10", 1},
	{"ph", "ph", "", "", 1},
	{"electricalconductivity", "conductivity", "S/m", "", 1},
	{"weight", "weight", "kg", "weight", 1},
	{"count", "count", "", "", 1},
	{"accel", "accel", "m/s²", "", 1},
	{"anglvel", "anglvel", "rad/s", "", 1},
	{"angl", "angle", "rad", "", 1},
	{"magn", "magn", "G", "", 1},
	{"velocity", "velocity", "m/s", "speed", 1},
	{"incli", "inclination", "°", "", 1},
	{"rot", "rotation", "", "", 1},
}

// reading gives the name of the reading for one of the kernel's, such as voltage_0_1 for voltage0-voltage1, and its kind;
// nil: it is not known.
func reading(stem string) (string, *quantity) {
	var best *quantity
	rest := ""
	for i := range quantities {
		q := quantities[i]
		after, ok := strings.CutPrefix(stem, q.kernel)
		if !ok || after != "" && after[0] != '_' && after[0] != '-' && (after[0] < '0' || after[0] > '9') {
			continue
		}
		if q.kernel == "massconcentration_pm1" && after != "" {
			continue // pm10
		}
		if best == nil || len(q.kernel) > len(best.kernel) {
			best, rest = &q, after
		}
	}
	if best == nil {
		return "", nil
	}
	name := best.name
	for _, word := range strings.FieldsFunc(rest, func(r rune) bool { return r == '_' || r == '-' }) {
		if word = strings.TrimPrefix(word, best.kernel); word != "" {
			name += "_" + devices.CleanName(word)
		}
	}
	return name, best
}

// tell describes a reading by its name.
func tell(name string) devices.Info {
	info := devices.Info{Name: name}
	length := 0
	for _, q := range quantities {
		if (name == q.name || strings.HasPrefix(name, q.name+"_")) && len(q.name) > length {
			info.Unit, info.Class, info.Kind, length = q.unit, q.class, devices.Number, len(q.name)
		}
	}
	return info
}

// kindOf is the beginning of a name of the kernel's, up to its number or modifier.
func kindOf(stem string) string {
	return stem[:strings.IndexFunc(stem+"_", func(r rune) bool { return r < 'a' || r > 'z' })]
}

// withoutDigits is what several values of one kind have in common: voltage-voltage for voltage0-voltage1, temp_ambient for
// temp1_ambient.
func withoutDigits(stem string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, stem)
}
