// SPDX-License-Identifier: Apache-2.0

package mbus

import (
	"encoding/binary"
	"math"

	"edged/devices"
)

// records reads one record after another: DIF, DIFEs, VIF, VIFEs, data (EN 13757-3, 6.3). Manufacturer's data ends them.
func (t *telegram) records(b []byte) {
	for len(b) > 0 {
		dif := b[0]
		b = b[1:]
		if dif == 0x2f { // filler
			continue
		}
		if dif&0x0f == 0x0f {
			return
		}
		for more := dif; more >= 0x80; {
			if len(b) == 0 {
				return
			}
			more, b = b[0], b[1:]
		}
		v, rest, ok := unit(b)
		if !ok {
			return
		}
		n := size(dif, rest)
		if n < 0 || n > len(rest) {
			return
		}
		if x, ok := number(dif, rest[:n]); ok && v.name != "" {
			t.add(v.name, devices.Num(devices.NewLinear(v.scale, 0).Apply(x)))
		}
		b = rest[n:]
	}
}

// quantity is what a record measures: its number × scale is in the reading's unit.
type quantity struct {
	name  string // "": nothing that is read
	scale float64
}

// unit reads VIF and VIFEs.
func unit(b []byte) (q quantity, rest []byte, ok bool) {
	if len(b) == 0 {
		return q, nil, false
	}
	vif := b[0]
	b = b[1:]
	more := vif
	switch vif {
	case 0xfd, 0xfb:
		if len(b) == 0 {
			return q, nil, false
		}
		if more = b[0]; vif == 0xfd {
			q = second(more & 0x7f)
		} else {
			q = first(more & 0x7f)
		}
		b = b[1:]
	case 0x7c, 0xfc: // its name in letters, the last one first
		if len(b) == 0 || int(b[0]) >= len(b) {
			return q, nil, false
		}
		if n := int(b[0]); n == 3 && string(b[1:4]) == "HR%" {
			q = quantity{"humidity", 1}
		}
		b = b[1+int(b[0]):]
	default:
		q = primary(vif & 0x7f)
	}
	for more >= 0x80 {
		if len(b) == 0 {
			return q, nil, false
		}
		if more, b = b[0], b[1:]; more&0x78 == 0x70 { // times a power of ten
			q.scale *= math.Pow10(int(more&7) - 6)
		}
		if more == 0xff { // of the maker's own, whatever it means
			continue
		}
	}
	return q, b, true
}

// primary is the table of VIFs.
func primary(vif byte) quantity {
	n, m := int(vif&7), int(vif&3)
	times := [4]float64{1, 60, 3600, 86400}
	switch {
	case vif < 0x08:
		return quantity{"energy", math.Pow10(n - 6)} // Wh
	case vif < 0x10:
		return quantity{"energy", math.Pow10(n) / 3.6e6} // J
	case vif < 0x18:
		return quantity{"volume", math.Pow10(n - 6)}
	case vif < 0x20:
		return quantity{"mass", math.Pow10(n - 3)}
	case vif < 0x24:
		return quantity{"on_time", times[m]}
	case vif < 0x28:
		return quantity{"operating_time", times[m]}
	case vif < 0x30:
		return quantity{"power", math.Pow10(n - 3)}
	case vif < 0x38:
		return quantity{"power", math.Pow10(n) / 3600} // J/h
	case vif < 0x40:
		return quantity{"flow", math.Pow10(n - 6)}
	case vif < 0x48:
		return quantity{"flow", 60 * math.Pow10(n-7)} // m³/min
	case vif < 0x50:
		return quantity{"flow", 3600 * math.Pow10(n-9)} // m³/s
	case vif >= 0x58 && vif < 0x68:
		return quantity{[]string{"flow_temperature", "return_temperature", "temperature_difference", "external_temperature"}[vif>>2-0x16], math.Pow10(m - 3)}
	case vif >= 0x68 && vif < 0x6c:
		return quantity{"pressure", 1000 * math.Pow10(m-3)} // bar
	}
	return quantity{}
}

// second is the table behind FD.
func second(vif byte) quantity {
	switch {
	case vif == 0x17:
		return quantity{"error_flags", 1}
	case vif >= 0x40 && vif < 0x50:
		return quantity{"voltage", math.Pow10(int(vif&15) - 9)}
	case vif >= 0x50 && vif < 0x60:
		return quantity{"current", math.Pow10(int(vif&15) - 12)}
	}
	return quantity{}
}

// first is the table behind FB.
func first(vif byte) quantity {
	switch {
	case vif < 0x02:
		return quantity{"energy", 1000 * math.Pow10(int(vif&1)-1)} // MWh
	case vif >= 0x08 && vif < 0x0a:
		return quantity{"energy", math.Pow10(int(vif&1)-1) / 3.6e-3} // GJ
	case vif >= 0x10 && vif < 0x12:
		return quantity{"volume", math.Pow10(int(vif&1) + 2)}
	}
	return quantity{}
}

// size gives the bytes of a record's data; -1 when they can't be told.
func size(dif byte, b []byte) int {
	switch n := int(dif & 0x0f); n {
	case 0x05:
		return 4
	case 0x07:
		return 8
	case 0x08:
		return 0
	case 0x0d: // of variable length, told by a first byte
		if len(b) == 0 || b[0] > 0xbf {
			return -1
		}
		return 1 + int(b[0])
	case 0x0e:
		return 6
	default:
		return n & 7 // integers of 0 to 4 and 6 bytes; 9 to 12: as many bytes with two digits each
	}
}

// number reads a record's data; ok is false for what is no number.
func number(dif byte, b []byte) (x float64, ok bool) {
	switch n := dif & 0x0f; {
	case n == 5:
		x = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		return x, !math.IsNaN(x) && !math.IsInf(x, 0)
	case n >= 1 && n <= 7:
		v := int64(int8(b[len(b)-1]))
		for i := len(b) - 2; i >= 0; i-- {
			v = v<<8 | int64(b[i])
		}
		return float64(v), true
	case n >= 9 && n != 0x0d && n != 0x0f:
		v, ok := bcd(b)
		return float64(v), ok
	}
	return 0, false
}
