// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"edged/bridge"
	"edged/bridge/bus"
	"edged/bridge/port"
	"edged/devices"
)

func busFields(c *bus.Config) []field {
	return append([]field{
		{"port", text(&c.Port)},
		{"serial", text(&c.Serial)},
		{"rs485", choice(&c.RS485, []string{string(port.RS485Auto), string(port.RS485Kernel), string(port.RS485RTS), string(port.RS485Off)})},
		{"listen", boolean(&c.Listen)},
	}, later("driver", "adopt")...)
}

// buses reads [bus.NAME] for every name.
func (v value) buses(to *[]bus.Config) {
	if !v.node.isTable() {
		v.wrong("a table", "write [bus.NAME] for each bus")
		return
	}
	for _, name := range v.node.names {
		kid := v.kid(name)
		if !kid.node.isTable() {
			kid.wrong("a table", "write [bus.NAME] for each bus")
			continue
		}
		kid.id(name, kid.node.key, deviceLetters, maxID, "a-z, 0-9, _ and -")
		c := bus.Config{Name: name, RS485: port.RS485Auto}
		if kid.table("["+kid.key+"]", busFields(&c)) {
			kid.need("port", `such as port = "/dev/ttyUSB0"`)
			kid.portOnce(c.Port, "port")
			*to = append(*to, c)
		}
	}
}

// onBus checks a device that shares a line.
func (v value) onBus(c *bridge.Config, drv *devices.Driver) {
	for _, key := range []string{"port", "serial"} {
		if v.has(key) {
			kid := v.kid(key)
			kid.report(kid.node, kid.node.key, BadValue, kid.key, "belongs to the bus that the device is on", "write it into [bus."+c.Bus+"]")
		}
	}
	b, ok := v.busNamed(c.Bus)
	if !ok {
		if !v.told[join(v.key, "bus")] {
			v.kid("bus").bad(fmt.Sprintf("there is no [bus.%s]", c.Bus), suggest(c.Bus, v.busNames()))
		}
		return
	}
	if drv == nil {
		return
	}
	if problem := bridge.Unshareable(drv, c.Options, b.Listen); problem != "" {
		v.kid("bus").bad(problem, "")
		return
	}
	v.need("address", "the device's address on the line, such as address = 3")
	v.addressOnce(c)
}

// addressOnce reports an address that an earlier device of the bus has.
func (v value) addressOnce(c *bridge.Config) {
	n := v.node.kids["address"]
	if n == nil || c.Disabled {
		return
	}
	place := c.Bus + " " + fmt.Sprint(n.raw)
	first, ok := v.ports[place]
	if !ok {
		v.ports[place] = n
		return
	}
	line, column := first.src.position(first.value.from)
	v.report(n, n.value, PortTwice, join(v.key, "address"),
		fmt.Sprintf("is already the address of another device on this bus, %s:%d:%d", first.src.name, line, column), "give each its own")
}

// busNames are those that the configuration has.
func (c *check) busNames() []string {
	var names []string
	for _, b := range c.lines {
		names = append(names, b.Name)
	}
	return names
}

func (c *check) busNamed(name string) (bus.Config, bool) {
	for _, b := range c.lines {
		if b.Name == name {
			return b, true
		}
	}
	return bus.Config{}, false
}

// speeds gives each bus without `serial` the setting of its devices' drivers, where these agree.
func (cfg *Config) speeds(v value) {
	for i := range cfg.Buses {
		b := &cfg.Buses[i]
		if b.Serial != "" || !port.Serial(b.Port) {
			continue
		}
		first := ""
		for _, d := range cfg.Devices {
			drv := v.lookup(d.Driver)
			switch {
			case d.Bus != b.Name || drv == nil || drv.Serial == "" || drv.Serial == b.Serial:
			case b.Serial == "":
				b.Serial, first = drv.Serial, d.Name
			default:
				table := v.kid("bus").kid(b.Name)
				table.report(table.node, table.node.value, Missing, join(table.key, "serial"),
					fmt.Sprintf("is missing: %s usually speaks %q, %s %q", first, b.Serial, d.Name, drv.Serial), "set all to one rate, and write it here")
				return
			}
		}
	}
}
