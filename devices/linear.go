// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"math"
	"strconv"
	"strings"
)

const (
	exact    = 1 << 53 // integers below it are exact in a float64
	decimals = 9       // digits behind the point that a scale or offset may have to be computed with exactly
)

// Linear computes x × scale + offset as one would on paper: 3 × 0.1 is 0.3 and not 0.30000000000000004. The zero
// Linear changes nothing.
type Linear struct {
	scale, offset float64
	factor, plus  float64 // scale and offset × unit, integers
	unit          float64 // power of ten; 0: does not apply
}

// NewLinear prepares x × scale + offset.
func NewLinear(scale, offset float64) Linear {
	if scale == 1 && offset == 0 {
		return Linear{}
	}
	l := Linear{scale: scale, offset: offset}
	if k := max(behindPoint(scale), behindPoint(offset)); k <= decimals {
		unit := math.Pow10(k)
		l.factor, l.plus, l.unit = math.Round(scale*unit), math.Round(offset*unit), unit
	}
	return l
}

// Apply computes it for x.
func (l Linear) Apply(x float64) float64 {
	if l.scale == 0 && l.offset == 0 {
		return x
	}
	if l.unit != 0 && x == math.Trunc(x) {
		if n := x*l.factor + l.plus; math.Abs(x*l.factor) < exact && math.Abs(n) < exact {
			return n / l.unit
		}
	}
	return snap(x*l.scale + l.offset)
}

// Invert finds the whole number that comes nearest to giving y.
func (l Linear) Invert(y float64) float64 {
	if l.scale == 0 {
		return math.Round(y - l.offset)
	}
	return math.Round((y - l.offset) / l.scale)
}

// Revert finds the number that gives y, without rounding it.
func (l Linear) Revert(y float64) float64 {
	if l.scale == 0 {
		return y - l.offset
	}
	return (y - l.offset) / l.scale
}

// snap takes away the noise behind the 15th digit, as far as decimal digits survive in a float64.
func snap(x float64) float64 {
	if x == math.Trunc(x) || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	var buf [32]byte
	y, err := strconv.ParseFloat(string(strconv.AppendFloat(buf[:0], x, 'e', 14, 64)), 64)
	if err != nil {
		return x
	}
	return y
}

// Shortest32 is the number whose shortest digits are those of x.
func Shortest32(x float32) float64 {
	var buf [32]byte
	y, err := strconv.ParseFloat(string(strconv.AppendFloat(buf[:0], float64(x), 'e', -1, 32)), 64)
	if err != nil {
		return float64(x)
	}
	return y
}

// behindPoint counts the digits behind the point.
func behindPoint(x float64) int {
	_, digits, _ := strings.Cut(strconv.FormatFloat(x, 'f', -1, 64), ".")
	return len(digits)
}
