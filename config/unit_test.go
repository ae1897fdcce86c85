// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"
	"time"

	"edged/config"
)

func TestParseDuration(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration // -1: refused
	}{
		{"500ms", 500 * time.Millisecond},
		{"30s", 30 * time.Second},
		{"5m", 5 * time.Minute},
		{"2h", 2 * time.Hour},
		{"7d", 7 * 24 * time.Hour},
		{"1h30m", 90 * time.Minute},
		{"1d2h3m4s5ms", 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond},
		{"0s", 0},
		{"0.5s", 500 * time.Millisecond},
		{"1.5h", 90 * time.Minute},
		{"36500d", 36500 * 24 * time.Hour},
		{"7000000001s", 7000000001 * time.Second},
		{"", -1},
		{"5", -1},
		{"s", -1},
		{"5x", -1},
		{"5 s", -1},
		{"-5s", -1},
		{"+5s", -1},
		{"5S", -1},
		{"5us", -1},
		{"5µs", -1},
		{"30m1h", -1},
		{"1s1s", -1},
		{"1.2.3s", -1},
		{".s", -1},
		{"5.s", -1},
		{".5s", -1},
		{"106751d24h", -1},
		{"1e3s", -1},
		{"1w", -1},
		{"١s", -1},
		{"300000d", -1},
		{"5sx", -1},
		{"5s ", -1},
	} {
		got, err := config.ParseDuration(c.text)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // -1: refused
	}{
		{"1KiB", 1 << 10},
		{"256KiB", 256 << 10},
		{"64MiB", 64 << 20},
		{"3GiB", 3 << 30},
		{"0KiB", 0},
		{"", -1},
		{"5", -1},
		{"KiB", -1},
		{"5B", -1},
		{"5kiB", -1},
		{"5KB", -1},
		{"5k", -1},
		{"1.5MiB", -1},
		{"-1KiB", -1},
		{"1MiB1KiB", -1},
		{"1 MiB", -1},
		{"9223372036854775807GiB", -1},
		{"99999999999999999999KiB", -1},
		{"8589934592GiB", -1},
	} {
		got, err := config.ParseSize(c.text)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("ParseSize(%q) = %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"1h30m", "0.5s", "7d", "64MiB", "1..s", "9999999999d", "7000000001s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := config.ParseDuration(s); err == nil {
			again, err := config.ParseDuration(config.FormatDuration(d))
			if d < 0 || err != nil || again != d.Truncate(time.Millisecond) {
				t.Errorf("%q is %v, written %q, read again as %v, %v", s, d, config.FormatDuration(d), again, err)
			}
		}
		if n, err := config.ParseSize(s); err == nil {
			again, err := config.ParseSize(config.FormatSize(n))
			if n < 0 || err != nil || again != n {
				t.Errorf("%q is %v, written %q, read again as %v, %v", s, n, config.FormatSize(n), again, err)
			}
		}
	})
}
