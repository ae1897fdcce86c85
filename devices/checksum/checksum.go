// SPDX-License-Identifier: Apache-2.0

// Package checksum computes the checksums that devices put behind their frames.
package checksum

// Kind is one way to compute a checksum. It is made once, shared and never changed.
type Kind struct {
	size   int // bytes
	form   form
	table  *[256]uint32 // of a CRC
	init   uint32
	xorOut uint32
	mirror bool // least significant bit first
	top    int  // bits above the CRC's lowest 8
	mask   uint32
}

// CRC is a cyclic redundancy check as the catalogue of parametrised CRC algorithms (reveng.sourceforge.io) names its
// parameters; refin and refout are one.
type CRC struct {
	Bits    int // 8, 16 or 32
	Poly    uint32
	Init    uint32
	XorOut  uint32
	Reflect bool
}

// Size gives the checksum's bytes: 1, 2 or 4.
func (k *Kind) Size() int { return k.size }

// Sum computes the checksum of p.
func (k *Kind) Sum(p []byte) uint32 {
	if k.table == nil {
		return k.form.sum(p)
	}
	c := k.init
	switch {
	case k.mirror:
		for _, x := range p {
			c = k.table[byte(c)^x] ^ c>>8
		}
	default:
		for _, x := range p {
			c = (k.table[byte(c>>k.top)^x] ^ c<<8) & k.mask
		}
	}
	return c ^ k.xorOut
}

// NewCRC makes the kind of a CRC.
func NewCRC(c CRC) *Kind {
	k := &Kind{
		size: c.Bits / 8, table: new([256]uint32), init: c.Init, xorOut: c.XorOut, mirror: c.Reflect,
		top: c.Bits - 8, mask: uint32(1<<c.Bits - 1),
	}
	for i := range k.table {
		k.table[i] = c.entry(uint32(i))
	}
	if c.Reflect {
		k.init = reflected(c.Init, c.Bits)
	}
	return k
}

// entry gives what one byte makes of a CRC of zero.
func (c CRC) entry(x uint32) uint32 {
	if c.Reflect {
		poly := reflected(c.Poly, c.Bits)
		for range 8 {
			x = x>>1 ^ poly*(x&1)
		}
		return x
	}
	x <<= c.Bits - 8
	for range 8 {
		x = x<<1 ^ c.Poly*(x>>(c.Bits-1)&1)
	}
	return x & uint32(1<<c.Bits-1)
}

// reflected turns the lowest bits round.
func reflected(x uint32, bits int) uint32 {
	var y uint32
	for range bits {
		y = y<<1 | x&1
		x >>= 1
	}
	return y
}
