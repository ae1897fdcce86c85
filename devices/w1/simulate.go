// SPDX-License-Identifier: Apache-2.0

package w1

import (
	"fmt"
	"math"

	"edged/devices"
)

// pretend is a DS18B20 in a room.
func pretend(o devices.Options, seed uint64, m devices.Machine) devices.Machine {
	id := o.Text("address", "28-0000000edced")
	w := &devices.Wander{Seed: seed}
	m.Files = devices.PretendedFiles{directory + "/" + id + "/w1_slave": {Read: func() string {
		w.N++
		celsius := w.Between(18, 24, 0)
		x := int16(math.Round(celsius * 16))
		pad := []byte{byte(x), byte(x >> 8), 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10}
		if family(id) == "10" {
			x = int16(math.Round(celsius * 2))
			pad = []byte{byte(x), byte(x >> 8), 0x4b, 0x46, 0xff, 0xff, 0x0c, 0x10}
		}
		pad = append(pad, byte(maxim.Sum(pad)))
		return fmt.Sprintf("% x : crc=%02x YES\n% x t=%d\n", pad, pad[8], pad, int(celsius*1000))
	}}}
	return m
}
