// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Bus is a line that several devices share.
type Bus struct {
	Name        string
	Open        bool
	Utilisation float64 // 0 to 1, of the last minute
	Stray       uint64  // bytes in nobody's turn
}

// Line is how a device fares on such a line.
type Line struct {
	Requests, Unanswered uint64
	ErrorRate            float64 // 0 to 1, of the last requests
	ReplyP95             float64 // seconds; 0: no answer yet
	Suspended            bool
}

// busFamilies have a sample for each bus, or for each device on one.
func busFamilies() []family {
	of := func(name, help string, kind prometheus.ValueType, value func(*Bus) float64) family {
		return family{name, help, kind, []string{"bus"}, func(f *Figures, put put) {
			for i := range f.Buses {
				put(value(&f.Buses[i]), f.Buses[i].Name)
			}
		}}
	}
	on := func(name, help string, kind prometheus.ValueType, value func(*Line) float64) family {
		return family{name, help, kind, []string{"device"}, func(f *Figures, put put) {
			for i := range f.Devices {
				if l := f.Devices[i].Line; l != nil {
					put(value(l), f.Devices[i].Name)
				}
			}
		}}
	}
	return []family{
		of("edged_bus_open", "Whether the port of the line is open.", gauge, func(b *Bus) float64 { return truth(b.Open) }),
		of("edged_bus_utilisation_ratio", "Share of the last minute in which a device had its turn.", gauge, func(b *Bus) float64 { return b.Utilisation }),
		of("edged_bus_stray_bytes_total", "Bytes that came in no device's turn: late answers, another master, noise.", counter, func(b *Bus) float64 { return float64(b.Stray) }),
		on("edged_device_requests_total", "Requests on a shared line that wanted an answer.", counter, func(l *Line) float64 { return float64(l.Requests) }),
		on("edged_device_unanswered_requests_total", "Those of them that got none in time.", counter, func(l *Line) float64 { return float64(l.Unanswered) }),
		on("edged_device_error_ratio", "Share of the last 128 requests without an answer.", gauge, func(l *Line) float64 { return l.ErrorRate }),
		on("edged_device_reply_seconds", "What 95 of 100 of its last answers did not take longer than, from the request's first byte on.", gauge, func(l *Line) float64 { return l.ReplyP95 }),
		on("edged_device_suspended", "Whether it is asked rarely, since it does not answer.", gauge, func(l *Line) float64 { return truth(l.Suspended) }),
	}
}
