// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// segment is one generation of the log. It is one file as long as the disk never failed in it. After a failed write or
// fdatasync its file is never written again: what was not durable goes to a second file, at the same offsets, which
// counts from its first offset on. So a record keeps its place, and nothing durable has to be copied.
type segment struct {
	ident
	parts  []part   // by offset; replaced as a whole, under Journal.mu, so that a reader can go on with what it has
	broken bool     // the last part takes no more; for the committer alone
	unread []string // files of this generation that nobody can use, to be removed with it
}

// part is a file that holds a segment from an offset on.
type part struct {
	from     int64
	name     string
	file     File
	readOnly bool
}

// unit is how much around a place a failed write may have spoilt: a page of the cache, a page of flash.
const unit = 16 << 10

// maxGen keeps every Pos within 63 bits.
const maxGen = 1 << 40

// name is GENERATION-SALT.seg in hexadecimal, GENERATION-SALT-OFFSET.seg for a part that is not the first.
func (i ident) name(from int64) string {
	if from == 0 {
		return i.stem() + ".seg"
	}
	return fmt.Sprintf("%s-%06x.seg", i.stem(), from)
}

func (i ident) stem() string { return fmt.Sprintf("%016x-%08x", i.gen, i.salt) }

func parseName(name string) (i ident, from int64, ok bool) {
	stem, isSegment := strings.CutSuffix(name, ".seg")
	fields := strings.Split(stem, "-")
	if !isSegment || len(fields) < 2 || len(fields) > 3 {
		return i, 0, false
	}
	gen, err := strconv.ParseUint(fields[0], 16, 64)
	salt, err2 := strconv.ParseUint(fields[1], 16, 32)
	i = ident{gen, uint32(salt)}
	if len(fields) == 3 {
		var err3 error
		from, err3 = strconv.ParseInt(fields[2], 16, 64)
		err2 = errors.Join(err2, err3)
	}
	// A name that is spelt otherwise is not one of ours.
	ok = err == nil && err2 == nil && gen > 0 && gen < maxGen && from < SegmentSize && i.name(from) == name
	return i, from, ok
}

// readParts reads at an offset of a segment; n is how much it read before an error. Behind the end of a file that was
// cut short it reads zeros.
func readParts(parts []part, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		at, k := off+int64(n), len(parts)-1
		for k > 0 && parts[k].from > at {
			k--
		}
		if k < 0 || parts[k].from > at {
			return n, fs.ErrNotExist
		}
		piece := b[n:]
		if k+1 < len(parts) {
			piece = piece[:min(int64(len(piece)), parts[k+1].from-at)]
		}
		m, err := parts[k].file.ReadAt(piece, at)
		if m < len(piece) && !errors.Is(err, io.EOF) {
			return n + m, cmp.Or(err, io.ErrUnexpectedEOF)
		}
		clear(piece[m:])
		n += len(piece)
	}
	return n, nil
}

// view reads like readParts but goes on behind what cannot be read, leaving zeros there; it says how many stretches
// that were.
func view(parts []part, b []byte, off int64) (unreadable int) {
	const block = 4096
	if _, err := readParts(parts, b, off); err == nil {
		return 0
	}
	bad := false
	for at := 0; at < len(b); at += block {
		piece := b[at:min(at+block, len(b))]
		n, err := readParts(parts, piece, off+int64(at))
		clear(piece[n:])
		if err != nil && !bad {
			unreadable++
		}
		bad = err != nil
	}
	return unreadable
}

// with returns parts and p, which takes the place of one that begins at the same offset.
func with(parts []part, p part) []part {
	var all []part
	for _, q := range parts {
		if q.from < p.from {
			all = append(all, q)
		}
	}
	return append(all, p)
}
