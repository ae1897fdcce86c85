// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/catalog"
)

// subject is a driver with options, and frames (or lines) of its device that give one sample each.
type subject struct {
	name    string
	driver  *devices.Driver
	options devices.Options
	frames  [][]byte
}

// lineOptions are the ways in which the driver line is tried.
func lineOptions() map[string]devices.Options {
	return map[string]devices.Options{
		"line template":   {"format": "template", "parse": "T={temperature},H={humidity}"},
		"line json":       {"format": "json"},
		"line csv":        {"format": "csv", "parse": "temperature,,humidity", "separator": ";"},
		"line csv header": {"format": "csv"},
		"line regex":      {"format": "regex", "parse": `^(?P<state>[SD])\s*(?P<weight>[-+ ]?\d+\.\d+)\s*kg$`},
		"line kv":         {"format": "kv"},
	}
}

// subjects gives the whole catalogue, with frames from the known answers, the descriptions' examples and tests, and
// the simulators.
func subjects(t testing.TB) []subject {
	t.Helper()
	var all []subject
	for _, d := range catalog.All() {
		if onBus(d) || d.Sensor != nil { // asked_test.go and sensor_test.go try these
			continue
		}
		if d.Name == "line" {
			for name, o := range lineOptions() {
				all = append(all, subject{name: name, driver: d, options: o})
			}
			continue
		}
		all = append(all, subject{name: d.Name, driver: d, options: devices.Options{}})
	}
	vectors := loadVectors(t)
	for i := range all {
		s := &all[i]
		for _, v := range vectors {
			if s.name == "dsmr" && bytes.HasSuffix(v.bytes, []byte("!\r\n")) {
				continue // a meter sends checksums or it does not; one that did and does not is damaged
			}
			if v.driver == s.name && v.check == "stream" && !v.rejected() && len(v.options) == 0 {
				s.frames = append(s.frames, v.bytes)
			}
		}
		if text, ok := catalog.Description(s.name); ok {
			s.frames = append(s.frames, tested(t, s.name, text)...)
		}
		s.frames = append(s.frames, simulated(t, s.driver, s.options, 7, 3)...)
	}
	return all
}

// tested gives the frames of a description's tests.
func tested(t testing.TB, name string, text []byte) (frames [][]byte) {
	t.Helper()
	_, tests, err := catalog.ParseDescription(name, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if raw, err := devices.ParseHex(test.Bytes); err == nil && len(raw) > 0 && test.Reject == "" && test.Options == nil {
			frames = append(frames, raw)
		}
	}
	return frames
}

// simulated gives what the pretended device sends by itself, a piece for each time that it speaks.
func simulated(t testing.TB, d *devices.Driver, o devices.Options, seed uint64, count int) (frames [][]byte) {
	t.Helper()
	sim, err := d.Simulate(o, seed)
	if err != nil {
		t.Fatalf("%s: simulate: %v", d.Name, err)
	}
	now := start()
	for range count + 1 {
		out, next := sim.Tick(now, nil)
		if len(out) > 0 {
			frames = append(frames, out)
		}
		if next.IsZero() {
			break
		}
		now = next
	}
	if len(frames) == 0 {
		return answered(t, d, o, sim, count)
	}
	if len(frames) < count {
		t.Errorf("%s: the pretended device spoke %d times, want %d", d.Name, len(frames), count)
	}
	return frames
}

// answered gives what the pretended device answers in rounds of asking, a piece for each request.
func answered(t testing.TB, d *devices.Driver, o devices.Options, sim devices.Simulator, rounds int) (frames [][]byte) {
	t.Helper()
	dec, err := d.New(o)
	if err != nil {
		t.Fatal(err)
	}
	asker, ok := dec.(devices.Asker)
	for range rounds {
		for step := 0; ok; step++ {
			r, more := asker.Next(step)
			if !more {
				break
			}
			answer := sim.Receive(r.Bytes, start(), nil)
			if len(answer) == 1 { // an acknowledgement means something only to who asked
				continue
			}
			if len(answer) == 0 {
				t.Errorf("%s: the pretended device does not answer % x", d.Name, r.Bytes)
			}
			frames = append(frames, answer)
		}
	}
	if len(frames) < rounds {
		t.Errorf("%s: the pretended device gave %d answers, want %d", d.Name, len(frames), rounds)
	}
	return frames
}

// trial feeds a decoder and keeps its samples.
type trial struct {
	dec     devices.Decoder
	samples []devices.Sample
	texts   []string // of the samples, as JSON
}

func (s subject) begin(t testing.TB) *trial {
	t.Helper()
	dec, err := s.driver.New(s.options)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return &trial{dec: dec}
}

func (x *trial) collect(s devices.Sample) {
	x.texts = append(x.texts, s.Answer+string(devices.AppendObject(nil, s.Readings)))
	s.Readings = slices.Clone(s.Readings)
	x.samples = append(x.samples, s)
}

func (x *trial) feed(at time.Time, p []byte) { x.dec.Feed(p, at, x.collect) }

func (x *trial) end() { x.dec.End(x.collect) }

// expect gives the samples of frames that are fed whole.
func (s subject) expect(t testing.TB, frames ...[]byte) []string {
	t.Helper()
	x := s.begin(t)
	x.feed(start(), bytes.Join(frames, nil))
	x.end()
	if len(x.texts) != len(frames) {
		t.Fatalf("%s: % x gives %d samples, want %d", s.name, frames, len(x.texts), len(frames))
	}
	return x.texts
}
