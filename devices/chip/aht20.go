// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"errors"
	"time"

	"edged/devices"
)

type aht20Options struct {
	Bus     string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int    `toml:"address" min:"3" max:"119" default:"0x38" text:"of the chip"`
}

// Bits of the AHT20's status.
const (
	ahtBusy       = 0x80
	ahtCalibrated = 0x08
)

// AHT20 is the driver of Aosong's AHT20, AHT21 and DHT20.
func AHT20() *devices.Driver {
	return describe(devices.Driver{
		Name: "aht20", Title: "Aosong AHT20 temperature and humidity sensor (I²C)", Model: "Aosong AHT20",
		Also: []string{"AHT21", "DHT20"}, Class: "climate", Every: 10 * time.Second,
		Notes:    "`edged decode` takes the 7 bytes of a measurement.",
		Readings: climate(-50, 150), Options: devices.OptionsOf(aht20Options{}),
	}, func(o devices.Options) (*model, error) {
		return &model{size: 7, start: startAHT20, ask: askAHT20, read: readAHT20}, o.Decode(&aht20Options{})
	}, fakeAHT20)
}

// startAHT20 has the chip load its calibration (Aosong AHT20, "Sensor reading process").
func startAHT20(c *conn) error {
	var status [1]byte
	if err := c.get(0x71, status[:]); err != nil || status[0]&ahtCalibrated != 0 {
		return err
	}
	if err := c.write(0xbe, 0x08, 0x00); err != nil {
		return err
	}
	return c.wait(10 * time.Millisecond)
}

func askAHT20(c *conn, b []byte) error {
	if err := c.write(0xac, 0x33, 0x00); err != nil {
		return err
	}
	for range 4 { // 80 ms by the data sheet
		if err := c.wait(80 * time.Millisecond); err != nil {
			return err
		}
		if err := c.tx(nil, b); err != nil || b[0]&ahtBusy == 0 {
			return err
		}
	}
	return c.late()
}

// readAHT20 reads a status, RH and T of 20 bits each, and the checksum.
func readAHT20(b []byte) ([]devices.Reading, error) {
	switch {
	case byte(sensirion.Sum(b[:6])) != b[6]:
		return nil, errSum
	case b[0]&ahtBusy != 0:
		return nil, errors.New("the measurement was not finished")
	case b[0]&ahtCalibrated == 0:
		return nil, errors.New("the chip lost its calibration")
	}
	rh := uint32(b[1])<<12 | uint32(b[2])<<4 | uint32(b[3])>>4
	t := uint32(b[3]&15)<<16 | uint32(b[4])<<8 | uint32(b[5])
	return []devices.Reading{
		number("temperature", float64(t)/(1<<20)*200-50, 3),
		number("humidity", float64(rh)/(1<<20)*100, 3),
	}, nil
}

func fakeAHT20(_ devices.Options, seed uint64, _ devices.Machine) fake {
	w := &devices.Wander{Seed: seed}
	return func(_, r []byte) error {
		if len(r) == 1 {
			r[0] = ahtCalibrated
		}
		if len(r) < 7 {
			return nil
		}
		w.N++
		rh := uint32(w.Between(35, 60, 1) / 100 * (1 << 20))
		t := uint32((w.Between(19, 24, 0) + 50) / 200 * (1 << 20))
		b := []byte{0x10 | ahtCalibrated, byte(rh >> 12), byte(rh >> 4), byte(rh<<4) | byte(t>>16), byte(t >> 8), byte(t)}
		copy(r, append(b, byte(sensirion.Sum(b))))
		return nil
	}
}
