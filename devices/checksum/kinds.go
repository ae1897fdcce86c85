// SPDX-License-Identifier: Apache-2.0

package checksum

import "slices"

// New makes a kind by its name, one of Names.
func New(name string) (k *Kind, ok bool) {
	for _, s := range sums() {
		if s.name == name {
			return &Kind{size: s.size, form: s.form}, true
		}
	}
	c, ok := named()[name]
	if !ok {
		return nil, false
	}
	return NewCRC(c), true
}

// Names gives the names of all kinds: the sums, then the CRCs.
func Names() []string {
	var names, crcs []string
	for _, s := range sums() {
		names = append(names, s.name)
	}
	for name := range named() {
		crcs = append(crcs, name)
	}
	slices.Sort(crcs)
	return append(names, crcs...)
}

// named are CRCs by the names that data sheets use, with the parameters of the catalogue and its check values in the
// tests.
func named() map[string]CRC {
	return map[string]CRC{
		"crc8":           {8, 0x07, 0, 0, false}, // CRC-8/SMBUS
		"crc8-maxim":     {8, 0x31, 0, 0, true},  // Dallas 1-Wire
		"crc8-sensirion": {8, 0x31, 0xff, 0, false},
		"crc8-j1850":     {8, 0x1d, 0xff, 0xff, false},
		"crc8-dvb-s2":    {8, 0xd5, 0, 0, false},
		"crc16-modbus":   {16, 0x8005, 0xffff, 0, true},
		"crc16-arc":      {16, 0x8005, 0, 0, true}, // also CRC-16/IBM
		"crc16-usb":      {16, 0x8005, 0xffff, 0xffff, true},
		"crc16-buypass":  {16, 0x8005, 0, 0, false},
		"crc16-ccitt":    {16, 0x1021, 0xffff, 0, false}, // also CCITT-FALSE, IBM-3740
		"crc16-xmodem":   {16, 0x1021, 0, 0, false},
		"crc16-kermit":   {16, 0x1021, 0, 0, true}, // the CCITT's own
		"crc16-x25":      {16, 0x1021, 0xffff, 0xffff, true},
		"crc16-genibus":  {16, 0x1021, 0xffff, 0xffff, false},
		"crc16-dnp":      {16, 0x3d65, 0, 0xffff, true},
		"crc32":          {32, 0x04c11db7, 0xffffffff, 0xffffffff, true},
		"crc32-mpeg2":    {32, 0x04c11db7, 0xffffffff, 0, false},
		"crc32-bzip2":    {32, 0x04c11db7, 0xffffffff, 0xffffffff, false},
		"crc32c":         {32, 0x1edc6f41, 0xffffffff, 0xffffffff, true},
	}
}

// form is a checksum that is no CRC.
type form uint8

const (
	sum8 form = iota
	neg8
	not8
	xor8
	sum16
	neg16
	fletcher16
)

func sums() []struct {
	name string
	form form
	size int
} {
	return []struct {
		name string
		form form
		size int
	}{
		{"sum8", sum8, 1},
		{"neg8", neg8, 1},
		{"not8", not8, 1},
		{"xor8", xor8, 1},
		{"sum16", sum16, 2},
		{"neg16", neg16, 2},
		{"fletcher16", fletcher16, 2},
	}
}

// sum computes it; a switch and not a function's value, so that p stays where it is.
func (f form) sum(p []byte) uint32 {
	switch f {
	case neg8:
		return -add(p) & 0xff
	case not8:
		return ^add(p) & 0xff
	case xor8:
		return xor(p)
	case sum16:
		return add(p) & 0xffff
	case neg16:
		return -add(p) & 0xffff
	case fletcher16:
		return fletcher(p)
	}
	return add(p) & 0xff
}

func add(p []byte) uint32 {
	var sum uint32
	for _, x := range p {
		sum += uint32(x)
	}
	return sum
}

func xor(p []byte) uint32 {
	var sum byte
	for _, x := range p {
		sum ^= x
	}
	return uint32(sum)
}

// fletcher is that of RFC 1145 modulo 256, as u-blox uses it: first sum, then sum of sums.
func fletcher(p []byte) uint32 {
	var a, b byte
	for _, x := range p {
		a += x
		b += a
	}
	return uint32(a)<<8 | uint32(b)
}
