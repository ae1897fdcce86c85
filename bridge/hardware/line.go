// SPDX-License-Identifier: Apache-2.0

package hardware

import (
	"edged/bridge/gpio"
	"edged/devices"
)

// takeLine gives a function that takes GPIO lines.
func takeLine(dev string) func(devices.LineConfig) (devices.Line, error) {
	chips := gpio.New(dev)
	return func(c devices.LineConfig) (devices.Line, error) {
		l, err := chips.Line(c)
		if err != nil {
			return nil, err // and not a Line that is nil
		}
		return l, nil
	}
}
