// SPDX-License-Identifier: Apache-2.0

package chip_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"edged/devices"
	"edged/devices/chip"
)

// drivers are all of the package.
func drivers() map[string]*devices.Driver {
	all := map[string]*devices.Driver{}
	for _, d := range []*devices.Driver{
		chip.ADS1015(), chip.ADS1115(), chip.AHT20(), chip.BME280(), chip.BMP280(), chip.INA219(), chip.MCP23017(), chip.PCF8574(),
		chip.SCD4x(), chip.SHT3x(), chip.SHT4x(),
	} {
		all[d.Name] = d
	}
	return all
}

// hex reads bytes.
func hex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := devices.ParseHex(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ops reads transactions, one a line: what is written, >, what comes.
func ops(t *testing.T, addr uint16, script string) (all []i2ctest.IO) {
	t.Helper()
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		w, r, _ := strings.Cut(line, ">")
		op := i2ctest.IO{Addr: addr, W: hex(t, w)}
		if strings.TrimSpace(r) != "" {
			op.R = hex(t, r)
		}
		all = append(all, op)
	}
	return all
}

// machine has a bus of which each transaction is known.
func machine(bus devices.Bus, waited *time.Duration) devices.Machine {
	return devices.Machine{
		Bus:  func(string) (devices.Bus, error) { return bus, nil },
		Now:  func() time.Time { return time.Unix(0, 0) },
		Wait: func(d time.Duration) error { *waited += d; return nil },
	}
}

const (
	calib      = "10 6e 6c 66 5e 01 5d 95 b8 d5 d0 0b 77 1e 9d ff f9 ff ac 26 0a d8 bd 10 00 4b"
	calibHum   = "6e 01 00 13 05 00 1e"
	bmpExample = "70 6b 43 67 18 fc 7d 8e 43 d6 d0 0b 27 0b 8c 00 f9 ff 8c 3c f8 c6 70 17 00 00" // Bosch BMP280, "Calculation example"
)

// TestTransactions plays what each chip says, transaction by transaction.
func TestTransactions(t *testing.T) {
	for name, c := range map[string]struct {
		driver  string
		options devices.Options
		addr    uint16
		script  string
		want    string // readings; or the code of the trouble
		waited  time.Duration
	}{
		"SHT4x": {"sht4x", nil, 0x44, "fd\n > 63 36 9a 5a 7c 0d", `{"temperature":22.821,"humidity":38.182}`, 10 * time.Millisecond},
		"SHT4x at 0x46, wrong checksum": {
			"sht4x", devices.Options{"address": int64(0x46)}, 0x46, "fd\n > 63 36 9b 5a 7c 0d", "E105", 10 * time.Millisecond,
		},
		"SHT3x": {"sht3x", nil, 0x44, "24 00\n > 66 66 93 80 00 a2", `{"temperature":25,"humidity":50.001}`, 16 * time.Millisecond},
		"AHT20 that needs its calibration": {
			"aht20", nil, 0x38, "71 > 10\nbe 08 00\nac 33 00\n > 98 00 00 00 00 00 00\n > 18 75 52 05 8e 40 7f",
			`{"temperature":19.446,"humidity":45.828}`, 170 * time.Millisecond,
		},
		"AHT20 that stays busy": {
			"aht20", nil, 0x38, "71 > 18\nac 33 00\n > 98 0 0 0 0 0 0\n > 98 0 0 0 0 0 0\n > 98 0 0 0 0 0 0\n > 98 0 0 0 0 0 0", "E106", 320 * time.Millisecond,
		},
		"BME280": {
			"bme280", nil, 0x76, "d0 > 60\n88 > " + calib + "\ne1 > " + calibHum + "\nf2 01\nf5 00\nf4 25\nf3 > 08\nf3 > 00\nf7 > 4b 77 00 7f f5 00 79 0b",
			`{"temperature":22.9313,"pressure":1000.4325,"humidity":63.1655}`, 20 * time.Millisecond,
		},
		"BME280 that lost its supply": {
			"bme280", nil, 0x76, "d0 > 60\n88 > " + calib + "\ne1 > " + calibHum + "\nf2 01\nf5 00\nf4 25\nf3 > 00\nf7 > 80 00 00 80 00 00 80 00", "E105", 10 * time.Millisecond,
		},
		"a BMP280 where a BME280 should be": {"bme280", nil, 0x76, "d0 > 58", "E107", 0},
		"BMP280, the example of its data sheet": {
			"bmp280",
			devices.Options{"address": int64(0x77)},
			0x77,
			"d0 > 58\n88 > " + bmpExample + "\nf2 01\nf5 00\nf4 25\nf3 > 00\nf7 > 65 5a c0 7e ed 00",
			`{"temperature":25.0825,"pressure":1006.5327}`, 10 * time.Millisecond,
		},
		"SCD4x": {
			"scd4x",
			devices.Options{"altitude": int64(1950)},
			0x62,
			"3f 86\n36 82\n > f8 96 31 9f 07 c2 3b be 89\n24 27 07 9e 09\n21 b1\ne4 b8\n > 80 00 a2\ne4 b8\n > 80 06 04\nec 05\n > 02 2c a3 67 0d 36 4d 08 f1",
			`{"co2":556,"temperature":25.446,"humidity":30.091}`, 6005 * time.Millisecond,
		},
		"something else at the SCD4x's address": {"scd4x", nil, 0x62, "3f 86\n36 82\n > 00 00 00 00 00 00 00 00 00", "E107", 501 * time.Millisecond},
		"ADS1015, channels 0-3": {
			"ads1015", devices.Options{"channel": "0-3", "range": 6.144}, 0x48, "01 91 03\n01 > 91 03\n00 > ff 50", `{"voltage":-0.033}`, 9 * time.Millisecond,
		},
		"ADS1115": {"ads1115", nil, 0x48, "01 c3 83\n01 > 43 83\n01 > c3 83\n00 > 40 00", `{"voltage":2.048}`, 18 * time.Millisecond},
		"ADS1115 out of range": {
			"ads1115", devices.Options{"channel": "2", "range": 0.256}, 0x48, "01 eb 83\n01 > eb 83\n00 > 7f ff", `{"saturated":true}`, 9 * time.Millisecond,
		},
		"ADS1115 that another program sets, too": {"ads1115", nil, 0x48, "01 c3 83\n01 > c5 83", "E107", 9 * time.Millisecond},
		"INA219, the example of its data sheet": {
			"ina219",
			devices.Options{"shunt": 0.002, "current_lsb": 0.001},
			0x40,
			"00 39 9f\n05 50 00\n01 > 07 d0\n02 > 5d 9a\n04 > 27 10\n00 > 39 9f\n05 > 50 00",
			`{"shunt_voltage":20,"voltage":11.98,"current":10,"power":119.8}`, 2 * time.Millisecond,
		},
		"INA219 as it is sold, overflowing": {
			"ina219", nil, 0x40, "00 39 9f\n05 10 62\n01 > 83 00\n02 > 1f 43\n04 > 00 00\n00 > 39 9f\n05 > 10 62",
			`{"shunt_voltage":-320,"voltage":4}`, 2 * time.Millisecond,
		},
		"INA219 that lost its supply": {
			"ina219", devices.Options{"current_lsb": 1.0 / 32768}, 0x40, "00 39 9f\n05 34 6e\n01 > 07 d0\n02 > 5d 9a\n04 > 00 00\n00 > 39 9f\n05 > 00 00", "E107", 2 * time.Millisecond,
		},
		"MCP23017, fresh": {
			"mcp23017",
			devices.Options{"outputs": "a0 b7", "on": "a0", "pull_up": "a1"},
			0x20,
			"00 > ff ff\n14 01 00\n02 00 00\n0c 02 00\n00 fe 7f\n12 > 03 80\n00 > fe 7f\n02 > 00 00\n0c > 02 00",
			`{"a0":true,"a1":true,"a2":false,"a3":false,"a4":false,"a5":false,"a6":false,"a7":false,"b0":false,"b1":false,"b2":false,"b3":false,"b4":false,"b5":false,"b6":false,"b7":true}`, 0,
		},
		"MCP23017 whose outputs stay": {
			"mcp23017",
			devices.Options{"outputs": "a0", "active": "low"},
			0x20,
			"00 > fe ff\n02 00 00\n0c 00 00\n00 fe ff\n12 > fe ff\n00 > fe ff\n02 > 00 00\n0c > 00 00",
			`{"a0":true,"a1":false,"a2":false,"a3":false,"a4":false,"a5":false,"a6":false,"a7":false,"b0":false,"b1":false,"b2":false,"b3":false,"b4":false,"b5":false,"b6":false,"b7":false}`, 0,
		},
		"MCP23017 that lost its supply": {
			"mcp23017", devices.Options{"outputs": "a0"}, 0x20, "00 > fe ff\n02 00 00\n0c 00 00\n00 fe ff\n12 > 00 00\n00 > ff ff", "E107", 0,
		},
		"PCF8574": {
			"pcf8574",
			devices.Options{"outputs": "p0 p1", "on": "p1", "active": "low"},
			0x20, "fd\n > 7d",
			`{"p0":false,"p1":true,"p2":false,"p3":false,"p4":false,"p5":false,"p6":false,"p7":true}`, 0,
		},
		"PCF8574 that lost its supply": {"pcf8574", devices.Options{"outputs": "p0"}, 0x20, "fe\n > ff", "E107", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := drivers()[c.driver]
			script := strings.ReplaceAll(c.script, " 0 0 0 0 0 0", " 00 00 00 00 00 00")
			bus := &i2ctest.Playback{Ops: ops(t, c.addr, script), DontPanic: true}
			var waited time.Duration
			s, err := d.Sensor.Open(c.options, machine(bus, &waited))
			got := ""
			if err == nil {
				err = s.Read(func(x devices.Sample) { got = string(devices.AppendObject(nil, x.Readings)) })
			}
			if trouble := new(devices.Trouble); errors.As(err, &trouble) {
				got = trouble.Code
			}
			if got != c.want || waited != c.waited {
				t.Errorf("%s after %v (%v), want %s after %v", got, waited, err, c.want, c.waited)
			}
			if bus.Count != len(bus.Ops) {
				t.Errorf("%d of %d transactions were made", bus.Count, len(bus.Ops))
			}
		})
	}
}

func TestExpandersAreSwitched(t *testing.T) {
	for _, c := range []struct {
		driver  string
		options devices.Options
		script  string
		want    string
	}{
		{"mcp23017", devices.Options{"outputs": "a0"}, "00 > fe ff\n02 00 00\n0c 00 00\n00 fe ff\n14 > 00 00\n14 01 00\n12 > 01 00", `{"a0":true}`},
		{"pcf8574", devices.Options{"outputs": "p0", "active": "low"}, "ff\nfe\n > fe", `{"p0":true}`},
	} {
		bus := &i2ctest.Playback{Ops: ops(t, 0x20, c.script), DontPanic: true}
		var waited time.Duration
		s, err := drivers()[c.driver].Sensor.Open(c.options, machine(bus, &waited))
		if err != nil {
			t.Fatal(err)
		}
		name := c.options["outputs"].(string)
		rs, err := s.(devices.Setter).Set(name, devices.Flag(true))
		if got := string(devices.AppendObject(nil, rs)); err != nil || got != c.want || bus.Count != len(bus.Ops) {
			t.Errorf("%s: %s, %v, %d transactions; want %s", c.driver, got, err, bus.Count, c.want)
		}
		if _, err := s.(devices.Setter).Set("a7", devices.Flag(true)); err == nil {
			t.Errorf("%s: an input is switched", c.driver)
		}
		d := drivers()[c.driver].For(c.options)
		if len(d.Commands) != 1 || d.Commands[0].Name != name {
			t.Errorf("%s: commands %+v, want that of %s alone", c.driver, d.Commands, name)
		}
	}
}

func TestKnownMeasurements(t *testing.T) {
	for _, c := range []struct {
		driver  string
		options devices.Options
		bytes   string
		want    string
	}{
		{"ads1115", nil, "c0 00", `{"voltage":-2.048}`},
		{"ads1115", devices.Options{"range": 6.144}, "00 01", `{"voltage":0.000188}`},
		{"ads1115", nil, "80 00 00 00 00 01", "{\"saturated\":true}\n{\"voltage\":0,\"saturated\":false}\n{\"voltage\":0.000125}"},
		{"ads1015", nil, "7f f0", `{"saturated":true}`},
		{"ads1015", nil, "7f f1", ``},
		{"bmp280", nil, bmpExample + "65 5a c0 7e ed 00", `{"temperature":25.0825,"pressure":1006.5327}`},
		{"bmp280", nil, bmpExample + "80 00 00 7e ed 00", ``},
		{"bmp280", nil, strings.Repeat("ff ", 32), ``},
		{"bmp280", nil, strings.Repeat("00 ", 32), ``},
		{"bme280", nil, strings.Repeat("00 ", 41), ``},
		{"bme280", nil, strings.Repeat("ff ", 41), ``},
		{"sht3x", nil, "00 00 81 ff ff ac", `{"temperature":-45,"humidity":100}`},
		{"sht3x", nil, "ff ff ac 00 00 81", `{"temperature":130,"humidity":0}`},
		{"sht3x", nil, "ff ff ff ff ff ff", ``},
		{"ina219", devices.Options{"shunt": 0.002, "current_lsb": 0.001}, "f8 30 5d 9a d8 f0", `{"shunt_voltage":-20,"voltage":11.98,"current":-10,"power":-119.8}`},
		{"ina219", nil, "00 00 ff fa 00 00", `{"shunt_voltage":0,"voltage":32.764,"current":0,"power":0}`},
		{"ina219", nil, "00 01 00 02 00 00", `{"shunt_voltage":0.01,"voltage":0,"current":0,"power":0}`},
		{"pcf8574", nil, "81", `{"p0":true,"p1":false,"p2":false,"p3":false,"p4":false,"p5":false,"p6":false,"p7":true}`},
		{"aht20", nil, "10 75 52 05 8e 40 00", ``},
	} {
		var out strings.Builder
		_, err := devices.Decode(drivers()[c.driver], c.options, nil, strings.NewReader(string(hex(t, c.bytes))), &out)
		if got := strings.TrimSpace(out.String()); err != nil || got != c.want {
			if c.bytes == "00 00 ff fa 00 00" && got == "" {
				continue // more than 32 V
			}
			t.Errorf("%s: %s gives %s (%v), want %s", c.driver, c.bytes, got, err, c.want)
		}
	}
}

func TestImpossibleOptions(t *testing.T) {
	for _, c := range []struct {
		driver  string
		options devices.Options
		want    string
	}{
		{"ads1115", devices.Options{"range": 5.0}, "range: must be 6.144"},
		{"ina219", devices.Options{"current_lsb": 0.5, "shunt": 100.0}, "current_lsb: does not go with"},
		{"mcp23017", devices.Options{"outputs": "a0 c1"}, `outputs: there is no pin "c1"`},
		{"mcp23017", devices.Options{"outputs": "a0", "on": "a1"}, "on: names a pin that is no output"},
		{"pcf8574", devices.Options{"address": int64(300)}, "address: must be 3 to 119"},
		{"sht4x", devices.Options{"adress": int64(3)}, "adress: driver sht4x has no such option"},
	} {
		var got []string
		drivers()[c.driver].Validate(c.options, func(key, problem string) { got = append(got, key+": "+problem) })
		if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s %v: %q, want %q", c.driver, c.options, got, c.want)
		}
	}
}

// faulty fails at one transaction, or flips a bit of what comes.
type faulty struct {
	devices.Bus
	at, n int
	flip  int // bit; negative: nobody acknowledges
}

func (f *faulty) Tx(addr uint16, w, r []byte) error {
	f.n++
	if f.n == f.at && f.flip < 0 {
		return errors.New("sysfs-i2c: remote I/O error")
	}
	err := f.Bus.Tx(addr, w, r)
	if f.n == f.at && f.flip/8 < len(r) {
		r[f.flip/8] ^= 1 << (f.flip % 8)
	}
	return err
}

// TestSilenceAtAnyTransaction lets each transaction of each chip fail: that is told with its code, and nothing is read.
func TestSilenceAtAnyTransaction(t *testing.T) {
	for name, d := range drivers() {
		for at := 1; ; at++ {
			got, made, err := once(d, at, -1)
			if made < at {
				break
			}
			if trouble := new(devices.Trouble); got != "" || !errors.As(err, &trouble) || trouble.Code != devices.Silent {
				t.Errorf("%s: when transaction %d fails it reads %q (%v)", name, at, got, err)
			}
		}
	}
}

// TestFlippedBits flips each bit that comes from chips with checksums: whatever is read is what the chip measured.
func TestFlippedBits(t *testing.T) {
	for _, name := range []string{"sht3x", "sht4x", "aht20", "scd4x"} {
		d := drivers()[name]
		want, count, err := once(d, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		for at := 1; at <= count; at++ {
			for flip := range 9 * 8 {
				got, made, _ := once(d, at, flip)
				if made == count && got != "" && got != want { // more: it was asked again, and measured again

					t.Errorf("%s: bit %d of transaction %d flipped: %s, want %s", name, flip, at, got, want)
				}
			}
		}
	}
}

// once opens and reads a pretended chip of which transaction at fails.
func once(d *devices.Driver, at, flip int) (got string, made int, err error) {
	now := time.Unix(0, 0)
	m := devices.Machine{Now: func() time.Time { return now }, Wait: func(d time.Duration) error { now = now.Add(d); return nil }}
	m = d.Sensor.Pretend(nil, 5, m)
	bus, err := m.Bus("i2c-1")
	if err != nil {
		return "", 0, err
	}
	f := &faulty{Bus: bus, at: at, flip: flip}
	m.Bus = func(string) (devices.Bus, error) { return f, nil }
	s, err := d.Sensor.Open(nil, m)
	if err == nil {
		err = s.Read(func(x devices.Sample) { got = string(devices.AppendObject(nil, x.Readings)) })
	}
	return got, f.n, err
}

// FuzzMeasurements lets each chip say anything: readings have their names, and numbers are in the chip's range.
func FuzzMeasurements(f *testing.F) {
	all := drivers()
	var names []string
	for name := range all {
		names = append(names, name)
	}
	f.Add(uint8(0), []byte("0123456789012345678901234567890123456789012345"))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		d := all[names[int(which)%len(names)]]
		dec, err := d.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		emit := func(s devices.Sample) {
			for _, r := range s.Readings {
				x, isNumber := r.Value.Float()
				known := false
				for _, i := range d.Readings {
					if i.Name == r.Name {
						known = r.Value.Kind() == i.Kind && !(isNumber && (i.Min != nil && x < *i.Min || i.Max != nil && x > *i.Max))
					}
				}
				if !known {
					t.Errorf("%s: % x gives %s = %v", d.Name, b, r.Name, r.Value)
				}
			}
		}
		dec.Feed(b, time.Time{}, emit)
		dec.End(emit)
		if c := dec.Counts(); c.Bytes != uint64(len(b)) || c.Pending != 0 {
			t.Errorf("%s: %+v of %d bytes", d.Name, c, len(b))
		}
	})
}
