// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"errors"
	"slices"
	"time"

	"edged/devices"
)

type adsOptions struct {
	Bus     string  `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int     `toml:"address" min:"3" max:"119" default:"0x48" text:"of the chip: 0x48 to 0x4b"`
	Channel string  `toml:"channel" values:"0 1 2 3 0-1 0-3 1-3 2-3" default:"0" text:"which input is measured against ground, or which against which; a device for each"`
	Range   float64 `toml:"range" min:"0.256" max:"6.144" default:"4.096" text:"the largest voltage: 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256"`
}

// ADS1115 is the driver of TI's 16 bit converter.
func ADS1115() *devices.Driver { return ads("ads1115", "16", "ADS1115", "ADS1114", 0x80, 0) }

// ADS1015 is the driver of its sister with 12 bits.
func ADS1015() *devices.Driver { return ads("ads1015", "12", "ADS1015", "ADS1014", 0, 4) }

// ads makes the driver of one of them. rate is what stands in its configuration for 128 measurements a second; its lowest
// bits unused are 0.
func ads(name, width, chip, also string, rate uint16, unused int) *devices.Driver {
	saturated := devices.Info{
		Name: "saturated", Class: "problem", Kind: devices.Bool, Optional: true,
		Text: "the voltage is out of range and not told; it is there when it is, and once more when it is no longer",
	}
	return describe(devices.Driver{
		Name: name, Title: "TI " + chip + " analogue to digital converter, " + width + " bits (I²C)", Model: "TI " + chip, Also: []string{also},
		Class: "voltage", Every: 10 * time.Second,
		Notes:    "`edged decode` takes the 2 bytes of a conversion. `scale`, `offset` and `points` of the reading make of its voltage what it stands for.",
		Readings: []devices.Info{{Name: "voltage", Unit: "V", Class: "voltage", Kind: devices.Number, Text: "at the input"}, saturated},
		Options:  devices.OptionsOf(adsOptions{}),
	}, func(o devices.Options) (*model, error) { return newADS(o, rate, unused) }, fakeADS(unused))
}

func newADS(o devices.Options, rate uint16, unused int) (*model, error) {
	var x adsOptions
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	gain := slices.Index([]float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256}, x.Range)
	if gain < 0 {
		return nil, devices.Faults{{Key: "range", Problem: "must be 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256"}}
	}
	mux := slices.Index([]string{"0-1", "0-3", "1-3", "2-3", "0", "1", "2", "3"}, x.Channel)
	// OS (begin), multiplexer, gain, single shot, data rate, comparator off (TI ADS1115, "Config register").
	config := 0x8000 | uint16(mux)<<12 | uint16(gain)<<9 | 0x0100 | rate | 3
	was := false // saturated, the last time
	return &model{
		size: 2,
		ask:  func(c *conn, b []byte) error { return askADS(c, config, b) },
		read: func(b []byte) ([]devices.Reading, error) {
			raw := int16(uint16(b[0])<<8|uint16(b[1])) >> unused
			high, low := int16(0x7fff)>>unused, int16(-0x8000)>>unused
			if b[1]&(1<<unused-1) != 0 {
				return nil, errors.New("bits are set that this chip does not have")
			}
			if raw == high || raw == low {
				was = true
				return []devices.Reading{{Name: "saturated", Value: devices.Flag(true)}}, nil
			}
			rs := []devices.Reading{number("voltage", float64(raw)*x.Range/float64(int32(high)+1), 6)}
			if was {
				rs = append(rs, devices.Reading{Name: "saturated", Value: devices.Flag(false)})
			}
			was = false
			return rs, nil
		},
	}, nil
}

// askADS has the chip convert once. That it still has our configuration says that the conversion is ours.
func askADS(c *conn, config uint16, b []byte) error {
	if err := c.write(1, byte(config>>8), byte(config)); err != nil {
		return err
	}
	for range 5 {
		if err := c.wait(9 * time.Millisecond); err != nil {
			return err
		}
		var now [2]byte
		if err := c.get(1, now[:]); err != nil {
			return err
		}
		switch got := uint16(now[0])<<8 | uint16(now[1]); {
		case got == config:
			return c.get(0, b)
		case got|0x8000 != config:
			return c.strange("its configuration is 0x%04x, want 0x%04x: another program uses it, or it is another chip", got, config)
		}
	}
	return c.late()
}

func fakeADS(unused int) func(devices.Options, uint64, devices.Machine) fake {
	return func(_ devices.Options, seed uint64, _ devices.Machine) fake {
		w := &devices.Wander{Seed: seed}
		var config [2]byte
		return func(wr, r []byte) error {
			if len(wr) == 3 {
				copy(config[:], wr[1:])
			}
			switch {
			case len(r) == 0:
			case wr[0] == 1:
				copy(r, config[:])
			default:
				w.N++
				x := int16(w.Between(9000, 22000, 0)) >> unused << unused
				copy(r, []byte{byte(x >> 8), byte(x)})
			}
			return nil
		}
	}
}
