// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"math"
	"time"

	"edged/bridge/port"
)

// Validate reports what is wrong with a device's own keys. key is relative to its table, such as "serial" or
// "reading.temperature.scale". What the driver says about its options is not its business.
func (c Config) Validate(report func(key, problem string)) {
	if c.Port != "" {
		if err := port.CheckName(c.Port); err != nil {
			report("port", err.Error())
		}
	}
	if _, err := port.ParseSerial(c.Serial); err != nil {
		report("serial", err.Error())
	}
	if c.KeepAlive < time.Second || c.KeepAlive > math.MaxUint16*time.Second || c.KeepAlive%time.Second != 0 {
		report("keepalive", "must be whole seconds, 1s to 65535s")
	}
	for _, name := range sortedKeys(c.Readings) {
		r := c.Readings[name]
		key := "reading." + name + "."
		if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
			report(key+"min", "is above max")
		}
		if r.Median < 0 || r.Median > 0 && r.Median%2 == 0 {
			report(key+"median", fmt.Sprintf("%d is not odd", r.Median))
		}
		if r.Deadband < 0 {
			report(key+"deadband", "must not be negative")
		}
		for i := 1; i < len(r.Points); i++ {
			if r.Points[i][0] <= r.Points[i-1][0] {
				report(key+"points", "the raw values do not ascend")
				break
			}
		}
	}
}
