// SPDX-License-Identifier: Apache-2.0

//go:build faultinject

package bridge

import (
	"bytes"
	"time"

	"edged/devices"
)

// faultText makes a decoder panic when it comes over the wire, in builds that test what a driver's panic does.
const faultText = "edged-test-panic"

func injected(Config) func(devices.Decoder) devices.Decoder {
	return func(d devices.Decoder) devices.Decoder { return faulty(d) }
}

// faulty wraps a decoder, and stays what it is besides.
func faulty(d devices.Decoder) devices.Decoder {
	f := &faultyDecoder{Decoder: d}
	commander, writable := d.(devices.Commander)
	asker, asked := d.(devices.Asker)
	switch {
	case writable && asked:
		return struct {
			*faultyDecoder
			devices.Commander
			devices.Asker
		}{f, commander, asker}
	case writable:
		return struct {
			*faultyDecoder
			devices.Commander
		}{f, commander}
	case asked:
		return struct {
			*faultyDecoder
			devices.Asker
		}{f, asker}
	default:
		return f
	}
}

type faultyDecoder struct {
	devices.Decoder
	tail []byte
}

// Feed panics once it has seen faultText, also when that comes in pieces.
func (f *faultyDecoder) Feed(p []byte, at time.Time, emit func(devices.Sample)) {
	f.tail = append(f.tail, p...)
	if bytes.Contains(f.tail, []byte(faultText)) {
		panic(faultText)
	}
	f.tail = append(f.tail[:0], f.tail[max(len(f.tail)-len(faultText), 0):]...)
	f.Decoder.Feed(p, at, emit)
}

// Sent passes on to a decoder that wants to know.
func (f *faultyDecoder) Sent(p []byte) {
	if h, ok := f.Decoder.(devices.Hearer); ok {
		h.Sent(p)
	}
}
