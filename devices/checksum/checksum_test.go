// SPDX-License-Identifier: Apache-2.0

package checksum_test

import (
	"testing"

	"edged/devices/checksum"
)

// TestCheckValues compares with what "123456789" gives by the catalogue of parametrised CRC algorithms.
func TestCheckValues(t *testing.T) {
	want := map[string]uint32{
		"sum8": 0xdd, "neg8": 0x23, "not8": 0x22, "xor8": 0x31, "sum16": 0x01dd, "neg16": 0xfe23, "fletcher16": 0xdd15,
		"crc8": 0xf4, "crc8-maxim": 0xa1, "crc8-sensirion": 0xf7, "crc8-j1850": 0x4b, "crc8-dvb-s2": 0xbc,
		"crc16-modbus": 0x4b37, "crc16-arc": 0xbb3d, "crc16-usb": 0xb4c8, "crc16-buypass": 0xfee8, "crc16-ccitt": 0x29b1,
		"crc16-xmodem": 0x31c3, "crc16-kermit": 0x2189, "crc16-x25": 0x906e, "crc16-genibus": 0xd64e, "crc16-dnp": 0xea82,
		"crc32": 0xcbf43926, "crc32-mpeg2": 0x0376e6e7, "crc32-bzip2": 0xfc891918, "crc32c": 0xe3069283,
	}
	for _, name := range checksum.Names() {
		k, ok := checksum.New(name)
		if !ok {
			t.Fatalf("%s is named and unknown", name)
		}
		if got := k.Sum([]byte("123456789")); got != want[name] {
			t.Errorf("%s: %#x, want %#x", name, got, want[name])
		}
	}
	if len(checksum.Names()) != len(want) {
		t.Errorf("%d kinds, want %d", len(checksum.Names()), len(want))
	}
	if _, ok := checksum.New("crc"); ok {
		t.Error("a kind that does not exist")
	}
}
