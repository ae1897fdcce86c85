// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"testing"
)

// FuzzStuffing: what is stuffed comes out again, and nothing makes unstuff panic.
func FuzzStuffing(f *testing.F) {
	f.Add([]byte{0x7e, 0x7d, 0xc0, 0xdb, 0, 0x11})
	f.Add(bytes.Repeat([]byte{1}, 254))
	f.Add(bytes.Repeat([]byte{1}, 600))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []string{"slip", "cobs", "hdlc"} {
			s := newStuffing(kind, []byte{0x11, 0x13})
			wire := s.stuff(nil, data)
			inner := bytes.TrimSuffix(wire, []byte{s.delimiter})
			if kind != "cobs" {
				inner = inner[1:]
			}
			if bytes.IndexByte(inner, s.delimiter) >= 0 {
				t.Fatalf("%s: % x holds a delimiter", kind, inner)
			}
			if got, ok := s.unstuff(bytes.Clone(inner)); !ok || !bytes.Equal(got, data) {
				t.Fatalf("%s: % x becomes % x, and that % x", kind, data, wire, got)
			}
			s.unstuff(bytes.Clone(data))
		}
	})
}
