// SPDX-License-Identifier: Apache-2.0

// Package meter reads electricity meters: telegrams of the P1 port (DSMR), data of IEC 62056-21 (D0) and SML. All name
// what they measure by OBIS codes (IEC 62056-61), of which this package knows what a user wants to see.
package meter

import (
	"strings"

	"edged/devices"
)

// object is one OBIS code and its reading.
type object struct {
	devices.Info
	code string // C.D.E of electricity, 1-b
}

// objects are the codes that give readings, in the order that they are listed in.
func objects() []object {
	var all []object
	add := func(code, name, unit, class, text string, total bool) {
		all = append(all, object{devices.Info{Name: name, Unit: unit, Class: class, Total: total, Text: text, Optional: true}, code})
	}
	energy := func(c, name, unit, class, text string, tariffs int) {
		add(c+".8.0", name, unit, class, text, true)
		for t := 1; t <= tariffs; t++ {
			n := string(rune('0' + t))
			add(c+".8."+n, name+"_t"+n, unit, class, text+", tariff "+n, true)
		}
	}
	phases := func(codes [3]string, tail, name, unit, class, text string) {
		for i, c := range codes {
			n := string(rune('1' + i))
			add(c+tail, name+"_l"+n, unit, class, text+", phase "+n, false)
		}
	}
	energy("1", "energy_import", "kWh", "energy", "taken from the grid", 4)
	energy("2", "energy_export", "kWh", "energy", "given to the grid", 4)
	add("16.7.0", "power", "W", "power", "taken from the grid; negative: given", false)
	add("1.7.0", "power_import", "W", "power", "taken from the grid", false)
	add("2.7.0", "power_export", "W", "power", "given to the grid", false)
	add("15.7.0", "power_absolute", "W", "power", "taken or given", false)
	phases([3]string{"21", "41", "61"}, ".7.0", "power_import", "W", "power", "taken from the grid")
	phases([3]string{"22", "42", "62"}, ".7.0", "power_export", "W", "power", "given to the grid")
	phases([3]string{"36", "56", "76"}, ".7.0", "power", "W", "power", "taken; negative: given")
	phases([3]string{"32", "52", "72"}, ".7.0", "voltage", "V", "voltage", "voltage")
	phases([3]string{"31", "51", "71"}, ".7.0", "current", "A", "current", "current")
	add("14.7.0", "frequency", "Hz", "frequency", "of the grid", false)
	add("13.7.0", "power_factor", "", "", "of all phases", false)
	phases([3]string{"33", "53", "73"}, ".7.0", "power_factor", "", "", "power factor")
	energy("3", "reactive_energy_import", "kvarh", "", "taken from the grid", 2)
	energy("4", "reactive_energy_export", "kvarh", "", "given to the grid", 2)
	add("3.7.0", "reactive_power_import", "var", "reactive_power", "taken from the grid", false)
	add("4.7.0", "reactive_power_export", "var", "reactive_power", "given to the grid", false)
	add("1.4.0", "power_import_average", "W", "power", "of the present quarter of an hour", false)
	add("1.6.0", "power_import_peak", "W", "power", "highest quarter of an hour of this month", false)
	add("17.0.0", "power_limit", "W", "power", "above which it switches off", false)
	add("31.4.0", "current_limit", "A", "current", "above which it switches off", false)
	return all
}

// others are readings of meters that are connected to an electricity meter.
func others() []devices.Info {
	return []devices.Info{
		{Name: "gas_volume", Unit: "m³", Class: "gas", Total: true, Text: "of the gas meter at it", Optional: true},
		{Name: "water_volume", Unit: "m³", Class: "water", Total: true, Text: "of the water meter at it", Optional: true},
		{Name: "heat_energy", Unit: "GJ", Class: "energy", Total: true, Text: "of the heat meter at it", Optional: true},
	}
}

// infos are the readings that a driver lists: those whose names it knows.
func infos(except ...string) []devices.Info {
	var all []devices.Info
	for _, o := range objects() {
		if !has(except, o.Name) {
			all = append(all, o.Info)
		}
	}
	return all
}

func has(prefixes []string, name string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// book finds objects by their code.
type book map[string]object

func newBook() book {
	b := book{}
	for _, o := range objects() {
		b[o.code] = o
	}
	return b
}

// reading gives what a number with its unit says of an object; ok is false when the unit is not one of its own.
func (o object) reading(x float64, unit string) (r devices.Reading, ok bool) {
	scale, base := 1.0, unit
	for _, p := range []struct {
		prefix string
		scale  float64
	}{{"k", 1e3}, {"M", 1e6}} {
		if rest, cut := strings.CutPrefix(unit, p.prefix); cut {
			scale, base = p.scale, rest
		}
	}
	want, own := o.Unit, 1.0
	if rest, cut := strings.CutPrefix(want, "k"); cut {
		want, own = rest, 1e3
	}
	switch {
	case o.Name == "power_limit" && base == "A":
		r.Name = "current_limit"
	case base == want:
		r.Name = o.Name
	default:
		return r, false
	}
	r.Value = devices.Num(devices.NewLinear(scale/own, 0).Apply(x))
	return r, true
}

// put appends a reading unless one of its name is there.
func put(to []devices.Reading, r devices.Reading) []devices.Reading {
	for _, x := range to {
		if x.Name == r.Name {
			return to
		}
	}
	return append(to, r)
}
