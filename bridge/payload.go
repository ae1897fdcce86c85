// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"encoding/json"
	"strconv"
	"time"

	"edged/devices"
)

// appendData writes one message of data: time, seq, the readings, and the clock's uptime where it is not believed.
// uptime is that of the measurement; negative: the clock is believed.
func appendData(b []byte, at time.Time, seq uint64, rs []devices.Reading, uptime time.Duration) []byte {
	b = append(b, `{"time":"`...)
	b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	if uptime >= 0 {
		b = append(b, `,"clock":"unsynced","uptime_ms":`...)
		b = strconv.AppendInt(b, uptime.Milliseconds(), 10)
	}
	if len(rs) > 0 {
		b = append(b, ',')
		b = append(b, devices.AppendObject(nil, rs)[1:]...)
		return b
	}
	return append(b, '}')
}

// readingMeta is a reading in meta.
type readingMeta struct {
	Unit  string   `json:"unit,omitempty"`
	Class string   `json:"class,omitempty"`
	Min   *float64 `json:"min,omitempty"`
	Max   *float64 `json:"max,omitempty"`
}

// commandMeta is a command in meta.
type commandMeta struct {
	Kind   string   `json:"kind"`
	Values []string `json:"values,omitempty"`
	Unit   string   `json:"unit,omitempty"`
	Min    *float64 `json:"min,omitempty"`
	Max    *float64 `json:"max,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// meta writes what is told of the device itself.
func (b *Bridge) meta() []byte {
	m := struct {
		Driver     string                 `json:"driver"`
		Title      string                 `json:"title"`
		Model      string                 `json:"model"`
		Tags       map[string]string      `json:"tags"`
		StaleAfter string                 `json:"stale_after"` // "30s", "never", or "auto": from the device's own pace
		Readings   map[string]readingMeta `json:"readings"`
		Commands   map[string]commandMeta `json:"commands"`
	}{
		Driver: b.drv.Name, Title: b.drv.Title, Model: b.drv.Model, Tags: b.cfg.Tags,
		Readings: map[string]readingMeta{}, Commands: map[string]commandMeta{},
	}
	if m.Tags == nil {
		m.Tags = map[string]string{}
	}
	switch w := newWatchdog(b.cfg, b.drv); {
	case w.never:
		m.StaleAfter = "never"
	case w.fixed > 0:
		m.StaleAfter = strconv.FormatFloat(w.fixed.Seconds(), 'f', -1, 64) + "s"
	default:
		m.StaleAfter = "auto"
	}
	for _, r := range b.known() {
		m.Readings[r.Name] = readingMeta{r.Unit, r.Class, r.Min, r.Max}
	}
	for _, c := range b.drv.Commands {
		m.Commands[c.Name] = commandMeta{c.Kind, c.Values, c.Unit, c.Min, c.Max, c.Text}
	}
	out, err := json.Marshal(m)
	if err != nil { // only NaN or infinity, which no configuration and no driver holds
		b.deps.Log.Error("meta cannot be written", "err", err)
		return []byte("{}")
	}
	return out
}

// shown is a reading as it is announced: under its name in data, with unit and class as configured.
type shown struct {
	devices.Info
	kind      devices.Kind // None: not seen yet
	precision *int
	driven    bool // it is in every message
}

// known lists the readings of the device as far as they are known: those of the driver's table, those that the
// configuration names, and those that came.
func (b *Bridge) known() []shown {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []shown
	index := map[string]bool{}
	add := func(i devices.Info, driven bool) {
		r := b.cfg.Readings[i.Name]
		if r.Skip || index[i.Name] {
			return
		}
		index[i.Name] = true
		s := shown{Info: i, kind: cmp.Or(b.learned[i.Name], i.Kind), precision: r.Precision, driven: driven}
		s.Name = dataName(i.Name, r)
		if r.Unit != "" {
			s.Unit = r.Unit
		}
		if r.Class != "" {
			s.Class = r.Class
		}
		if r.Scale != nil || r.Offset != 0 || r.Points != nil { // the sensor's own bounds are of its raw value
			s.Min, s.Max = nil, nil
		}
		if r.Min != nil {
			s.Min = r.Min
		}
		if r.Max != nil {
			s.Max = r.Max
		}
		all = append(all, s)
	}
	for _, i := range b.drv.ReadingsFor(b.cfg.Options) {
		add(i, b.drv.Readings != nil && !i.Optional)
	}
	tell := func(name string) devices.Info { return devices.Info{Name: name} }
	if b.drv.Sensor != nil && b.drv.Sensor.Tell != nil {
		tell = b.drv.Sensor.Tell
	}
	for _, name := range sortedKeys(b.cfg.Readings) {
		if b.drv.Readings == nil {
			add(tell(name), false)
		}
	}
	for _, name := range sortedKeys(b.learned) {
		add(tell(name), false)
	}
	return all
}

// learn notes the kinds of values that came, and says whether one is new.
func (b *Bridge) learn(rs []devices.Reading) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := false
	for _, r := range rs {
		if k, ok := b.learned[r.Name]; !ok && len(b.learned) < maxNames || ok && k != r.Value.Kind() {
			b.learned[r.Name] = r.Value.Kind()
			fresh = true
		}
	}
	return fresh
}
