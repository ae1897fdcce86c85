// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edged/devices"
	"edged/devices/catalog"
)

// sensorOptions are what a pretended sensor needs to be told where a driver has no default.
func sensorOptions(d *devices.Driver) devices.Options {
	o := devices.Options{}
	for _, i := range d.Options {
		if i.Required {
			o[i.Name] = map[string]any{"gpio": "GPIO17"}[i.Name]
		}
	}
	return o
}

// pretended opens a sensor of which all is made up, in the time of the test's bubble.
func pretended(t *testing.T, d *devices.Driver, o devices.Options, seed uint64) devices.Sensor {
	t.Helper()
	m := devices.Machine{
		Now:   time.Now,
		Wait:  func(d time.Duration) error { <-time.After(d); return nil },
		Store: &memory{},
	}
	s, err := d.Sensor.Open(o, d.Sensor.Pretend(o, seed, m))
	if err != nil {
		t.Fatalf("%s: %v", d.Name, err)
	}
	return s
}

// memory is a store that survives nothing.
type memory struct{ p []byte }

func (m *memory) Load() ([]byte, error) { return m.p, nil }

func (m *memory) Save(p []byte) error { m.p = slices.Clone(p); return nil }

// TestSensorsReadWhatTheySay opens each sensor on a pretended machine and reads it for a while: every reading is one of
// those that the driver names, of its kind and in its range, and all that are not optional come.
func TestSensorsReadWhatTheySay(t *testing.T) {
	for _, d := range catalog.All() {
		if d.Sensor == nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			o := sensorOptions(d)
			d.Validate(o, func(key, problem string) { t.Errorf("%s: option %s: %s", d.Name, key, problem) })
			infos := d.ReadingsFor(o)
			if infos == nil && d.Sensor.Tell == nil {
				t.Fatalf("%s: it does not say what it reads", d.Name)
			}
			s := pretended(t, d, o, 3)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("%s: close: %v", d.Name, err)
				}
			}()
			seen := map[string]int{}
			distinct := map[string]bool{}
			check := func(x devices.Sample) {
				distinct[string(devices.AppendObject(nil, x.Readings))] = true
				for _, r := range x.Readings {
					seen[r.Name]++
					info, ok := named(d, infos, r.Name)
					if !ok {
						t.Fatalf("%s: reading %s, which it does not name", d.Name, r.Name)
					}
					v, isNumber := r.Value.Float()
					switch {
					case r.Value.Kind() != info.Kind:
						t.Errorf("%s: %s is %v, which is of another kind", d.Name, r.Name, r.Value)
					case isNumber && (info.Min != nil && v < *info.Min || info.Max != nil && v > *info.Max):
						t.Errorf("%s: %s = %v is out of range", d.Name, r.Name, v)
					}
				}
			}
			const rounds = 20
			for range rounds {
				if err := s.Read(check); err != nil {
					t.Fatalf("%s: %v", d.Name, err)
				}
				<-time.After(max(d.Every, time.Second))
			}
			for _, i := range infos {
				if seen[i.Name] < rounds && !i.Optional {
					t.Errorf("%s: %s was read %d times of %d", d.Name, i.Name, seen[i.Name], rounds)
				}
			}
			if d.Every > 0 && len(d.Commands) == 0 && len(distinct) < 3 {
				t.Errorf("%s: the pretended device always reads %v", d.Name, distinct)
			}
		})
	}
}

// named finds what a driver says of a reading.
func named(d *devices.Driver, infos []devices.Info, name string) (devices.Info, bool) {
	if infos == nil {
		return d.Sensor.Tell(name), true
	}
	i := slices.IndexFunc(infos, func(i devices.Info) bool { return i.Name == name })
	if i < 0 {
		return devices.Info{}, false
	}
	return infos[i], true
}

// TestSensorsWithNothingThere opens each sensor on a machine that has nothing: that is told with a code, and no value
// is made up.
func TestSensorsWithNothingThere(t *testing.T) {
	nothing := func(string) (devices.Bus, error) {
		return nil, &devices.Trouble{Code: devices.Absent, Text: "no bus"}
	}
	for _, d := range catalog.All() {
		if d.Sensor == nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s, err := d.Sensor.Open(sensorOptions(d), devices.Machine{
				Files: devices.PretendedFiles{}, Bus: nothing, Now: time.Now, Store: &memory{},
				Line: func(devices.LineConfig) (devices.Line, error) {
					return nil, &devices.Trouble{Code: devices.Absent, Text: "no line"}
				},
				Usage: func() (uint64, uint64, error) { return 0, 0, errors.New("no disk") },
				Wait:  func(d time.Duration) error { <-time.After(d); return nil },
			})
			if err == nil {
				err = s.Read(func(x devices.Sample) { t.Errorf("%s: reads %v", d.Name, x.Readings) })
			}
			if trouble := new(devices.Trouble); !errors.As(err, &trouble) || trouble.Code == "" || trouble.Do == "" && trouble.Text == "" {
				t.Errorf("%s: %v, want a trouble with its code", d.Name, err)
			}
		})
	}
}
