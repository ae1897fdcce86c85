// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edged/devices"
)

type bmx280Options struct {
	Bus     string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int    `toml:"address" min:"3" max:"119" default:"0x76" text:"of the chip: 0x76 or 0x77"`
}

// Registers of the BME280 and BMP280 (Bosch BME280, "Memory map").
const (
	bmxID       = 0xd0
	bmxHumidity = 0xf2
	bmxStatus   = 0xf3
	bmxMeasure  = 0xf4
	bmxConfig   = 0xf5
	bmxData     = 0xf7
	bmeID       = 0x60
	bmpID       = 0x58
	bmxForced   = 0x25 // once each, then sleep
	measuring   = 0x08
)

// Bytes of a measurement: the calibration of registers 88 to A1, of the BME280 also E1 to E7, then the data.
const (
	calibration = 26
	calibHum    = 7
	bmpSize     = calibration + 6
	bmeSize     = calibration + calibHum + 8
)

// BME280 is the driver of Bosch's BME280.
func BME280() *devices.Driver {
	readings := append(pressure(), info("humidity", "%", "humidity", "relative, of the air", 0, 100))
	return describe(devices.Driver{
		Name: "bme280", Title: "Bosch BME280 temperature, pressure and humidity sensor (I²C)", Model: "Bosch BME280",
		Class: "climate", Every: 10 * time.Second,
		Notes:    "`edged decode` takes 41 bytes: registers 88 to A1, E1 to E7 and F7 to FE.",
		Readings: readings, Options: devices.OptionsOf(bmx280Options{}),
	}, bmx280(bmeID, bmeSize), func(_ devices.Options, seed uint64, _ devices.Machine) fake { return fakeBMX280(seed, bmeID) })
}

// BMP280 is the driver of Bosch's BMP280.
func BMP280() *devices.Driver {
	return describe(devices.Driver{
		Name: "bmp280", Title: "Bosch BMP280 temperature and pressure sensor (I²C)", Model: "Bosch BMP280",
		Class: "climate", Every: 10 * time.Second,
		Notes:    "`edged decode` takes 32 bytes: registers 88 to A1 and F7 to FC.",
		Readings: pressure(), Options: devices.OptionsOf(bmx280Options{}),
	}, bmx280(bmpID, bmpSize), func(_ devices.Options, seed uint64, _ devices.Machine) fake { return fakeBMX280(seed, bmpID) })
}

func pressure() []devices.Info {
	return []devices.Info{
		info("temperature", "°C", "temperature", "of the chip, a little above that of the air", -40, 85),
		info("pressure", "hPa", "atmospheric_pressure", "of the air, where the chip is", 300, 1100),
	}
}

func bmx280(id byte, size int) func(o devices.Options) (*model, error) {
	return func(o devices.Options) (*model, error) {
		m := &model{size: size}
		var calib []byte
		m.start = func(c *conn) (err error) {
			calib, err = startBMX280(c, id)
			return err
		}
		m.ask = func(c *conn, b []byte) error {
			copy(b, calib)
			return askBMX280(c, b[len(calib):])
		}
		m.read = readBMX280
		return m, o.Decode(&bmx280Options{})
	}
}

// startBMX280 makes sure that it is the right chip, and reads its calibration.
func startBMX280(c *conn, want byte) ([]byte, error) {
	var id [1]byte
	if err := c.get(bmxID, id[:]); err != nil {
		return nil, err
	}
	if id[0] != want {
		known := map[byte]string{bmeID: `a BME280: driver = "bme280"`, bmpID: `a BMP280: driver = "bmp280"`, 0x61: "a BME680", 0x55: "a BMP180"}
		if what, ok := known[id[0]]; ok {
			return nil, c.strange("is %s", what)
		}
		return nil, c.strange("what answers has the id 0x%02x, want 0x%02x", id[0], want)
	}
	calib := make([]byte, calibration, bmeSize)
	if err := c.get(0x88, calib); err != nil {
		return nil, err
	}
	if want == bmeID {
		calib = calib[:calibration+calibHum]
		if err := c.get(0xe1, calib[calibration:]); err != nil {
			return nil, err
		}
	}
	return calib, nil
}

// askBMX280 has the chip measure once, with all settings, since it may have lost them with its supply. That of the
// humidity takes effect with the one that follows it.
func askBMX280(c *conn, data []byte) error {
	if err := c.write(bmxHumidity, 1); err != nil {
		return err
	}
	if err := c.write(bmxConfig, 0); err != nil {
		return err
	}
	if err := c.write(bmxMeasure, bmxForced); err != nil {
		return err
	}
	for range 5 {
		if err := c.wait(10 * time.Millisecond); err != nil { // 9.3 ms at most
			return err
		}
		var status [1]byte
		if err := c.get(bmxStatus, status[:]); err != nil {
			return err
		}
		if status[0]&measuring == 0 {
			return c.get(bmxData, data)
		}
	}
	return c.late()
}

// readBMX280 computes what the chip measured (Bosch BME280, "Compensation formulas in double precision").
func readBMX280(b []byte) ([]devices.Reading, error) {
	k, humid := parseCalibration(b[:calibration]), len(b) == bmeSize
	data := b[calibration:]
	if humid {
		k.humidity(b[25], data[:calibHum])
		data = data[calibHum:]
	}
	rawP := int32(data[0])<<12 | int32(data[1])<<4 | int32(data[2])>>4
	rawT := int32(data[3])<<12 | int32(data[4])<<4 | int32(data[5])>>4
	const skipped = 0x80000 // the channel was not measured
	if k.t[0] == 0 || k.p[0] == 0 || rawT == skipped || rawP == skipped || rawT == 0xfffff {
		return nil, errors.New("nothing was measured")
	}
	fine, t := k.temperature(float64(rawT))
	p := k.pressure(float64(rawP), fine)
	if t < -40 || t > 85 || p < 300 || p > 1100 {
		return nil, fmt.Errorf("%.1f °C and %.0f hPa are out of the chip's range", t, p)
	}
	rs := []devices.Reading{number("temperature", t, 4), number("pressure", p, 4)}
	if humid {
		rawH := uint16(data[6])<<8 | uint16(data[7])
		if rawH == 0x8000 {
			return nil, errors.New("the humidity was not measured")
		}
		rs = append(rs, number("humidity", k.relative(float64(rawH), fine), 4))
	}
	return rs, nil
}

// constants are those that the maker measured for one chip.
type constants struct {
	t [3]float64
	p [9]float64
	h [6]float64
}

// parseCalibration reads T1 to T3 and P1 to P9, of which the first are unsigned.
func parseCalibration(b []byte) *constants {
	k := &constants{}
	for i := range 12 {
		x := uint16(b[2*i]) | uint16(b[2*i+1])<<8
		v := float64(int16(x))
		if i == 0 || i == 3 {
			v = float64(x)
		}
		if i < 3 {
			k.t[i] = v
		} else {
			k.p[i-3] = v
		}
	}
	return k
}

// humidity reads H1, and H2 to H6 of registers E1 to E7:
//
//	H2 low, H2 high, H3, H4 >> 4, H5 low << 4 | H4 low, H5 >> 4, H6
func (k *constants) humidity(h1 byte, b []byte) {
	k.h = [6]float64{
		float64(h1), float64(int16(uint16(b[0]) | uint16(b[1])<<8)), float64(b[2]),
		float64(int16(int8(b[3]))<<4 | int16(b[4]&15)), float64(int16(int8(b[5]))<<4 | int16(b[4]>>4)), float64(int8(b[6])),
	}
}

func (k *constants) temperature(raw float64) (fine, celsius float64) {
	a := (raw/16384 - k.t[0]/1024) * k.t[1]
	d := raw/131072 - k.t[0]/8192
	fine = a + d*d*k.t[2]
	return fine, fine / 5120
}

// pressure is in hPa.
func (k *constants) pressure(raw, fine float64) float64 {
	a := fine/2 - 64000
	b := a*a*k.p[5]/32768 + a*k.p[4]*2
	b = b/4 + k.p[3]*65536
	a = (k.p[2]*a*a/524288 + k.p[1]*a) / 524288
	a = (1 + a/32768) * k.p[0]
	if a == 0 {
		return 0
	}
	p := (1048576 - raw - b/4096) * 6250 / a
	a = k.p[8] * p * p / 2147483648
	b = p * k.p[7] / 32768
	return (p + (a+b+k.p[6])/16) / 100
}

// relative is in percent.
func (k *constants) relative(raw, fine float64) float64 {
	h := fine - 76800
	h = (raw - (k.h[3]*64 + k.h[4]/16384*h)) * (k.h[1] / 65536 * (1 + k.h[5]/67108864*h*(1+k.h[2]/67108864*h)))
	h *= 1 - k.h[0]*h/524288
	return max(0, min(100, h))
}

// exampleCalibration is that of a chip of periph's tests.
var exampleCalibration = [...]byte{
	0x10, 0x6e, 0x6c, 0x66, 0x32, 0x00, 0x5d, 0x95, 0xb8, 0xd5, 0xd0, 0x0b, 0x77, 0x1e, 0x9d, 0xff, 0xf9, 0xff, 0xac, 0x26, 0x0a, 0xd8,
	0xbd, 0x10, 0x00, 0x4b, 0x6e, 0x01, 0x00, 0x13, 0x05, 0x00, 0x1e,
}

// fakeBMX280 is that chip in a room.
func fakeBMX280(seed uint64, id byte) fake {
	w := &devices.Wander{Seed: seed}
	return func(wr, r []byte) error {
		if len(r) == 0 {
			return nil
		}
		switch wr[0] {
		case bmxID:
			r[0] = id
		case bmxStatus:
			r[0] = 0
		case 0x88:
			copy(r, exampleCalibration[:calibration])
		case 0xe1:
			copy(r, exampleCalibration[calibration:])
		case bmxData:
			w.N++
			p, t, h := int(w.Between(308000, 312000, 1)), int(w.Between(522000, 530000, 0)), int(w.Between(28000, 31000, 2))
			copy(r, slices.Concat([]byte{byte(p >> 12), byte(p >> 4), byte(p << 4)}, []byte{byte(t >> 12), byte(t >> 4), byte(t << 4)}, []byte{byte(h >> 8), byte(h)}))
		}
		return nil
	}
}
