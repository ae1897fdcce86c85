// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"errors"
	"fmt"
	"math"
	"time"

	"edged/devices"
)

type ina219Options struct {
	Bus     string  `toml:"bus" default:"i2c-1" text:"the I²C bus, as the kernel names it"`
	Address int     `toml:"address" min:"3" max:"119" default:"0x40" text:"of the chip: 0x40 to 0x4f"`
	Shunt   float64 `toml:"shunt" min:"0.0001" max:"100" default:"0.1" text:"the resistor that the current flows through, in ohms"`
	Step    float64 `toml:"current_lsb" min:"0.0000001" max:"1" default:"0.00009765625" text:"the smallest current that is told, in amperes: the largest expected one divided by 32768"`
}

// INA219 is the driver of TI's current and voltage monitor.
func INA219() *devices.Driver {
	n := func(name, unit, class, text string) devices.Info {
		return devices.Info{Name: name, Unit: unit, Class: class, Text: text, Kind: devices.Number}
	}
	current, power := n("current", "A", "current", "through the shunt"), n("power", "W", "power", "of the load")
	current.Optional, power.Optional = true, true
	return describe(devices.Driver{
		Name: "ina219", Title: "TI INA219 current, voltage and power monitor (I²C)", Model: "TI INA219", Class: "energy", Every: 10 * time.Second,
		Notes: "`edged decode` takes 6 bytes: registers 1 (shunt voltage), 2 (bus voltage) and 4 (current). A current that is too large to be told is absent.",
		Readings: []devices.Info{
			n("shunt_voltage", "mV", "voltage", "across the shunt"), n("voltage", "V", "voltage", "of the load, against ground"), current, power,
		},
		Options: devices.OptionsOf(ina219Options{}),
	}, newINA219, fakeINA219)
}

// resetConfig is the chip's configuration after it got power: 32 V, 320 mV, 12 bits, continuously.
const resetConfig = 0x399f

func newINA219(o devices.Options) (*model, error) {
	var x ina219Options
	if err := o.Decode(&x); err != nil {
		return nil, err
	}
	calib := calibrationOf(x.Shunt, x.Step)
	if calib < 2 || calib > 0xfffe {
		return nil, devices.Faults{{Key: "current_lsb", Problem: fmt.Sprintf("does not go with a shunt of %v Ω: 0.04096 / (current_lsb × shunt) must be 2 to 65534", x.Shunt)}}
	}
	step := 0.04096 / (float64(calib) * x.Shunt)
	return &model{
		size: 6,
		start: func(c *conn) error {
			if err := c.write(0, resetConfig>>8, resetConfig&0xff); err != nil {
				return err
			}
			if err := c.write(5, byte(calib>>8), byte(calib)); err != nil {
				return err
			}
			return c.wait(2 * time.Millisecond) // until both voltages are measured
		},
		ask: func(c *conn, b []byte) error { return askINA219(c, uint16(calib), b) },
		read: func(b []byte) ([]devices.Reading, error) {
			shunt, bus := int16(uint16(b[0])<<8|uint16(b[1])), uint16(b[2])<<8|uint16(b[3])
			current := int16(uint16(b[4])<<8 | uint16(b[5]))
			volts := float64(bus>>3) * 0.004
			if volts > 32 {
				return nil, errors.New("more than 32 V can't be")
			}
			rs := []devices.Reading{number("shunt_voltage", float64(shunt)*0.01, 2), number("voltage", volts, 3)}
			if bus&1 == 0 { // else the chip says that its numbers overflowed
				amperes := float64(current) * step
				rs = append(rs, number("current", amperes, 6), number("power", amperes*volts, 6))
			}
			return rs, nil
		},
	}, nil
}

// calibrationOf is what stands in register 5 (TI INA219, "Programming the calibration register"), of which the lowest bit
// can't be set.
func calibrationOf(shunt, step float64) int {
	return 2 * int(math.Round(min(0.04096/(step*shunt), 1e6)/2))
}

// askINA219 reads the registers. The calibration is gone when the chip had no power meanwhile: then its current is 0,
// whatever flows.
func askINA219(c *conn, calib uint16, b []byte) error {
	for i, register := range []byte{1, 2, 4} {
		if err := c.get(register, b[2*i:2*i+2]); err != nil {
			return err
		}
	}
	for _, register := range []byte{0, 5} {
		want := map[byte]uint16{0: resetConfig, 5: calib}[register]
		var now [2]byte
		if err := c.get(register, now[:]); err != nil {
			return err
		}
		if got := uint16(now[0])<<8 | uint16(now[1]); got != want {
			return c.strange("register %d is 0x%04x, want 0x%04x: it lost its supply meanwhile, or it is another chip", register, got, want)
		}
	}
	return nil
}

func fakeINA219(_ devices.Options, seed uint64, _ devices.Machine) fake {
	w := &devices.Wander{Seed: seed}
	registers := [6]uint16{}
	return func(wr, r []byte) error {
		if len(wr) == 3 && wr[0] < 6 {
			registers[wr[0]] = uint16(wr[1])<<8 | uint16(wr[2])
		}
		if len(r) == 0 || wr[0] > 5 {
			return nil
		}
		if wr[0] == 1 {
			w.N++
			registers[1] = uint16(w.Between(400, 3000, 0))
			registers[2] = uint16(w.Between(2950, 3050, 1))<<3 | 2
			registers[4] = uint16(uint32(registers[1]) * uint32(registers[5]) / 4096)
		}
		copy(r, []byte{byte(registers[wr[0]] >> 8), byte(registers[wr[0]])})
		return nil
	}
}
