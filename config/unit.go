// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// durationUnits and sizeUnits, largest first, since a duration names its units in this order.
func durationUnits() []unit {
	return []unit{
		{"d", int64(24 * time.Hour)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
	}
}

func sizeUnits() []unit {
	return []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

type unit struct {
	name   string
	factor int64
}

var (
	errDuration = errors.New(`not a duration: write a number and a unit, such as "500ms", "30s", "5m", "1h30m" or "7d"`)
	errSize     = errors.New(`not a size: write a whole number and a unit, such as "256KiB", "64MiB" or "1GiB"`)
	errTooLarge = errors.New("too large")
)

// ParseDuration reads numbers with the units d, h, m, s and ms, the larger first, such as "1h30m" or "0.5s".
func ParseDuration(s string) (time.Duration, error) {
	total, units := int64(0), durationUnits()
	if s == "" {
		return 0, errDuration
	}
	for s != "" {
		number, name, rest := measure(s)
		i := 0
		for i < len(units) && units[i].name != name {
			i++
		}
		if i == len(units) {
			return 0, errDuration
		}
		n, err := multiply(number, units[i].factor)
		if err != nil {
			return 0, err
		}
		if total += n; total < 0 {
			return 0, errTooLarge
		}
		units, s = units[i+1:], rest
	}
	return time.Duration(total), nil
}

// multiply returns a decimal number times factor: exactly what stands before the point.
func multiply(number string, factor int64) (int64, error) {
	before, after, pointed := strings.Cut(number, ".")
	n, err := strconv.ParseInt(before, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n >= math.MaxInt64/factor:
		return 0, errTooLarge
	case err != nil:
		return 0, errDuration
	case !pointed:
		return n * factor, nil
	}
	part, err := strconv.ParseFloat("0."+after, 64)
	if err != nil || after == "" {
		return 0, errDuration
	}
	return n*factor + int64(math.Round(part*float64(factor))), nil
}

// ParseSize reads a whole number with one of the units KiB, MiB and GiB.
func ParseSize(s string) (int64, error) {
	number, name, rest := measure(s)
	n, err := strconv.ParseInt(number, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errTooLarge
	}
	for _, u := range sizeUnits() {
		if err != nil || rest != "" || u.name != name {
			continue
		}
		if n > math.MaxInt64/u.factor {
			return 0, errTooLarge
		}
		return n * u.factor, nil
	}
	return 0, errSize
}

// measure cuts a number and the letters behind it off s.
func measure(s string) (number, name, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		return s, "", ""
	}
	number, s = s[:i], s[i:]
	if i = strings.IndexAny(s, "0123456789."); i < 0 {
		return number, s, ""
	}
	return number, s[:i], s[i:]
}

// FormatDuration writes d as the configuration has it; what is below a millisecond is cut.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range durationUnits() {
		if n := int64(d) / u.factor; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			d -= time.Duration(n * u.factor)
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// FormatSize writes n bytes as the configuration has them, in the largest unit that is exact; what is below a KiB is
// cut.
func FormatSize(n int64) string {
	for _, u := range sizeUnits() {
		if n > 0 && n%u.factor == 0 {
			return strconv.FormatInt(n/u.factor, 10) + u.name
		}
	}
	return strconv.FormatInt(n>>10, 10) + "KiB"
}
