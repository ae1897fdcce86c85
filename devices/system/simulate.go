// SPDX-License-Identifier: Apache-2.0

package system

import (
	"fmt"

	"edged/devices"
)

// pretend is a Raspberry Pi that idles.
func pretend(o devices.Options, seed uint64, m devices.Machine) devices.Machine {
	w := &devices.Wander{Seed: seed}
	var x options
	if err := o.Decode(&x); err != nil { // Open says so
		return m
	}
	begun := m.Now()
	var ticks, busy float64
	say := func(format string, args func() []any) devices.PretendedFile {
		return devices.PretendedFile{Read: func() string { return fmt.Sprintf(format, args()...) }}
	}
	const memory = 948280 // KiB
	m.Files = devices.PretendedFiles{
		fmt.Sprintf("sys/class/thermal/thermal_zone%d/temp", x.Zone): say("%.0f\n", func() []any {
			w.N++
			return []any{w.Between(42e3, 58e3, 0)}
		}),
		"proc/stat": say("cpu  %.0f 0 0 %.0f 0 0 0 0 0 0\n", func() []any {
			ticks += 12000
			busy += w.Between(200, 3000, 1)
			return []any{busy, ticks - busy}
		}),
		"proc/loadavg": say("%.2f 0.10 0.05 1/123 4567\n", func() []any { return []any{w.Between(0.02, 0.6, 2)} }),
		"proc/uptime":  say("%.2f 0.00\n", func() []any { return []any{86400 + m.Now().Sub(begun).Seconds()} }),
		"proc/meminfo": say("MemTotal: %8d kB\nMemFree: 100000 kB\nMemAvailable: %8.0f kB\n", func() []any {
			return []any{memory, w.Between(500e3, 700e3, 3)}
		}),
		"sys/devices/platform/soc/soc:firmware/get_throttled": say("0x%x\n", func() []any { return []any{0} }),
	}
	m.Usage = func() (free, total uint64, err error) { return 21 << 30, 29 << 30, nil }
	return m
}
