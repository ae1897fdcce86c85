// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"edged/bridge/port"
	"edged/devices"
)

const (
	textShare = 0.95 // of readable bytes; a wrong rate gives half at most (a simulation of UARTs, bit by bit, seven rates)
	lineCount = 2    // whole lines, at least
)

func lineEnds(p []byte) int {
	return bytes.Count(p, []byte{'\n'}) + bytes.Count(p, []byte{'\r'}) - bytes.Count(p, []byte("\r\n"))
}

// number is one in a line of text, which a template names.
var number = regexp.MustCompile(`[+-]?[0-9]+(?:\.[0-9]+)?`)

// lines finds a format of the driver "line" that reads what came; nil: it is no text, or there is too little of it.
func lines(drivers []*devices.Driver, text []byte, m port.Mode, h Heard) *Match {
	i := slices.IndexFunc(drivers, func(d *devices.Driver) bool { return d.Name == "line" })
	if i < 0 || h.Readable < textShare {
		return nil
	}
	whole := wholeLines(text)
	if len(whole) < lineCount {
		return nil
	}
	for _, o := range formats(whole) {
		if frames, readings := read(drivers[i], o, whole); 8*frames >= 7*len(whole) && len(readings) > 0 {
			return &Match{Mode: m, Driver: "line", Options: o, Frames: uint64(frames), Readings: readings}
		}
	}
	return nil
}

// wholeLines are the lines that are there from their beginning to their end, without blank ones.
func wholeLines(text []byte) []string {
	all := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\r' || r == '\n' })
	if len(all) == 0 {
		return nil
	}
	all = all[1:] // which may have begun before
	if n := len(all); n > 0 && !strings.HasSuffix(string(text), "\n") && !strings.HasSuffix(string(text), "\r") {
		all = all[:n-1]
	}
	return slices.DeleteFunc(all, func(s string) bool { return strings.TrimSpace(s) == "" })
}

// formats are those that are tried, the one that says most about a line first.
func formats(whole []string) []map[string]any {
	last := whole[len(whole)-1]
	tried := []map[string]any{{"format": "json"}}
	if strings.ContainsAny(last, "=:") {
		tried = append(tried, map[string]any{"format": "kv"})
	}
	for _, separator := range []string{",", ";", "\t"} {
		if !strings.Contains(last, separator) || strings.ContainsAny(last, "{=") {
			continue
		}
		o := map[string]any{"format": "csv"}
		if separator != "," {
			o["separator"] = separator
		}
		tried = append(tried, o)
	}
	return append(tried, map[string]any{"format": "template", "parse": template(last)})
}

// template is a line in which each number is a value: "Temp 21.4 C" becomes "Temp {value} C".
func template(line string) string {
	line = strings.NewReplacer("{", "{{", "}", "}}").Replace(strings.TrimSpace(line))
	count, n := len(number.FindAllString(line, -1)), 0
	return number.ReplaceAllStringFunc(line, func(string) string {
		if n++; count == 1 {
			return "{value}"
		}
		return fmt.Sprintf("{value_%d}", n)
	})
}

// read counts the lines that a format reads with a number among its readings, and gives the readings of the last.
func read(line *devices.Driver, o map[string]any, whole []string) (frames int, readings []devices.Reading) {
	dec, err := line.New(o)
	if err != nil {
		return 0, nil
	}
	for _, s := range whole {
		dec.Feed([]byte(s+"\n"), time.Time{}, func(s devices.Sample) {
			if slices.ContainsFunc(s.Readings, func(r devices.Reading) bool { return r.Value.Kind() == devices.Number }) {
				frames++
				readings = slices.Clone(s.Readings)
			}
		})
	}
	return frames, readings
}
