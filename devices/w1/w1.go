// SPDX-License-Identifier: Apache-2.0

// Package w1 reads thermometers on a 1-Wire bus, DS18B20 and its kin, through the kernel.
package w1

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/checksum"
)

// options are the keys of a device's table.
type options struct {
	Address string `toml:"address" text:"which sensor, as the kernel names it, such as \"28-0316a279c3ff\"; where there is one only, it need not be named"`
	Input   string `toml:"input" values:"file scratchpad" default:"file" text:"of what edged decode reads: the file w1_slave, or the 9 bytes of the scratchpad"`
}

// directory is where the kernel shows what is on its 1-Wire buses.
const directory = "sys/bus/w1/devices"

// Driver is the driver of thermometers.
func Driver() *devices.Driver {
	low, high := -55.0, 125.0
	return &devices.Driver{
		Name: "w1", Title: "DS18B20 thermometers on a 1-Wire bus", Model: "DS18B20", Also: []string{"DS18S20", "DS1822", "DS1825", "DS28EA00"},
		Class: "climate", Every: 30 * time.Second,
		Notes: "The bus needs dtoverlay=w1-gpio in a Raspberry Pi's config.txt. A reading takes 750 ms. 85 °C, which a sensor " +
			"says after it lost power, is believed when it comes twice or behind a reading near it.",
		Readings: []devices.Info{{
			Name: "temperature", Unit: "°C", Class: "temperature", Kind: devices.Number, Min: &low, Max: &high, Text: "that the sensor measured",
		}},
		Options: devices.OptionsOf(options{}),
		New:     newDecoder,
		Sensor:  &devices.Opening{Open: open, Pretend: pretend, Place: place},
	}
}

func place(o devices.Options) string { return o.Text("address", "") }

// newDecoder reads files w1_slave, or scratchpads.
func newDecoder(o devices.Options) (devices.Decoder, error) {
	var x options
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	t := &thermometer{family: family(x.Address)}
	if x.Input == "scratchpad" {
		return devices.NewFixed(padSize, t.scratchpad), nil
	}
	return devices.NewWhole(512, func(b []byte) int {
		first := bytes.IndexByte(b, '\n') + 1
		second := bytes.IndexByte(b[first:], '\n') + 1
		if first == 0 || second == 0 {
			return 0
		}
		return first + second
	}, t.file), nil
}

// family is the kind of sensor, by which its id begins.
func family(address string) string {
	f, _, _ := strings.Cut(address, "-")
	return strings.ToLower(f)
}

// thermometer remembers what makes 85 °C credible.
type thermometer struct {
	family string
	warm   bool // the reading before was near 85 °C, or 85 °C itself
}

// padSize is that of the scratchpad (Maxim DS18B20, "Memory"):
//
//	T low, T high, TH, TL, config, FF, xx, 10, CRC
//
// T is in sixteenths of a degree.
const padSize = 9

// maxim is the checksum's kind.
var maxim = checksum.NewCRC(checksum.CRC{Bits: 8, Poly: 0x31, Reflect: true})

// powerOn is T after the sensor got power, 85 °C: nothing was measured.
const powerOn = 0x0550

// file reads w1_slave, two lines: the scratchpad, with the kernel's opinion on its checksum, and the scratchpad again
// with the temperature, which is not used, since older kernels make it wrong for some resolutions.
//
//	91 01 00 00 7f ff 7f 10 6b : crc=6b YES
//	91 01 00 00 7f ff 7f 10 6b t=25062
func (t *thermometer) file(b []byte) ([]devices.Reading, error) {
	line, _, _ := strings.Cut(string(b), "\n")
	pad, crc, ok := strings.Cut(line, " : ")
	if !ok || !strings.HasSuffix(strings.TrimSpace(crc), "YES") {
		return nil, errors.New("the kernel says that the checksum is wrong")
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(pad, " ", ""))
	if err != nil || len(raw) != padSize {
		return nil, fmt.Errorf("%q is no scratchpad", pad)
	}
	return t.scratchpad(raw)
}

// scratchpad reads what the sensor said.
func (t *thermometer) scratchpad(b []byte) ([]devices.Reading, error) {
	if byte(maxim.Sum(b[:8])) != b[8] {
		return nil, errors.New("the checksum is wrong")
	}
	if b[4] == 0 && b[7] == 0 { // nothing but zeros has a right checksum, too
		return nil, errors.New("nothing but zeros came: the data line is at ground")
	}
	x := int16(uint16(b[0]) | uint16(b[1])<<8)
	if x == powerOn && !t.warm {
		t.warm = true
		return nil, errors.New("85 °C as the first reading: nothing was measured")
	}
	celsius := t.celsius(x, b)
	t.warm = celsius > 75
	if celsius < -55 || celsius > 125 {
		return nil, fmt.Errorf("%v °C is out of the sensor's range", celsius)
	}
	return []devices.Reading{{Name: "temperature", Value: devices.Num(celsius)}}, nil
}

// celsius converts T. A DS18S20 has half degrees, and more digits in what its counter left (its data sheet, "Operation").
func (t *thermometer) celsius(x int16, b []byte) float64 {
	if t.family == "10" {
		if b[7] == 0 {
			return float64(x) / 2
		}
		return float64(x>>1) - 0.25 + (float64(b[7])-float64(b[6]))/float64(b[7])
	}
	undefined := 3 - int(b[4]>>5&3) // lowest bits of a resolution below 12 bits
	return float64(x&^(1<<undefined-1)) / 16
}

// sensor is one thermometer.
type sensor struct {
	m    devices.Machine
	file string
	t    *thermometer
}

func open(o devices.Options, m devices.Machine) (devices.Sensor, error) {
	var x options
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	all, err := fs.ReadDir(m.Files, directory)
	if err != nil {
		return nil, &devices.Trouble{
			Code: devices.Absent, Text: "there is no 1-Wire bus", Err: err,
			Do: "on a Raspberry Pi: dtoverlay=w1-gpio in config.txt, and start it again",
		}
	}
	var there []string
	for _, e := range all {
		if strings.Contains("10 22 28 3b 42", family(e.Name())) && strings.Contains(e.Name(), "-") {
			there = append(there, e.Name())
		}
	}
	id, err := devices.Choose(x.Address, "1-Wire thermometer", there)
	if err != nil {
		return nil, err
	}
	return &sensor{m: m, file: directory + "/" + id + "/w1_slave", t: &thermometer{family: family(id)}}, nil
}

// Close has nothing to close.
func (s *sensor) Close() error { return nil }

// Read makes the sensor measure, which takes 750 ms. A reading that is damaged or not credible is made again, once.
func (s *sensor) Read(emit func(devices.Sample)) error {
	var last error
	for range 2 {
		at := s.m.Now()
		b, err := fs.ReadFile(s.m.Files, s.file)
		if err != nil {
			return &devices.Trouble{Code: devices.Silent, Text: "the sensor does not answer", Err: err, Do: "look at its wires"}
		}
		rs, err := s.t.file(b)
		if err == nil {
			emit(devices.Sample{At: at, Readings: rs})
			return nil
		}
		last = err
	}
	return &devices.Trouble{Code: devices.Unreadable, Text: "what the sensor says can't be right", Err: last, Do: "look at its wires and its pull-up"}
}
