// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// Kinds that the journal writes itself.
const (
	kindSeal byte = 1 // the last record of a segment
	kindStop byte = 2 // an orderly stop
	// kindMark begins each commit. It was written only after everything before it was durable, so what is broken before
	// a mark is damage, and what is broken after the last one may be the commit that a crash interrupted.
	kindMark byte = 3
	kindLost byte = 4 // covers a hole that a crash left, so that it is not taken for damage later
)

// A record, integers little-endian:
//
//	0xED  length u32  crc32c u32  kind u8  body
//
// length is that of kind and body. The checksum covers the segment's generation and salt, then length, kind and body.
const (
	magic  = 0xED
	header = 10
)

// MaxBody is the longest body in bytes that Append takes.
const MaxBody = SegmentSize / 2

// KindFirst is the first kind of record that belongs to the caller; the journal writes those below itself.
const KindFirst byte = 16

// Record is one record as it is read. Body is valid until the next record is read.
type Record struct {
	Pos  Pos
	Kind byte
	Body []byte
}

// ident tells a segment from all others, also from what its recycled file held before. The salt is random and stands
// only in the file's name: a payload that imitates a record passes for one only to somebody who knows it.
type ident struct {
	gen  uint64
	salt uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (i ident) sum(length, kindBody []byte) uint32 {
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], i.gen)
	binary.LittleEndian.PutUint32(head[8:], i.salt)
	copy(head[12:], length)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, kindBody)
}

func (i ident) append(b []byte, kind byte, body []byte) []byte {
	at := len(b)
	b = append(b, magic, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	b = append(b, body...)
	i.finish(b[at:])
	return b
}

// finish writes length and checksum of the record that fills rec.
func (i ident) finish(rec []byte) {
	binary.LittleEndian.PutUint32(rec[1:], uint32(len(rec)-header+1))
	binary.LittleEndian.PutUint32(rec[5:], i.sum(rec[1:5], rec[9:]))
}

// cover makes what fills b, which is as long as a record or longer, the body of one that says it is lost.
func (i ident) cover(b []byte) {
	b[0], b[9] = magic, kindLost
	i.finish(b)
}

// claimed is how long the record at the start of b says it is, with its header; 0 when there is none.
func claimed(b []byte) int {
	if len(b) < header || b[0] != magic {
		return 0
	}
	n := binary.LittleEndian.Uint32(b[1:])
	if n < 1 || n > SegmentSize-header+1 {
		return 0
	}
	return int(n) + header - 1
}

// parse reads the record at the start of b; ok is false when it is not whole and unharmed.
func (i ident) parse(b []byte) (kind byte, body []byte, ok bool) {
	n := claimed(b)
	if n == 0 || n > len(b) || i.sum(b[1:5], b[9:n]) != binary.LittleEndian.Uint32(b[5:]) {
		return 0, nil, false
	}
	return b[9], b[header:n], true
}
