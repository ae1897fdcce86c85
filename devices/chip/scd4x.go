// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"errors"
	"time"

	"edged/devices"
)

type scd4xOptions struct {
	Bus      string `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address  int    `toml:"address" min:"3" max:"119" default:"0x62" text:"of the chip"`
	Altitude int    `toml:"altitude" min:"0" max:"3000" default:"0" text:"where it is, in metres above the sea: the reading depends on the air's pressure"`
}

// Commands of the SCD4x (its data sheet, "I2C commands").
const (
	scdStart    = 0x21b1 // measure every 5 s
	scdStop     = 0x3f86
	scdRead     = 0xec05
	scdReady    = 0xe4b8
	scdSerial   = 0x3682
	scdAltitude = 0x2427
)

// SCD4x is the driver of Sensirion's SCD40 and SCD41.
func SCD4x() *devices.Driver {
	readings := append([]devices.Info{info("co2", "ppm", "carbon_dioxide", "carbon dioxide in the air", 0, 40000)}, climate(-45, 130)...)
	return describe(devices.Driver{
		Name: "scd4x", Title: "Sensirion SCD4x CO2 sensors (I²C)", Model: "Sensirion SCD4x", Also: []string{"SCD40", "SCD41"},
		Class: "air", Every: 10 * time.Second,
		Notes:    "It measures every 5 s. `edged decode` takes the 9 bytes of a measurement.",
		Readings: readings, Options: devices.OptionsOf(scd4xOptions{}),
	}, func(o devices.Options) (*model, error) {
		var x scd4xOptions
		err := o.Decode(&x)
		return &model{
			size: 9, ask: askSCD4x, read: readSCD4x,
			start: func(c *conn) error { return startSCD4x(c, uint16(x.Altitude)) },
		}, err
	}, fakeSCD4x)
}

func scd(c *conn, command uint16, r []byte, takes time.Duration) error {
	if err := c.write(byte(command>>8), byte(command)); err != nil {
		return err
	}
	if err := c.wait(takes); err != nil || r == nil {
		return err
	}
	return c.tx(nil, r)
}

// startSCD4x stops what an earlier run began, since nothing else is taken meanwhile, and begins anew.
func startSCD4x(c *conn, altitude uint16) error {
	if err := scd(c, scdStop, nil, 500*time.Millisecond); err != nil {
		return err
	}
	var serial [9]byte
	if err := scd(c, scdSerial, serial[:], time.Millisecond); err != nil {
		return err
	}
	if _, err := words(serial[:]); err != nil {
		return c.strange("what answers has no serial number as an SCD4x has: %v", err)
	}
	w := appendWord([]byte{scdAltitude >> 8, scdAltitude & 0xff}, altitude)
	if err := c.tx(w, nil); err != nil {
		return err
	}
	if err := c.wait(time.Millisecond); err != nil {
		return err
	}
	return scd(c, scdStart, nil, 5*time.Second)
}

func askSCD4x(c *conn, b []byte) error {
	for range 12 {
		var ready [3]byte
		if err := scd(c, scdReady, ready[:], time.Millisecond); err != nil {
			return err
		}
		w, err := words(ready[:])
		if err == nil && w[0]&0x7ff != 0 {
			return scd(c, scdRead, b, time.Millisecond)
		}
		if err := c.wait(500 * time.Millisecond); err != nil {
			return err
		}
	}
	return c.late()
}

// readSCD4x reads three words, CO2, T and RH.
func readSCD4x(b []byte) ([]devices.Reading, error) {
	w, err := words(b)
	switch {
	case err != nil:
		return nil, err
	case w[0] == 0 || w[0] > 40000:
		return nil, errors.New("no CO2 was measured")
	}
	return []devices.Reading{
		number("co2", float64(w[0]), 0),
		number("temperature", -45+175*float64(w[1])/65535, 3),
		number("humidity", 100*float64(w[2])/65535, 3),
	}, nil
}

func fakeSCD4x(_ devices.Options, seed uint64, m devices.Machine) fake {
	w := &devices.Wander{Seed: seed}
	var command uint16
	var next time.Time // of the measurement
	return func(wr, r []byte) error {
		if len(wr) >= 2 {
			command = uint16(wr[0])<<8 | uint16(wr[1])
			if command == scdStart {
				next = m.Now().Add(5 * time.Second)
			}
		}
		if len(r) == 0 {
			return nil
		}
		var b []byte
		switch command {
		case scdReady:
			var ready uint16 = 0x8000
			if !next.IsZero() && !m.Now().Before(next) {
				ready |= 6
			}
			b = appendWord(b, ready)
		case scdRead:
			w.N++
			next = m.Now().Add(5 * time.Second)
			b = appendWord(b, uint16(w.Between(450, 1400, 2)))
			b = appendWord(b, uint16((w.Between(19, 24, 0)+45)/175*65535))
			b = appendWord(b, uint16(w.Between(35, 60, 1)/100*65535))
		default:
			b = appendWord(appendWord(appendWord(b, 0xf896), 0x31c3), uint16(seed))
		}
		copy(r, b)
		return nil
	}
}
