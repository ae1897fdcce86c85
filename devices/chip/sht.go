// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"time"

	"edged/devices"
)

type sht4xOptions struct {
	Bus     string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int    `toml:"address" min:"3" max:"119" default:"0x44" text:"of the chip: 0x44, 0x45 or 0x46"`
}

type sht3xOptions struct {
	Bus     string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int    `toml:"address" min:"3" max:"119" default:"0x44" text:"of the chip: 0x44 or 0x45"`
}

// climate are the readings of a chip that measures temperature and humidity.
func climate(low, high float64) []devices.Info {
	return []devices.Info{
		info("temperature", "°C", "temperature", "of the air", low, high),
		info("humidity", "%", "humidity", "relative, of the air", 0, 100),
	}
}

// SHT4x is the driver of Sensirion's SHT40, SHT41 and SHT45.
func SHT4x() *devices.Driver {
	return describe(devices.Driver{
		Name: "sht4x", Title: "Sensirion SHT4x temperature and humidity sensors (I²C)", Model: "Sensirion SHT4x",
		Also: []string{"SHT40", "SHT41", "SHT45"}, Class: "climate", Every: 10 * time.Second,
		Notes:    "`edged decode` takes the 6 bytes of a measurement.",
		Readings: climate(-45, 130), Options: devices.OptionsOf(sht4xOptions{}),
	}, func(o devices.Options) (*model, error) {
		return sht([]byte{0xfd}, 10*time.Millisecond, -6, 125), o.Decode(&sht4xOptions{})
	}, func(_ devices.Options, seed uint64, _ devices.Machine) fake { return fakeSHT(seed, -6, 125) })
}

// SHT3x is the driver of Sensirion's SHT30, SHT31 and SHT35.
func SHT3x() *devices.Driver {
	return describe(devices.Driver{
		Name: "sht3x", Title: "Sensirion SHT3x temperature and humidity sensors (I²C)", Model: "Sensirion SHT3x",
		Also: []string{"SHT30", "SHT31", "SHT35"}, Class: "climate", Every: 10 * time.Second,
		Notes:    "`edged decode` takes the 6 bytes of a measurement.",
		Readings: climate(-45, 130), Options: devices.OptionsOf(sht3xOptions{}),
	}, func(o devices.Options) (*model, error) {
		return sht([]byte{0x24, 0x00}, 16*time.Millisecond, 0, 100), o.Decode(&sht3xOptions{})
	}, func(_ devices.Options, seed uint64, _ devices.Machine) fake { return fakeSHT(seed, 0, 100) })
}

// sht reads 6 bytes: T, CRC, RH, CRC (Sensirion SHT4x, "Conversion of signal output"; the SHT3x has another line for RH).
func sht(command []byte, takes time.Duration, dry, span float64) *model {
	return &model{
		size: 6,
		ask: func(c *conn, b []byte) error {
			if err := c.tx(command, nil); err != nil {
				return err
			}
			if err := c.wait(takes); err != nil {
				return err
			}
			return c.tx(nil, b)
		},
		read: func(b []byte) ([]devices.Reading, error) {
			w, err := words(b)
			if err != nil {
				return nil, err
			}
			humidity := dry + span*float64(w[1])/65535
			return []devices.Reading{
				number("temperature", -45+175*float64(w[0])/65535, 3),
				number("humidity", max(0, min(100, humidity)), 3),
			}, nil
		},
	}
}

// fakeSHT answers each measurement.
func fakeSHT(seed uint64, dry, span float64) fake {
	w := &devices.Wander{Seed: seed}
	return func(_, r []byte) error {
		if len(r) == 0 {
			return nil
		}
		w.N++
		b := appendWord(nil, uint16((w.Between(19, 24, 0)+45)/175*65535))
		copy(r, appendWord(b, uint16((w.Between(35, 60, 1)-dry)/span*65535)))
		return nil
	}
}
