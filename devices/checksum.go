// SPDX-License-Identifier: Apache-2.0

package devices

// checksum is where a checksum stands and what it covers. Offsets that are negative, and a to of 0, count from the
// frame's end.
type checksum struct {
	kind         string
	from, to, at int
	little       bool
}

// sumSizes are the kinds of checksums and their bytes.
func sumSize(kind string) int {
	switch kind {
	case "sum8", "neg8", "xor8":
		return 1
	case "sum16", "neg16":
		return 2
	}
	return 0
}

// place gives the range and the position in a frame of n bytes; ok is false when they do not fit.
func (c *checksum) place(n int) (from, to, at int, ok bool) {
	from, to, at = c.from, c.to, c.at
	if from < 0 {
		from += n
	}
	if to <= 0 {
		to += n
	}
	if at < 0 {
		at += n
	}
	return from, to, at, 0 <= from && from <= to && to <= n && 0 <= at && at+sumSize(c.kind) <= n
}

// compute gives the checksum over b.
func (c *checksum) compute(b []byte) uint16 {
	var sum uint16
	if c.kind == "xor8" {
		for _, x := range b {
			sum ^= uint16(x)
		}
		return sum
	}
	for _, x := range b {
		sum += uint16(x)
	}
	switch c.kind {
	case "sum8":
		return sum & 0xff
	case "neg8":
		return -sum & 0xff
	case "neg16":
		return -sum
	}
	return sum
}

// holds reports whether frame bears the checksum that it should.
func (c *checksum) holds(frame []byte) bool {
	from, to, at, ok := c.place(len(frame))
	if !ok {
		return false
	}
	sum := c.compute(frame[from:to])
	switch {
	case sumSize(c.kind) == 1:
		return frame[at] == byte(sum)
	case c.little:
		return frame[at] == byte(sum) && frame[at+1] == byte(sum>>8)
	}
	return frame[at] == byte(sum>>8) && frame[at+1] == byte(sum)
}

// put writes the checksum into frame.
func (c *checksum) put(frame []byte) {
	from, to, at, ok := c.place(len(frame))
	if !ok {
		return
	}
	sum := c.compute(frame[from:to])
	switch {
	case sumSize(c.kind) == 1:
		frame[at] = byte(sum)
	case c.little:
		frame[at], frame[at+1] = byte(sum), byte(sum>>8)
	default:
		frame[at], frame[at+1] = byte(sum>>8), byte(sum)
	}
}
