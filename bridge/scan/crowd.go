// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"slices"
	"time"

	"edged/bridge/port"
	"edged/devices"
)

// telegram is how many bytes of one frame prove as much as two frames do.
const telegram = 64

// crowd is every driver that may understand what comes.
type crowd struct {
	drivers    []*devices.Driver
	candidates []*candidate
}

// candidate is one driver that listens.
type candidate struct {
	drv      *devices.Driver
	dec      devices.Decoder
	garbage  uint64 // before the first frame: the rest of one that was begun before
	frames   uint64
	readings []devices.Reading
}

// streams reports whether a driver's device speaks by itself, in frames, and needs no options.
func streams(d *devices.Driver) bool {
	required := slices.ContainsFunc(d.Options, func(o devices.OptionInfo) bool { return o.Required })
	return d.Every == 0 && d.New != nil && !required
}

func newCrowd(drivers []*devices.Driver) *crowd {
	c := &crowd{drivers: drivers}
	for _, d := range drivers {
		if !streams(d) {
			continue
		}
		if dec, err := d.New(nil); err == nil {
			c.candidates = append(c.candidates, &candidate{drv: d, dec: dec})
		}
	}
	return c
}

func (c *crowd) feed(p []byte, at time.Time) {
	for _, x := range c.candidates {
		x.dec.Feed(p, at, x.sample)
	}
}

func (x *candidate) sample(s devices.Sample) {
	if x.frames == 0 {
		x.garbage = x.dec.Counts().Garbage
	}
	x.frames++
	if len(s.Readings) > 0 {
		x.readings = append(x.readings[:0], s.Readings...)
	}
}

// frames is how many the best of them has found.
func (c *crowd) frames() (n uint64) {
	for _, x := range c.candidates {
		n = max(n, x.frames)
	}
	return n
}

// fits reports whether nearly all that came since the first frame is frames: a few bytes that happen to be one in other
// data prove nothing.
func (x *candidate) fits() bool {
	c := x.dec.Counts()
	framed := c.Bytes - c.Garbage - uint64(c.Pending)
	return (x.frames >= 2 || x.frames == 1 && framed >= telegram) && 4*c.Bad <= c.Frames && 8*(c.Garbage-x.garbage) <= framed
}

// match is the driver that found the most frames, with the others that found as many.
func (c *crowd) match(m port.Mode) *Match {
	var best *candidate
	for _, x := range c.candidates {
		if x.fits() && (best == nil || x.frames > best.frames) {
			best = x
		}
	}
	if best == nil {
		return nil
	}
	match := &Match{Mode: m, Driver: best.drv.Name, Proven: true, Frames: best.frames, Readings: slices.Clone(best.readings)}
	for _, x := range c.candidates {
		if x != best && x.fits() && x.frames == best.frames {
			match.Also = append(match.Also, x.drv.Name)
		}
	}
	return match
}
