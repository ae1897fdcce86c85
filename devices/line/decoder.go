// SPDX-License-Identifier: Apache-2.0

// Package line reads sensors that write a line of text for each measurement: by a template, as JSON, CSV or key=value, or
// by a regular expression.
package line

import (
	"bytes"
	"time"
	"unicode/utf8"

	"edged/devices"
)

// maxLine bounds a line's bytes, maxReadings the values in one, and maxMarker what begins and ends it.
const (
	maxLine     = 8 << 10
	maxMarker   = 16
	maxReadings = 256
)

// format makes readings out of a line, which it appends to to. It is given UTF-8, at least one character that is no
// white space, and keeps nothing of it.
type format interface {
	parse(line []byte, to []devices.Reading) ([]devices.Reading, outcome)
}

// outcome is what a line was.
type outcome uint8

const (
	unmatched outcome = iota // of another format
	matched
	heading // it names what follows, and measures nothing
)

// lineDecoder cuts a stream into lines, which CR, LF or both end, or what the options say, and lets a format read each.
// Blank lines are skipped.
type lineDecoder struct {
	format format
	start  []byte    // with which a line begins; empty: with anything
	end    []byte    // with which it ends; empty: CR, LF or both
	buf    []byte    // the line so far
	at     time.Time // of its first byte
	long   bool      // the line is longer than maxLine: it was counted, its rest is dropped
	counts devices.Counts
	out    []devices.Reading
}

// Feed takes bytes.
func (d *lineDecoder) Feed(p []byte, at time.Time, emit func(devices.Sample)) {
	d.counts.Bytes += uint64(len(p))
	d.counts.Readable += devices.Readable(p)
	if len(d.end) > 0 {
		d.feedTo(p, at, emit)
		return
	}
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\r\n")
		part := p
		if end >= 0 {
			part = p[:end]
		}
		d.add(part, at)
		if end < 0 {
			return
		}
		d.line(emit)
		p = p[end+1:]
	}
}

// feedTo takes bytes of lines that an end of their own ends. One of a line that is too long is seen only where it is whole
// in p; else the next is.
func (d *lineDecoder) feedTo(p []byte, at time.Time, emit func(devices.Sample)) {
	last := d.end[len(d.end)-1]
	for len(p) > 0 {
		n := bytes.IndexByte(p, last) + 1
		if n == 0 {
			d.add(p, at)
			return
		}
		d.add(p[:n], at)
		if bytes.HasSuffix(d.buf, d.end) {
			d.buf = bytes.Trim(d.buf[:len(d.buf)-len(d.end)], "\r\n")
			d.line(emit)
		} else if d.long && bytes.HasSuffix(p[:n], d.end) {
			d.line(emit)
		}
		p = p[n:]
	}
}

// add takes a part of a line.
func (d *lineDecoder) add(part []byte, at time.Time) {
	if len(part) == 0 || d.long {
		return
	}
	if len(d.buf) == 0 {
		d.at = at
	}
	if len(d.buf)+len(part) > maxLine {
		d.counts.Bad++
		d.buf, d.long = d.buf[:0], true
		return
	}
	d.buf = append(d.buf, part...)
}

// line reads the line that has ended.
func (d *lineDecoder) line(emit func(devices.Sample)) {
	line := d.buf
	d.buf, d.long = d.buf[:0], false
	if len(d.start) > 0 && len(line) > 0 {
		i := bytes.LastIndex(line, d.start)
		if i < 0 {
			d.counts.Bad++
			d.counts.Unmatched++
			return
		}
		line = line[i+len(d.start):]
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	if !utf8.Valid(line) {
		d.counts.Bad++
		return
	}
	readings, what := d.format.parse(line, d.out[:0])
	d.out = readings[:0]
	switch what {
	case unmatched:
		d.counts.Bad++
		d.counts.Unmatched++
	case heading:
		d.counts.Frames++
	case matched:
		d.counts.Frames++
		emit(devices.Sample{At: d.at, Readings: readings})
	}
}

// End makes a line that was not ended garbage.
func (d *lineDecoder) End(func(devices.Sample)) {
	d.counts.Garbage += uint64(len(d.buf))
	d.buf, d.long = d.buf[:0], false
}

// Counts gives what was seen.
func (d *lineDecoder) Counts() devices.Counts {
	c := d.counts
	c.Pending = len(d.buf)
	return c
}

// put appends a reading, or replaces the one of the same name. What was not measured is left out.
func put(to []devices.Reading, name string, v devices.Value) []devices.Reading {
	if v.Kind() == devices.None || name == "" {
		return to
	}
	for i := range to {
		if to[i].Name == name {
			to[i].Value = v
			return to
		}
	}
	return append(to, devices.Reading{Name: name, Value: v})
}
