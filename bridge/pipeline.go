// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"math"
	"slices"
	"time"

	"edged/devices"
)

// pipeline is what is done to a device's readings between driver and broker: scale/offset/points → median → range
// check → deadband, on-change, heartbeat. It belongs to one opening of the device and is used by one goroutine.
type pipeline struct {
	publish  Publish
	stages   map[string]*stage // by the driver's name
	readings map[string]Reading
	last     time.Time // of what was published; zero: nothing yet
}

// stage is one reading's way, with what it remembers.
type stage struct {
	Reading
	name   string // in data
	recent []float64
	was    devices.Value // published last; None: never
}

func newPipeline(c Config) *pipeline {
	return &pipeline{publish: c.Publish, stages: map[string]*stage{}, readings: c.Readings}
}

// stageOf gives a reading's stage. How many there are is bounded by what a decoder gives: its frames, and so the
// number of names in one, are bounded; beyond maxNames of all times the names are told without memory.
func (p *pipeline) stageOf(name string) *stage {
	if s := p.stages[name]; s != nil {
		return s
	}
	s := &stage{Reading: p.readings[name], name: dataName(name, p.readings[name])}
	if len(p.stages) < maxNames {
		p.stages[name] = s
	}
	return s
}

// maxNames is how many readings of a device are remembered. A device that makes up names has no more.
const maxNames = 1024

// dataName is what a reading is called in data.
func dataName(name string, r Reading) string {
	if r.Rename != "" {
		return r.Rename
	}
	return devices.DataName(name)
}

// transform gives the readings of a sample as they would be published, and how many were out of range. The slice is
// new.
func (p *pipeline) transform(in []devices.Reading) (out []devices.Reading, dropped uint64) {
	out = make([]devices.Reading, 0, len(in))
	for _, r := range in {
		s := p.stageOf(r.Name)
		if s.Skip || r.Value.Kind() == devices.None {
			continue
		}
		if x, ok := r.Value.Float(); ok {
			y, ok := s.number(x)
			if !ok {
				dropped++
				continue
			}
			r.Value = devices.Num(y)
			if r.Value.Kind() == devices.None {
				dropped++
				continue
			}
		}
		out = append(out, devices.Reading{Name: r.Name, Value: r.Value})
	}
	return out, dropped
}

// number takes a raw number to the real one; ok is false when that is out of range.
func (s *stage) number(x float64) (y float64, ok bool) {
	if s.Scale != nil {
		x *= *s.Scale
	}
	x += s.Offset
	if len(s.Points) > 1 {
		x = along(s.Points, x)
	}
	if s.Median > 1 {
		if len(s.recent) == s.Median {
			s.recent = append(s.recent[:0], s.recent[1:]...)
		}
		s.recent = append(s.recent, x)
		x = median(s.recent)
	}
	if s.Min != nil && x < *s.Min || s.Max != nil && x > *s.Max || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, false
	}
	if s.Precision != nil {
		x = round(x, *s.Precision)
	}
	return x, true
}

// along goes through points, ascending by raw: linear between two, and beyond the ends as between the nearest two.
func along(points [][2]float64, x float64) float64 {
	i := 1
	for i < len(points)-1 && x > points[i][0] {
		i++
	}
	a, b := points[i-1], points[i]
	return a[1] + (x-a[0])*(b[1]-a[1])/(b[0]-a[0])
}

func median(xs []float64) float64 {
	s := slices.Clone(xs)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// round rounds half away from zero, to so many decimals; what is too large to have any stays.
func round(x float64, decimals int) float64 {
	f := math.Pow10(decimals)
	if y := math.Round(x*f) / f; !math.IsInf(y, 0) && !math.IsNaN(y) {
		return y
	}
	return x
}

// pass says whether transformed readings are to be published, and if so remembers that they were, and puts the names
// of data in.
func (p *pipeline) pass(rs []devices.Reading, at time.Time) bool {
	if len(rs) == 0 {
		return false
	}
	if !p.wanted(rs, at) {
		return false
	}
	p.last = at
	for i := range rs {
		p.stageOf(rs[i].Name).was = rs[i].Value
	}
	p.rename(rs)
	return true
}

// rename puts the names of data in place of the driver's.
func (p *pipeline) rename(rs []devices.Reading) {
	for i := range rs {
		rs[i].Name = p.stageOf(rs[i].Name).name
	}
}

func (p *pipeline) wanted(rs []devices.Reading, at time.Time) bool {
	if p.last.IsZero() || p.publish.Heartbeat > 0 && at.Sub(p.last) >= p.publish.Heartbeat {
		return true
	}
	quiet := true // every reading has a deadband that it did not leave
	for _, r := range rs {
		s := p.stageOf(r.Name)
		if s.changed(r.Value) {
			return true
		}
		if s.Deadband == 0 {
			quiet = false
		}
	}
	return !p.publish.OnChange && !quiet
}

// changed says whether a value differs from the one that was published.
func (s *stage) changed(v devices.Value) bool {
	x, ok := v.Float()
	y, had := s.was.Float()
	if ok && had && s.Deadband > 0 {
		return math.Abs(x-y) >= s.Deadband
	}
	return v != s.was
}
