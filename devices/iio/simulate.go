// SPDX-License-Identifier: Apache-2.0

package iio

import (
	"fmt"

	"edged/devices"
)

// pretend is a DHT22.
func pretend(o devices.Options, seed uint64, m devices.Machine) devices.Machine {
	w := &devices.Wander{Seed: seed}
	const dir = directory + "/iio:device0/"
	value := func(low, high float64, i int) devices.PretendedFile {
		return devices.PretendedFile{Read: func() string {
			w.N++
			return fmt.Sprintf("%.0f00\n", w.Between(low, high, i)/100) // tenths of its unit
		}}
	}
	m.Files = devices.PretendedFiles{
		dir + "name":                      {Read: func() string { return "dht11\n" }},
		dir + "label":                     {Read: func() string { return o.Text("address", "dht11") + "\n" }},
		dir + "in_temp_input":             value(18e3, 24e3, 0),
		dir + "in_humidityrelative_input": value(35e3, 60e3, 1),
	}
	return m
}
