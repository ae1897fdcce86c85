// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path"
	"strings"
	"time"

	"edged/bridge"
	"edged/bridge/port"
)

// never is bridge.Config.StaleAfter of a device that is not expected to speak.
const never = -1

// deviceFields are the keys that every device has.
func deviceFields(c *bridge.Config, known []string) []field {
	return []field{
		{"driver", text(&c.Driver)},
		{"port", text(&c.Port)},
		{"serial", text(&c.Serial)},
		{"bus", text(&c.Bus)},
		{"every", duration(&c.Every, time.Millisecond, century)},
		{"stale_after", func(v value) {
			if v.node.raw == "never" {
				c.StaleAfter = never
				return
			}
			duration(&c.StaleAfter, time.Millisecond, century)(v)
		}},
		{"keepalive", seconds(&c.KeepAlive)},
		{"publish", publish(&c.Publish)},
		{"retain", boolean(&c.Retain)},
		{"tags", tags(&c.Tags)},
		{"disabled", boolean(&c.Disabled)},
		{"reading", readings(&c.Readings, known)},
	}
}

func publish(to *bridge.Publish) func(value) {
	return func(v value) {
		const hint = `"always", "on-change", or on a change and at least each "5m"`
		s, ok := v.text()
		switch {
		case !ok:
		case s == "always":
			*to = bridge.Publish{}
		case s == "on-change":
			*to = bridge.Publish{OnChange: true}
		default:
			d, err := ParseDuration(s)
			if err != nil || d < time.Second {
				v.bad(fmt.Sprintf("%q is not known", s), hint)
				return
			}
			*to = bridge.Publish{OnChange: true, Heartbeat: d}
		}
	}
}

// devices reads [device.NAME] for every name.
func (v value) devices(to *[]bridge.Config) {
	if !v.node.isTable() {
		v.wrong("a table", "write [device.NAME] for each device")
		return
	}
	for _, name := range v.node.names {
		kid := v.kid(name)
		if !kid.node.isTable() {
			kid.wrong("a table", "write [device.NAME] for each device")
			continue
		}
		kid.id(name, kid.node.key, deviceLetters, maxID, "a-z, 0-9, _ and -")
		c := kid.device(name)
		if !c.Disabled {
			kid.portOnce(kid.placeOf(c))
		}
		*to = append(*to, c)
	}
}

// portOnce reports a port that an earlier device or bus uses.
func (v value) portOnce(named, key string) {
	name, n := named, v.node.kids[key]
	if n == nil { // the driver's default
		key, n = "driver", v.node.kids["driver"]
	}
	if strings.HasPrefix(name, "/") {
		name = path.Clean(name)
	}
	if name == "" || port.Shared(name) {
		return
	}
	first, ok := v.ports[strings.ToLower(name)]
	if !ok {
		v.ports[strings.ToLower(name)] = n
		return
	}
	line, column := first.src.position(first.value.from)
	v.report(n, n.value, PortTwice, join(v.key, key),
		fmt.Sprintf("%q is already the port of another device or bus, %s:%d:%d", named, first.src.name, line, column),
		"give each its own port, or set disabled = true on one")
}
