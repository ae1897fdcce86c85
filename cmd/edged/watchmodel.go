// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	sparkWidth = 30               // values in a sparkline
	rateOver   = 10 * time.Second // in which messages are counted
	reserved   = " time seq clock uptime_ms "
)

// watched is what is known of the devices that are watched.
type watched struct {
	devices map[string]*watchedDevice // by gateway/device
	several bool                      // gateways, so that each is named
}

// watchedDevice is one of them.
type watchedDevice struct {
	gateway, name string
	status        string // "online", "offline" or "" while unknown
	reason        string
	seen          time.Time
	arrived       []time.Time // of the newest messages
	readings      map[string]*watchedReading
	units         map[string]string
}

// watchedReading is one of its readings.
type watchedReading struct {
	value    string
	history  []float64 // newest last
	min, max float64
}

// takes takes a message; it tells whether it was a reading that has just been measured.
func (w *watched) take(topic string, payload []byte, retained bool, now time.Time) (d *watchedDevice, live bool) {
	levels := strings.Split(topic, "/")
	if len(levels) != 5 || levels[0] != "edged" || levels[2] != "dev" {
		return nil, false
	}
	d = w.device(levels[1], levels[3])
	switch levels[4] {
	case "status":
		d.status = string(payload)
	case "health":
		var h struct{ Code, Reason string }
		if json.Unmarshal(payload, &h) == nil {
			d.reason = strings.TrimSpace(h.Reason + " " + h.Code)
		}
	case "meta":
		var m struct {
			Readings map[string]struct{ Unit string }
		}
		if json.Unmarshal(payload, &m) == nil {
			d.units = map[string]string{}
			for name, r := range m.Readings {
				d.units[name] = r.Unit
			}
		}
	case "data":
		return d, d.data(payload, retained, now)
	}
	return d, false
}

func (w *watched) device(gateway, name string) *watchedDevice {
	key := gateway + "/" + name
	d := w.devices[key]
	if d == nil {
		d = &watchedDevice{gateway: gateway, name: name, readings: map[string]*watchedReading{}}
		for _, other := range w.devices {
			w.several = w.several || other.gateway != gateway
		}
		w.devices[key] = d
	}
	return d
}

// data takes a message of readings.
func (d *watchedDevice) data(payload []byte, retained bool, now time.Time) (live bool) {
	var values map[string]any
	if json.Unmarshal(payload, &values) != nil {
		return false
	}
	if text, ok := values["time"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			d.seen = at
		}
	}
	if !retained {
		d.arrived = append(d.arrived, now)
		d.arrived = slices.DeleteFunc(d.arrived, func(t time.Time) bool { return now.Sub(t) > rateOver })
	}
	for name, v := range values {
		if strings.Contains(reserved, " "+name+" ") {
			continue
		}
		r := d.readings[name]
		if r == nil {
			r = &watchedReading{min: math.Inf(1), max: math.Inf(-1)}
			d.readings[name] = r
		}
		switch v := v.(type) {
		case float64:
			r.value = strconv.FormatFloat(v, 'f', -1, 64)
			r.history = append(r.history, v)
			r.history = r.history[max(0, len(r.history)-sparkWidth):]
			r.min, r.max = min(r.min, v), max(r.max, v)
		default:
			r.value = fmt.Sprint(v)
		}
	}
	return !retained
}

// rate is how many messages come in a second.
func (d *watchedDevice) rate(now time.Time) float64 {
	n := 0
	for _, t := range d.arrived {
		if now.Sub(t) <= rateOver {
			n++
		}
	}
	return float64(n) / rateOver.Seconds()
}

func (d *watchedDevice) withUnit(name, value string) string {
	return strings.TrimSpace(value + " " + d.units[name])
}

// line is a message in one line, for whom no screen is drawn.
func (d *watchedDevice) line(several bool) string {
	parts := []string{d.seen.Local().Format("15:04:05.000"), d.title(several)}
	for _, name := range slices.Sorted(maps.Keys(d.readings)) {
		parts = append(parts, name+" "+d.withUnit(name, d.readings[name].value))
	}
	return printable(strings.Join(parts, "  "))
}

func (d *watchedDevice) title(several bool) string {
	if several {
		return d.gateway + "/" + d.name
	}
	return d.name
}

// sparkline draws values between the least and the greatest of them.
func sparkline(values []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	if len(values) == 0 {
		return ""
	}
	lo, hi := slices.Min(values), slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		i := len(levels) / 2
		if hi > lo {
			i = int(math.Round((v - lo) / (hi - lo) * float64(len(levels)-1)))
		}
		b.WriteRune(levels[i])
	}
	return b.String()
}

// printable takes out what a terminal might take for a command.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
