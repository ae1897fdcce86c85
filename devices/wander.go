// SPDX-License-Identifier: Apache-2.0

package devices

import "math"

// Wander gives pretended devices values that drift slowly and never leave their range, the same for the same seed.
type Wander struct {
	Seed uint64
	N    int // values are those of the N-th frame
}

// Between gives the value of the i-th reading, from low to high.
func (w *Wander) Between(low, high float64, i int) float64 {
	phase := float64(mix(w.Seed)%1000) / 1000 * 2 * math.Pi
	slow := math.Sin(phase + float64(w.N)/40)
	quick := math.Sin(2.3*phase + float64(w.N)/7 + float64(i))
	jitter := float64(mix(w.Seed+uint64(w.N)*31+uint64(i))%2001)/1000 - 1
	return low + (high-low)*(0.5+0.38*slow+0.1*quick+0.02*jitter)
}

// mix spreads a number over all bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
