// SPDX-License-Identifier: Apache-2.0

package gpio

import "encoding/binary"

// The kernel's structures and numbers (include/uapi/linux/gpio.h, version 2 of the interface, Linux 5.10 and later). No
// field needs padding on any machine; a test compares with the header.

const (
	nameSize = 32
	linesMax = 64
	attrsMax = 10
)

type chipInfo struct {
	name  [nameSize]byte
	label [nameSize]byte
	lines uint32
}

type lineAttribute struct {
	id      uint32
	padding uint32
	value   [8]byte // flags, values or the debounce period in µs, in its first four
}

type configAttribute struct {
	attr lineAttribute
	mask uint64
}

type lineConfig struct {
	flags    uint64
	numAttrs uint32
	padding  [5]uint32
	attrs    [attrsMax]configAttribute
}

type lineRequest struct {
	offsets   [linesMax]uint32
	consumer  [nameSize]byte
	config    lineConfig
	numLines  uint32
	eventSize uint32
	padding   [5]uint32
	fd        int32
}

type lineInfo struct {
	name     [nameSize]byte
	consumer [nameSize]byte
	offset   uint32
	numAttrs uint32
	flags    uint64
	attrs    [attrsMax]lineAttribute
	padding  [4]uint32
}

type lineValues struct{ bits, mask uint64 }

// eventSize is that of struct gpio_v2_line_event: timestamp_ns u64, id, offset, seqno and line_seqno u32, padding.
const eventSize = 48

// event is what is used of it.
type event struct {
	timestamp uint64 // ns of CLOCK_MONOTONIC
	rising    bool   // it became active
	seqno     uint32 // of this line, from 1
}

// parseEvent reads eventSize bytes.
func parseEvent(b []byte) (e event, ok bool) {
	id := binary.NativeEndian.Uint32(b[8:])
	return event{binary.NativeEndian.Uint64(b), id == eventRising, binary.NativeEndian.Uint32(b[20:])}, id == eventRising || id == eventFalling
}

const (
	eventRising  = 1
	eventFalling = 2
)

// Requests of ioctl.
const (
	getChipInfo = 0x8044b401
	getLineInfo = 0xc100b405
	getLine     = 0xc250b407
	setConfig   = 0xc110b40d
	getValues   = 0xc010b40e
	setValues   = 0xc010b40f
)

// Flags of a line.
const (
	flagActiveLow   = 1 << 1
	flagInput       = 1 << 2
	flagOutput      = 1 << 3
	flagEdgeRising  = 1 << 4
	flagEdgeFalling = 1 << 5
	flagOpenDrain   = 1 << 6
	flagOpenSource  = 1 << 7
	flagPullUp      = 1 << 8
	flagPullDown    = 1 << 9
	flagPullOff     = 1 << 10
)

// Attributes of a line.
const (
	attrValues   = 2
	attrDebounce = 3
)

// text reads a name that ends at its first zero.
func text(b [nameSize]byte) string {
	for i, x := range b {
		if x == 0 {
			return string(b[:i])
		}
	}
	return string(b[:])
}
