// SPDX-License-Identifier: Apache-2.0

package iio_test

import (
	"errors"
	"io/fs"
	"path"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/iio"
)

// sysfs is what the kernel shows; a file fails so many times before it is read.
type sysfs struct {
	devices.PretendedFiles
	fails map[string]int
}

// Open fails as the kernel's driver of a DHT22 does.
func (s sysfs) Open(name string) (fs.File, error) {
	if s.fails[path.Base(name)] > 0 {
		s.fails[path.Base(name)]--
		return nil, errors.New("input/output error")
	}
	return s.PretendedFiles.Open(name)
}

// ReadFile is Open and Read.
func (s sysfs) ReadFile(name string) ([]byte, error) {
	if s.fails[path.Base(name)] > 0 {
		s.fails[path.Base(name)]--
		return nil, errors.New("input/output error")
	}
	return s.PretendedFiles.ReadFile(name)
}

func sensors(of ...map[string]string) sysfs {
	s := sysfs{PretendedFiles: devices.PretendedFiles{}}
	for i, files := range of {
		for name, text := range files {
			s.PretendedFiles["sys/bus/iio/devices/iio:device"+string(rune('0'+i))+"/"+name] = devices.PretendedFile{Read: func() string { return text }}
		}
	}
	return s
}

// read gives what is read, and for how long that waited.
func read(s sysfs, address string) (got string, waited time.Duration, err error) {
	o := devices.Options{}
	if address != "" {
		o["address"] = address
	}
	x, err := iio.Driver().Sensor.Open(o, devices.Machine{
		Files: s, Now: time.Now, Wait: func(d time.Duration) error { waited += d; return nil },
	})
	if err != nil {
		return "", 0, err
	}
	err = x.Read(func(x devices.Sample) { got = string(devices.AppendObject(nil, x.Readings)) })
	return got, waited, err
}

func TestKnownSensors(t *testing.T) {
	dht := map[string]string{"name": "dht11\n", "in_temp_input": "35100\n", "in_humidityrelative_input": "65200\n"}
	for name, c := range map[string]struct {
		there   []map[string]string
		address string
		want    string // or the code
	}{
		"DHT22, of its data sheet":  {[]map[string]string{dht}, "", `{"humidity":65.2,"temperature":35.1}`},
		"DHT22 below zero":          {[]map[string]string{{"in_temp_input": "-10100", "in_humidityrelative_input": "65200"}}, "", `{"humidity":65.2,"temperature":-10.1}`},
		"BME280":                    {[]map[string]string{{"name": "bme280", "in_temp_input": "21520", "in_pressure_input": "100.325000", "in_humidityrelative_input": "48123.046875"}}, "bme280", `{"humidity":48.123046875,"pressure":1003.25,"temperature":21.52}`},
		"ADS1115, raw with a scale": {[]map[string]string{{"in_voltage0_raw": "8000", "in_voltage_scale": "0.125", "in_voltage0-voltage1_raw": "-100", "in_voltage0-voltage1_scale": "2"}}, "", `{"voltage_0_1":-0.2,"voltage_0":1}`},
		"offset before the scale":   {[]map[string]string{{"in_temp_raw": "100", "in_temp_offset": "-50", "in_temp_scale": "10"}}, "", `{"temperature":0.5}`},
		"the kernel's own value is taken before the raw one": {[]map[string]string{{"in_illuminance_raw": "7", "in_illuminance_input": "70"}}, "", `{"illuminance":70}`},
		"SCD30":                     {[]map[string]string{{"in_concentration_co2_input": "0.0556", "in_massconcentration_pm10_input": "7", "in_massconcentration_pm1_input": "3"}}, "", `{"co2":556,"pm10":7,"pm1":3}`},
		"accelerometer":             {[]map[string]string{{"in_accel_x_raw": "16384", "in_accel_scale": "0.000598", "in_timestamp_en": "1"}}, "", `{"accel_x":9.797632}`},
		"one of two by its name":    {[]map[string]string{dht, {"name": "bh1750", "in_illuminance_raw": "100", "in_illuminance_scale": "0.83"}}, "bh1750", `{"illuminance":83}`},
		"one of two by its place":   {[]map[string]string{dht, {"name": "dht11", "in_temp_input": "1000"}}, "iio:device1", `{"temperature":1}`},
		"two, and none named":       {[]map[string]string{dht, dht}, "", "E101"},
		"another":                   {[]map[string]string{dht}, "bme280", "E101"},
		"none":                      {nil, "", "E101"},
		"one that measures nothing": {[]map[string]string{{"name": "x", "in_timestamp_en": "1"}}, "", "E107"},
		"nonsense":                  {[]map[string]string{{"in_temp_input": "warm"}}, "", "E106"},
		"a scale of nonsense":       {[]map[string]string{{"in_temp_raw": "7", "in_temp_scale": "big"}}, "", "E101"},
		"no number":                 {[]map[string]string{{"in_temp_input": "NaN"}}, "", "E106"},
	} {
		got, _, err := read(sensors(c.there...), c.address)
		if trouble := new(devices.Trouble); errors.As(err, &trouble) {
			got = trouble.Code
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, c.want)
		}
	}
}

func TestReadingsHaveUnits(t *testing.T) {
	for name, want := range map[string]string{
		"temperature": "°C temperature", "voltage_0_1": "V voltage", "accel_x": "m/s² ", "angle": "rad ", "pm25": "µg/m³ pm25", "other": " ",
	} {
		if i := iio.Driver().Sensor.Tell(name); i.Unit+" "+i.Class != want {
			t.Errorf("%s is in %q", name, i.Unit+" "+i.Class)
		}
	}
}

// TestASensorThatOftenFailsIsAskedAgain is a DHT22, of which one answer in five is lost.
func TestASensorThatOftenFailsIsAskedAgain(t *testing.T) {
	s := sensors(map[string]string{"in_temp_input": "35100", "in_humidityrelative_input": "65200"})
	for _, c := range []struct {
		fails  map[string]int
		waited time.Duration
		want   string
	}{
		{map[string]int{"in_temp_input": 2}, 4 * time.Second, `{"humidity":65.2,"temperature":35.1}`},
		{map[string]int{"in_temp_input": 3}, 4 * time.Second, `{"humidity":65.2}`},
		{map[string]int{"in_temp_input": 3, "in_humidityrelative_input": 3}, 4 * time.Second, ``},
	} {
		s.fails = c.fails
		if got, waited, _ := read(s, ""); got != c.want || waited != c.waited {
			t.Errorf("%q after %v, want %q after %v", got, waited, c.want, c.waited)
		}
	}
}

// FuzzSensor lets the kernel show any file with any text.
func FuzzSensor(f *testing.F) {
	f.Add("in_temp_input", "35100", "in_voltage0-voltage1_raw", "1")
	f.Add("in_voltage_scale", "1e300", "in_voltage_raw", "1e300")
	f.Fuzz(func(t *testing.T, a, textA, b, textB string) {
		if !fs.ValidPath(a) || !fs.ValidPath(b) {
			return
		}
		_, _, err := read(sensors(map[string]string{a: textA, b: textB}), "")
		if trouble := new(devices.Trouble); err != nil && !errors.As(err, &trouble) {
			t.Errorf("%v has no code", err)
		}
		s, err := iio.Driver().Sensor.Open(nil, devices.Machine{Files: sensors(map[string]string{a: textA, b: textB}), Now: time.Now, Wait: func(time.Duration) error { return nil }})
		if err != nil {
			return
		}
		_ = s.Read(func(x devices.Sample) {
			seen := map[string]bool{}
			for _, r := range x.Readings {
				if !devices.IsName(r.Name) || seen[r.Name] || r.Value.Kind() != devices.Number {
					t.Errorf("%q %q gives %s = %v", a, b, r.Name, r.Value)
				}
				seen[r.Name] = true
			}
		})
	})
}
