// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"iter"
)

// slotSize is the bytes of a slot: a disk's smallest sector. A small file has two, which are written in turn, in place: a
// write that was torn leaves the other.
const slotSize = 512

// slotAt is where the slot of a generation lies in the file.
func slotAt(gen uint64) int64 { return int64(gen%2) * slotSize }

// seal gives a slot's bytes: a line of text with its checksum, padded.
func seal(text []byte) []byte {
	b := fmt.Appendf(text, " crc %08x\n", crc32.ChecksumIEEE(text))
	return append(b, bytes.Repeat([]byte{' '}, max(slotSize-len(b), 0))...)
}

// slots gives the slots of a file, as far as it goes.
func slots(file []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 0; i < 2 && i*slotSize < len(file); i++ {
			if !yield(file[i*slotSize : min((i+1)*slotSize, len(file))]) {
				return
			}
		}
	}
}

// unseal gives the text of a slot, if its checksum holds.
func unseal(slot []byte) (text string, ok bool) {
	line, _, found := bytes.Cut(slot, []byte{'\n'})
	i := bytes.LastIndex(line, []byte(" crc "))
	if !found || i < 0 {
		return "", false
	}
	return string(line[:i]), bytes.Equal(line[i:], fmt.Appendf(nil, " crc %08x", crc32.ChecksumIEEE(line[:i])))
}
