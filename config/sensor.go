// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"

	"edged/bridge"
	"edged/devices"
)

// sensor reads [device.NAME] of a device that sends no bytes to a port. What it is on, a bus, a line or nothing, its
// driver's options tell.
func (v value) sensor(c bridge.Config, drv *devices.Driver) bridge.Config {
	fields := sensorFields(&c, nil)
	c.Options = v.options(drv, fields)
	fields = sensorFields(&c, v.readingNames(drv, c.Options))
	for _, o := range drv.Options {
		fields = append(fields, field{o.Name, option(o.Kind)})
	}
	v.table("["+v.key+"]", fields)
	for _, o := range drv.Options {
		if o.Required {
			v.need(o.Name, o.Text)
		}
	}
	drv.Validate(c.Options, v.reported)
	return c
}

// sensorFields are the keys that every such device has. The only port is the one that pretends the device.
func sensorFields(c *bridge.Config, known []string) []field {
	fields := slices.DeleteFunc(deviceFields(c, known), func(f field) bool {
		return slices.Contains([]string{"port", "serial", "bus", "address", "gpio"}, f.name)
	})
	return append(fields, field{"port", func(v value) {
		switch s, ok := v.text(); {
		case !ok:
		case s != "sim":
			v.bad(fmt.Sprintf("driver %q has no port %q", c.Driver, s), `leave it out; "sim" pretends the device`)
		default:
			c.Port = s
		}
	}})
}

// placeOf names what a device is on, and the key that says so; "": nothing that two could claim.
func (v value) placeOf(c bridge.Config) (place, key string) {
	drv := v.lookup(c.Driver)
	if c.Port != "" || drv == nil || drv.Sensor == nil || drv.Sensor.Place == nil {
		return c.Port, "port"
	}
	for _, key = range []string{"gpio", "address", "bus"} {
		if v.has(key) {
			break
		}
	}
	return drv.Sensor.Place(c.Options), key
}
