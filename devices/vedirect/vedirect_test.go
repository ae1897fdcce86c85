// SPDX-License-Identifier: Apache-2.0

package vedirect_test

import (
	"bytes"
	"testing"

	"edged/devices"
	"edged/devices/vedirect"
)

// block makes one whose checksum is right.
func block(text string) string {
	text += "\r\nChecksum\t"
	var sum byte
	for i := range len(text) {
		sum += text[i]
	}
	return text + string([]byte{-sum})
}

func decode(t *testing.T, wire string) (string, devices.Counts) {
	t.Helper()
	var out bytes.Buffer
	c, err := devices.Decode(vedirect.Driver(), nil, nil, bytes.NewReader([]byte(wire)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), c
}

func TestBlocks(t *testing.T) {
	good := block("\r\nPID\t0x203\r\nV\t12000")
	for _, c := range []struct{ name, wire, want string }{
		{"a block", good, "{\"voltage\":12}\n"},
		{"nothing is measured", block("\r\nPID\t0x203\r\nV\t---\r\nTTG\t-1"), "{}\n"},
		{"the rest of a block", block("\r\nV\t12000"), ""},
		{"nonsense under a good sum", block("\r\nPID\t0x203\r\nV\t12x00"), ""},
		{"a checksum that is a line end", block("\r\nPID\t0x203\r\nV\t12000\r\nSER#\t" + filler('\n')), "{\"voltage\":12}\n"},
		{"a block without an end before another", "\r\nPID\t0x203\r\nV\t1200" + good, "{\"voltage\":12}\n"},
		{"a HEX message between fields", good[:11] + ":A0002000148\n" + good[11:], "{\"voltage\":12}\n"},
		{"a HEX message between blocks", good + ":A0002000148\n" + good, "{\"voltage\":12}\n{\"voltage\":12}\n"},
	} {
		if got, n := decode(t, c.wire); got != c.want {
			t.Errorf("%s: %q, want %q (%+v)", c.name, got, c.want, n)
		}
	}
}

// filler is a serial number that makes the checksum of the test's block want.
func filler(want byte) string {
	for a := byte('0'); a <= 'z'; a++ {
		for b := byte('0'); b <= 'z'; b++ {
			s := string([]byte{a, b})
			text := block("\r\nPID\t0x203\r\nV\t12000\r\nSER#\t" + s)
			if text[len(text)-1] == want {
				return s
			}
		}
	}
	return ""
}
