// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"

	"edged/bridge"
	"edged/devices"
)

// device reads [device.NAME].
func (v value) device(name string) bridge.Config {
	c := bridge.Defaults()
	c.Name = name
	drv := v.driver()
	if drv != nil && drv.Sensor != nil {
		return v.sensor(c, drv)
	}
	fields := deviceFields(&c, nil)
	if drv != nil {
		c.Options = v.options(drv, fields)
		fields = deviceFields(&c, v.readingNames(drv, c.Options))
		for _, o := range drv.Options {
			fields = append(fields, field{o.Name, option(o.Kind)})
		}
	} else {
		fields = v.anyOption(fields)
	}
	v.table("["+v.key+"]", fields)
	v.need("driver", `such as driver = "pms5003"`)
	if c.Bus != "" {
		v.onBus(&c, drv)
	} else {
		v.need("port", `such as port = "/dev/ttyUSB0"`)
	}
	if drv == nil {
		return c
	}
	for _, o := range drv.Options {
		if o.Required {
			v.need(o.Name, o.Text)
		}
	}
	drv.Validate(c.Options, v.reported)
	if c.Port == "sim" && drv.Simulate == nil {
		v.kid("port").bad(fmt.Sprintf("driver %q has no simulator", drv.Name), "")
	}
	return c
}

// driver finds the device's driver in the catalogue; nil: there is none, which is reported unless the key is missing or
// no string, which is reported where it is read.
func (v value) driver() *devices.Driver {
	if !v.has("driver") {
		return nil
	}
	name, ok := v.kid("driver").node.raw.(string)
	if !ok {
		return nil
	}
	if drv := v.lookup(name); drv != nil {
		return drv
	}
	v.kid("driver").bad(fmt.Sprintf("there is no driver %q", name), v.nearestDriver(name))
	return nil
}

// lookup asks the catalogue once for each driver, since it reads a description anew each time.
func (c *check) lookup(name string) *devices.Driver {
	drv, ok := c.drivers[name]
	if !ok {
		drv, _ = c.set.Get(name)
		c.drivers[name] = drv
	}
	return drv
}

// nearestDriver says which driver was meant: one that speaks to the product of that name, or one with a similar name.
func (c *check) nearestDriver(name string) string {
	var names []string
	for _, drv := range c.set.All() {
		names = append(names, drv.Name)
		for _, product := range drv.Also {
			if words := strings.Fields(plain(product)); len(words) > 0 && words[len(words)-1] == plain(name) {
				return fmt.Sprintf("did you mean %q?", drv.Name)
			}
		}
	}
	if hint := suggest(name, names); hint != "" {
		return hint
	}
	return "`edged drivers` lists all"
}

// options are the keys of the table that belong to the driver, as TOML gave them.
func (v value) options(drv *devices.Driver, common []field) map[string]any {
	options := map[string]any{}
	for _, o := range drv.Options {
		if _, taken := find(common, o.Name); !taken && v.has(o.Name) {
			options[o.Name] = v.node.kids[o.Name].raw
		}
	}
	return options
}

// option looks at the type of one of the driver's keys; the driver looks at its value.
func option(kind string) func(value) {
	return func(v value) {
		switch kind {
		case devices.KindBool:
			boolean(new(bool))(v)
		case devices.KindNumber:
			v.number()
		default:
			v.text()
		}
	}
}

// readingNames are those that the driver has with these options; nil: that shows only as they come.
func (v value) readingNames(drv *devices.Driver, options map[string]any) []string {
	faulty := false
	drv.Validate(options, func(string, string) { faulty = true })
	if faulty {
		return nil
	}
	var names []string
	for _, r := range drv.ReadingsFor(options) {
		names = append(names, r.Name)
	}
	return names
}

// anyOption lets every key in that is not a misspelt common one, since without a driver nobody knows its options.
func (v value) anyOption(fields []field) []field {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	for _, name := range v.node.names {
		if suggest(name, names) == "" {
			fields = append(fields, field{name, func(value) {}})
		}
	}
	return fields
}
