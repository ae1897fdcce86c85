// SPDX-License-Identifier: Apache-2.0

// Package catalog knows every driver by its name: those written in Go, and the descriptions in TOML beside this file.
package catalog

import (
	"embed"
	"slices"
	"strings"

	"edged/devices"
	"edged/devices/chip"
	"edged/devices/iio"
	"edged/devices/line"
	"edged/devices/lines"
	"edged/devices/mbus"
	"edged/devices/meter"
	"edged/devices/nmea"
	"edged/devices/pwm"
	"edged/devices/system"
	"edged/devices/vedirect"
	"edged/devices/w1"
)

//go:embed *.toml
var files embed.FS

// written are the drivers that a description can't express.
func written() []*devices.Driver {
	return []*devices.Driver{
		daly(), line.Driver(), mbus.Driver(), meter.D0(), meter.DSMR(), meter.SML(), nmea.Driver(), vedirect.Driver(),
		lines.In(), lines.Out(), lines.Pulse(), pwm.Driver(), system.Driver(), w1.Driver(), iio.Driver(),
		chip.ADS1015(), chip.ADS1115(), chip.AHT20(), chip.BME280(), chip.BMP280(), chip.INA219(), chip.MCP23017(), chip.PCF8574(),
		chip.SCD4x(), chip.SHT3x(), chip.SHT4x(),
	}
}

// described are the descriptions NAME.toml.
func described() []string {
	return []string{
		"dtsu666", "em24", "epever", "finder-7m24", "finder-7m38", "hpma115", "jbd", "mhz19", "or-we-514", "or-we-516",
		"pms5003", "pms5003t", "pzem004t", "pzem016", "rdm6300", "relay-4", "relay-8", "renogy", "renogy-battery",
		"sdm120", "sdm220", "sdm230", "sdm630", "sdm72d", "sds011", "sds198", "senseair-s8", "sps30", "tfmini", "xy-md02",
		"zh03b",
	}
}

// All gives every driver, ordered by name.
func All() []*devices.Driver {
	all := written()
	for _, name := range described() {
		all = append(all, fromFile(name))
	}
	slices.SortFunc(all, devices.ByName)
	return all
}

// Names gives the names of all drivers in order.
func Names() []string {
	names := described()
	for _, d := range written() {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

// Get finds a driver by its name.
func Get(name string) (*devices.Driver, bool) {
	for _, d := range written() {
		if d.Name == name {
			return d, true
		}
	}
	if slices.Contains(described(), name) {
		return fromFile(name), true
	}
	return nil, false
}

// Description gives the file of a driver that is one; a user may start a variant with it.
func Description(name string) (text []byte, ok bool) {
	text, err := files.ReadFile(name + ".toml")
	return text, err == nil
}

// fromFile makes the driver of a description. They are part of the program and each is tested, so that a fault in one
// is a defect of the program.
func fromFile(name string) *devices.Driver {
	text, _ := Description(name)
	d, _, err := ParseDescription(name+".toml", text)
	if err != nil {
		panic(strings.TrimSpace(err.Error()))
	}
	return d
}
