// SPDX-License-Identifier: Apache-2.0

package frame

import "bytes"

// stuffing is how frames lie between delimiters.
type stuffing struct {
	delimiter byte
	cobs      bool
	escape    byte
	xor       byte // an escaped byte is xor-ed with it; 0: pairs tell
	pairs     [2][2]byte
	also      []byte // escaped besides delimiter and escape
}

func newStuffing(kind string, also []byte) *stuffing {
	switch kind {
	case "slip":
		return &stuffing{delimiter: 0xc0, escape: 0xdb, pairs: [2][2]byte{{0xdc, 0xc0}, {0xdd, 0xdb}}}
	case "cobs":
		return &stuffing{cobs: true}
	}
	return &stuffing{delimiter: 0x7e, escape: 0x7d, xor: 0x20, also: also}
}

// unstuff gives what stood between two delimiters without escapes, in place; ok is false when that can't be.
func (s *stuffing) unstuff(b []byte) (frame []byte, ok bool) {
	if s.cobs {
		return uncobs(b)
	}
	n := bytes.IndexByte(b, s.escape)
	if n < 0 {
		return b, true
	}
	for i := n; i < len(b); i++ {
		x := b[i]
		if x == s.escape {
			if i++; i == len(b) {
				return nil, false
			}
			if x, ok = s.plain(b[i]); !ok {
				return nil, false
			}
		}
		b[n] = x
		n++
	}
	return b[:n], true
}

// plain gives the byte whose escaped form is x.
func (s *stuffing) plain(x byte) (byte, bool) {
	if s.xor != 0 {
		return x ^ s.xor, true
	}
	for _, p := range s.pairs {
		if p[0] == x {
			return p[1], true
		}
	}
	return 0, false
}

// uncobs decodes consistent overhead byte stuffing (Cheshire and Baker, 1999): each code tells how many bytes follow up
// to the next zero.
func uncobs(b []byte) (frame []byte, ok bool) {
	n := 0
	for i := 0; i < len(b); {
		code := int(b[i])
		if code == 0 || i+code > len(b) {
			return nil, false
		}
		n += copy(b[n:], b[i+1:i+code])
		if i += code; code < 0xff && i < len(b) {
			b[n] = 0
			n++
		}
	}
	return b[:n], true
}

// stuff appends frame with its escapes and delimiters.
func (s *stuffing) stuff(to, frame []byte) []byte {
	if s.cobs {
		return cobs(to, frame)
	}
	to = append(to, s.delimiter)
	for _, x := range frame {
		switch {
		case s.xor != 0 && (x == s.delimiter || x == s.escape || bytes.IndexByte(s.also, x) >= 0):
			to = append(to, s.escape, x^s.xor)
		case s.xor == 0 && (x == s.pairs[0][1] || x == s.pairs[1][1]):
			code := s.pairs[0][0]
			if x == s.pairs[1][1] {
				code = s.pairs[1][0]
			}
			to = append(to, s.escape, code)
		default:
			to = append(to, x)
		}
	}
	return append(to, s.delimiter)
}

func cobs(to, frame []byte) []byte {
	for {
		n := bytes.IndexByte(frame, 0)
		if n < 0 {
			n = len(frame)
		}
		full := n >= 254
		if full {
			n = 254
		}
		to = append(append(to, byte(n+1)), frame[:n]...)
		switch frame = frame[n:]; {
		case len(frame) == 0:
			return append(to, 0)
		case !full:
			frame = frame[1:] // the zero that the code stands for
		}
	}
}
