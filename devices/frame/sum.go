// SPDX-License-Identifier: Apache-2.0

package frame

import "edged/devices/checksum"

// sum is where a checksum stands and what it covers. Offsets that are negative, and a to of 0, count from the frame's
// end.
type sum struct {
	kind         *checksum.Kind
	from, to, at int
	little       bool
	digits       bool // it is written in hexadecimal digits
	over         bool // it covers the bytes that hexadecimal digits stand for
}

// width gives the bytes that it takes.
func (c *sum) width() int {
	if c.digits {
		return 2 * c.kind.Size()
	}
	return c.kind.Size()
}

// place gives the range and the position in a frame of n bytes; ok is false when they do not fit.
func (c *sum) place(n int) (from, to, at int, ok bool) {
	from, to, at = c.from, c.to, c.at
	if from < 0 {
		from += n
	}
	if to <= 0 {
		to += n
	}
	if at < 0 {
		at += n
	}
	return from, to, at, 0 <= from && from <= to && to <= n && 0 <= at && at+c.width() <= n
}

// compute gives the checksum of b as it stands in a frame, its first byte uppermost; ok is false when b are no digits.
func (c *sum) compute(b []byte) (x uint32, ok bool) {
	if c.over {
		raw := make([]byte, 0, maxDigits)
		for ; len(b) >= 2 && len(raw) < maxDigits; b = b[2:] {
			hi, lo := digit(b[0]), digit(b[1])
			if hi|lo > 15 || b[0] >= 'a' || b[1] >= 'a' { // a flipped bit makes another case, and the same number
				return 0, false
			}
			raw = append(raw, hi<<4|lo)
		}
		if len(b) > 0 {
			return 0, false
		}
		return c.ordered(c.kind.Sum(raw)), true
	}
	return c.ordered(c.kind.Sum(b)), true
}

// maxDigits bounds the bytes that digits under a checksum stand for.
const maxDigits = 128

// ordered turns the bytes round where they stand so.
func (c *sum) ordered(x uint32) uint32 {
	switch {
	case !c.little:
	case c.kind.Size() == 2:
		return x>>8 | x&0xff<<8
	case c.kind.Size() == 4:
		return x>>24 | x>>8&0xff00 | x<<8&0xff0000 | x<<24
	}
	return x
}

// holds reports whether frame bears the checksum that it should.
func (c *sum) holds(frame []byte) bool {
	from, to, at, ok := c.place(len(frame))
	if !ok {
		return false
	}
	want, ok := c.compute(frame[from:to])
	var got uint32
	for _, x := range frame[at : at+c.width()] {
		if c.digits {
			got = got<<4 | uint32(digit(x))
			ok = ok && digit(x) < 16
			continue
		}
		got = got<<8 | uint32(x)
	}
	return ok && got == want
}

// put writes the checksum into frame.
func (c *sum) put(frame []byte) {
	from, to, at, ok := c.place(len(frame))
	if !ok {
		return
	}
	x, _ := c.compute(frame[from:to])
	for i := at + c.width() - 1; i >= at; i-- {
		if c.digits {
			frame[i] = "0123456789ABCDEF"[x&15]
			x >>= 4
			continue
		}
		frame[i] = byte(x)
		x >>= 8
	}
}

// digit gives the value of a hexadecimal digit; 255 for anything else.
func digit(x byte) byte {
	switch {
	case '0' <= x && x <= '9':
		return x - '0'
	case 'a' <= x && x <= 'f':
		return x - 'a' + 10
	case 'A' <= x && x <= 'F':
		return x - 'A' + 10
	}
	return 255
}
