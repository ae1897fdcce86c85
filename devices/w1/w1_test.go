// SPDX-License-Identifier: Apache-2.0

package w1_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/w1"
)

const (
	warm    = "91 01 00 00 7f ff 7f 10 6b : crc=6b YES\n91 01 00 00 7f ff 7f 10 6b t=25062\n"
	powerOn = "50 05 00 00 7f ff 0c 10 e4 : crc=e4 YES\n50 05 00 00 7f ff 0c 10 e4 t=85000\n"
	damaged = "91 01 00 00 7f ff 7f 10 6b : crc=5a NO\n91 01 00 00 7f ff 7f 10 6b t=25062\n"
	ground  = "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n"
)

// bus is a sysfs in a directory.
type bus struct {
	fs.FS
	dir string
}

func (b bus) WriteFile(name, text string) error {
	return os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600)
}

func newBus(t *testing.T, sensors map[string]string) bus {
	t.Helper()
	dir := t.TempDir()
	for id, text := range sensors {
		d := filepath.Join(dir, "sys/bus/w1/devices", id)
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "w1_slave"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return bus{os.DirFS(dir), dir}
}

func read(b bus, address string) (string, error) {
	o := devices.Options{}
	if address != "" {
		o["address"] = address
	}
	s, err := w1.Driver().Sensor.Open(o, devices.Machine{Files: b, Now: time.Now})
	if err != nil {
		return "", err
	}
	var got string
	err = s.Read(func(x devices.Sample) { got = string(devices.AppendObject(nil, x.Readings)) })
	return got, err
}

func TestThermometers(t *testing.T) {
	for name, c := range map[string]struct {
		there   map[string]string
		address string
		want    string // the reading, or the code
	}{
		"the only one":        {map[string]string{"28-01": warm, "w1_bus_master1": ""}, "", `{"temperature":25.0625}`},
		"one of two":          {map[string]string{"28-01": warm, "28-02": ground}, "28-01", `{"temperature":25.0625}`},
		"none of two named":   {map[string]string{"28-01": warm, "28-02": warm}, "", "E101"},
		"another":             {map[string]string{"28-01": warm}, "28-02", "E101"},
		"none":                {map[string]string{"w1_bus_master1": ""}, "", "E101"},
		"no bus":              {nil, "", "E101"},
		"damaged":             {map[string]string{"28-01": damaged}, "", "E105"},
		"wire at ground":      {map[string]string{"28-01": ground}, "", "E105"},
		"cut off":             {map[string]string{"28-01": warm[:30]}, "", "E105"},
		"85 °C twice":         {map[string]string{"28-01": powerOn}, "", `{"temperature":85}`},
		"9 bits":              {map[string]string{"28-01": "9f 01 00 00 1f ff 7f 10 42 : crc=42 YES\n"}, "", `{"temperature":25.5}`},
		"DS18S20 by its half": {map[string]string{"10-01": "32 00 4b 46 ff ff 0c 10 6b : crc=6b YES\n"}, "", `{"temperature":25}`},
	} {
		got, err := read(newBus(t, c.there), c.address)
		if trouble := new(devices.Trouble); errors.As(err, &trouble) {
			got = trouble.Code
		}
		if got != c.want {
			t.Errorf("%s: %s %v, want %s", name, got, err, c.want)
		}
	}
}

// TestAWarmSensorMaySay85 reads 85 °C behind a reading near it, and refuses it behind another.
func TestAWarmSensorMaySay85(t *testing.T) {
	const near = "48 05 00 00 7f ff 08 10 a1 : crc=a1 YES\n48 05 00 00 7f ff 08 10 52 t=84500\n"
	for lines, want := range map[string]string{
		near + powerOn:           "{\"temperature\":84.5}\n{\"temperature\":85}\n",
		warm + powerOn:           "{\"temperature\":25.0625}\n",
		powerOn + powerOn + warm: "{\"temperature\":85}\n{\"temperature\":25.0625}\n",
	} {
		var out strings.Builder
		if _, err := devices.Decode(w1.Driver(), nil, nil, strings.NewReader(lines), &out); err != nil || out.String() != want {
			t.Errorf("%s gives %q (%v), want %q", lines, out.String(), err, want)
		}
	}
}

// FuzzFile lets the kernel's file say anything.
func FuzzFile(f *testing.F) {
	for _, s := range []string{warm, powerOn, damaged, ground} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := devices.PretendedFiles{"sys/bus/w1/devices/28-01/w1_slave": {Read: func() string { return text }}}
		s, err := w1.Driver().Sensor.Open(nil, devices.Machine{Files: files, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Read(func(x devices.Sample) {
			if v, ok := x.Readings[0].Value.Float(); !ok || v < -55 || v > 125 {
				t.Errorf("%q gives %v", text, v)
			}
		})
		if trouble := new(devices.Trouble); err != nil && !errors.As(err, &trouble) {
			t.Errorf("%q: %v has no code", text, err)
		}
	})
}
