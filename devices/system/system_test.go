// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/system"
)

// tree is what a kernel says in its files.
type tree map[string]string

func (tr tree) files() devices.PretendedFiles {
	f := devices.PretendedFiles{}
	for name, text := range tr {
		f[name] = devices.PretendedFile{Read: func() string { return text }}
	}
	return f
}

// read opens the machine and reads it twice, with later files the second time.
func read(t *testing.T, o devices.Options, usage func() (uint64, uint64, error), now ...tree) []string {
	t.Helper()
	files := devices.PretendedFiles{}
	s, err := system.Driver().Sensor.Open(o, devices.Machine{
		Files: files, Usage: usage, Now: func() time.Time { return time.Unix(0, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tr := range now {
		clear(files)
		for name, f := range tr.files() {
			files[name] = f
		}
		if err := s.Read(func(x devices.Sample) { got = append(got, string(devices.AppendObject(nil, x.Readings))) }); err != nil {
			got = append(got, err.Error())
		}
	}
	return got
}

func noDisk() (uint64, uint64, error) { return 0, 0, errors.New("no disk") }

func quarterFree() (uint64, uint64, error) { return 8 << 30, 32 << 30, nil }

func TestMachines(t *testing.T) {
	raspberry := tree{
		"sys/class/thermal/thermal_zone0/temp": "48312\n",
		"proc/stat":                            "cpu  100 0 100 700 50 0 50 0 0 0\ncpu0 1 2 3\n",
		"proc/loadavg":                         "0.52 0.58 0.59 1/123 4567\n",
		"proc/meminfo":                         "MemTotal:  948280 kB\nMemFree: 1 kB\nMemAvailable:  474140 kB\n",
		"proc/uptime":                          "12345.67 23456.78\n",
		"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
	}
	later := tree{}
	for name, text := range raspberry {
		later[name] = text
	}
	later["proc/stat"] = "cpu  120 0 110 770 50 0 50 0 0 0\n"
	for name, c := range map[string]struct {
		options devices.Options
		usage   func() (uint64, uint64, error)
		files   []tree
		want    []string
	}{
		"a Raspberry Pi short of power": {
			nil, quarterFree,
			[]tree{raspberry, later},
			[]string{
				`{"temperature":48.312,"load":0.52,"memory":50,"memory_free":463,"disk":75,"disk_free":8192,"uptime":12346,"throttled":true,"capped":false,"under_voltage":true}`,
				`{"temperature":48.312,"cpu":30,"load":0.52,"memory":50,"memory_free":463,"disk":75,"disk_free":8192,"uptime":12346,"throttled":true,"capped":false,"under_voltage":true}`,
			},
		},
		"another zone, and the kernel's watch over the voltage": {
			devices.Options{"zone": int64(1)},
			noDisk,
			[]tree{{
				"sys/class/thermal/thermal_zone0/temp": "48312", "sys/class/thermal/thermal_zone1/temp": "-5000",
				"sys/class/hwmon/hwmon0/name": "cpu_thermal\n", "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
				"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n", "proc/loadavg": "1 2 3",
			}},
			[]string{`{"temperature":-5,"load":1,"under_voltage":false}`},
		},
		"counters that went back": {
			nil, noDisk,
			[]tree{{"proc/stat": "cpu 100 0 0 100 0"}, {"proc/stat": "cpu 90 0 0 90 0", "proc/loadavg": "0.1"}},
			[]string{
				"the kernel tells nothing: no disk: edged needs /proc and /sys",
				`{"load":0.1}`,
			},
		},
		"nonsense is no value": {
			nil, noDisk,
			[]tree{{
				"sys/class/thermal/thermal_zone0/temp": "999999999", "proc/stat": "cpu x", "proc/loadavg": "", "proc/meminfo": "MemTotal: 5 kB\nMemAvailable: 9 kB",
				"sys/devices/platform/soc/soc:firmware/get_throttled": "zz", "proc/uptime": "17.5 2",
			}},
			[]string{`{"uptime":18}`},
		},
	} {
		got := read(t, c.options, c.usage, c.files...)
		if len(got) != len(c.want) {
			t.Fatalf("%s: %q, want %q", name, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s:\ngot  %s\nwant %s", name, got[i], c.want[i])
			}
		}
	}
}

// FuzzFiles lets the kernel say anything: nothing is read that has no business to be.
func FuzzFiles(f *testing.F) {
	f.Add("48312", "cpu 1 2 3 4 5", "0.5", "MemTotal: 5 kB\nMemAvailable: 3 kB", "1.5", "5")
	f.Fuzz(func(t *testing.T, temp, stat, load, mem, up, throttled string) {
		files := tree{
			"sys/class/thermal/thermal_zone0/temp": temp, "proc/stat": stat, "proc/loadavg": load, "proc/meminfo": mem, "proc/uptime": up,
			"sys/devices/platform/soc/soc:firmware/get_throttled": throttled,
		}.files()
		s, err := system.Driver().Sensor.Open(nil, devices.Machine{Files: files, Usage: noDisk, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			err := s.Read(func(x devices.Sample) {
				for _, r := range x.Readings {
					v, isNumber := r.Value.Float()
					for _, info := range system.Driver().Readings {
						if info.Name == r.Name && isNumber && (info.Min != nil && v < *info.Min || info.Max != nil && v > *info.Max) {
							t.Errorf("%s = %v of %q", r.Name, v, []string{temp, stat, load, mem, up, throttled})
						}
					}
				}
			})
			if trouble := new(devices.Trouble); err != nil && !errors.As(err, &trouble) {
				t.Errorf("%v has no code", err)
			}
		}
	})
}
