// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of files that are no segments. A spare is a segment without a name: zeros, or what a released one held.
const (
	spareName  = "spare"
	fillName   = "spare.new"
	asideName  = ".damaged"
	fillStride = 256 << 10
)

func isAside(name string) bool { return strings.HasSuffix(name, asideName) }

// prepare makes the newest segment ready to be written.
func (j *Journal) prepare() error {
	if j.ready {
		return nil
	}
	if j.stray && j.spare {
		if err := j.remove(fillName); err != nil {
			return fmt.Errorf("remove %s: %w", fillName, err)
		}
	}
	if len(j.segs) == 0 {
		return j.probeSpare()
	}
	s := j.segs[len(j.segs)-1]
	k := len(s.parts) - 1
	if k >= 0 && s.parts[k].readOnly {
		p, err := j.openPart(s.parts[k].name, s.parts[k].from)
		if err == nil && p.readOnly {
			err = errors.Join(unix.EROFS, p.file.Close())
		}
		if err != nil {
			return fmt.Errorf("open %s for writing: %w", s.parts[k].name, err)
		}
		j.addPart(s, p)
	}
	if k >= 0 && !s.broken {
		if err := j.coverHoles(s); err != nil {
			j.rewriteTail(s)
			return err
		}
	}
	j.ready = true
	return nil
}

// probeSpare finds out whether the disk can be written when there is no segment to try.
func (j *Journal) probeSpare() error {
	if j.spare {
		f, err := j.dir.Open(spareName, os.O_RDWR)
		if err != nil {
			return fmt.Errorf("open the spare segment for writing: %w", err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("close the spare segment: %w", err)
		}
	}
	j.ready = true
	return nil
}

// coverHoles writes a record's head over each hole that a crash left in the last commit, so that a later start can tell
// these from damage.
func (j *Journal) coverHoles(s *segment) error {
	start := j.resumed - len(j.tail)
	for _, h := range j.holes {
		head := j.tail[h.from-start:][:header]
		for _, p := range slices.Backward(s.parts) {
			if p.from > int64(h.from) {
				continue
			}
			if _, err := p.file.WriteAt(head, int64(h.from)); err != nil {
				return fmt.Errorf("cover a hole in %s: %w", p.name, err)
			}
			if err := p.file.Datasync(); err != nil {
				return fmt.Errorf("fdatasync of %s: %w", p.name, err)
			}
			break
		}
	}
	j.holes = nil
	return nil
}

// rewriteTail lets what was kept of the segment's end, with its holes covered, be the next to be written, to a file of
// its own.
func (j *Journal) rewriteTail(s *segment) {
	c := chunk{s.ident, int64(j.resumed - len(j.tail)), j.tail}
	s.broken, j.tail, j.holes = true, nil, nil
	j.inflight = append([]chunk{c}, j.inflight...)
	j.change(func() { j.bytes += len(c.b) })
}

// store makes a chunk durable. It is called again with the same chunk until it succeeds; a file in which it failed is
// not written again.
func (j *Journal) store(c *chunk) error {
	s, _, _ := j.segment(c.gen)
	if s == nil || s.broken || len(s.parts) == 0 {
		return j.storeInNew(s, c)
	}
	p := s.parts[len(s.parts)-1]
	_, err := p.file.WriteAt(c.b, c.off)
	if err == nil {
		err = p.file.Datasync()
	}
	if err != nil {
		s.broken = true
		return fmt.Errorf("write %d bytes to %s: %w", len(c.b), p.name, err)
	}
	return nil
}

// storeInNew makes a chunk durable in a new file: that of a new generation, or the next part of one whose last file
// failed. The file gets its name only when it holds all that it stands for: it may take the place of a part whose good
// bytes it repeats.
func (j *Journal) storeInNew(s *segment, c *chunk) error {
	f, err := j.takeSpare()
	if err != nil {
		return err
	}
	tail := j.tail
	if c.off == 0 {
		tail = nil
	}
	from := c.off - int64(len(tail))
	name := c.name(from)
	err = j.fillPart(f, tail, c)
	if err == nil {
		err = j.dir.Rename(spareName, name)
	}
	if err != nil {
		j.setSpare(false)
		err = fmt.Errorf("write %d bytes to a new file of the journal: %w", len(c.b), err)
		return errors.Join(err, f.Close(), j.remove(spareName))
	}
	j.setSpare(false)
	if s == nil {
		s = &segment{ident: c.ident}
		j.change(func() { j.segs, j.newest = append(j.segs, s), s.gen })
	}
	j.addPart(s, part{from, name, f, false})
	s.broken = false
	if err := j.dir.Sync(); err != nil {
		s.broken = true
		return fmt.Errorf("fsync of %s after naming %s: %w", j.path, name, err)
	}
	return nil
}

// fillPart writes tail and chunk to where they belong.
func (j *Journal) fillPart(f File, tail []byte, c *chunk) error {
	if len(tail) > 0 {
		if _, err := f.WriteAt(tail, c.off-int64(len(tail))); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(c.b, c.off); err != nil {
		return err
	}
	return f.Datasync()
}

// addPart makes p the last part of s. What it takes the place of is closed; a reader that is in the middle of it looks
// again.
func (j *Journal) addPart(s *segment, p part) {
	var old []part
	j.change(func() {
		old = s.parts
		s.parts = with(old, p)
	})
	for _, q := range old {
		if q.from >= p.from {
			if err := q.file.Close(); err != nil {
				j.log.Warn("a file of the journal did not close", "file", q.name, "err", err)
			}
		}
	}
}

// keepTail remembers the bytes of the last unit, which a failed write may spoil although they are durable.
func (j *Journal) keepTail(c *chunk) {
	end := c.off + int64(len(c.b))
	from := end &^ (unit - 1)
	if from >= c.off {
		j.tail = append(j.tail[:0], c.b[from-c.off:]...)
		return
	}
	start := c.off - int64(len(j.tail))
	n := copy(j.tail, j.tail[from-start:])
	j.tail = append(j.tail[:n], c.b...)
}

func (j *Journal) setSpare(ready bool) { j.change(func() { j.spare = ready }) }

// takeSpare opens the spare segment, finishing it first if need be.
func (j *Journal) takeSpare() (File, error) {
	for !j.spare {
		if err := j.fillSpare(); err != nil {
			return nil, err
		}
	}
	f, err := j.dir.Open(spareName, os.O_RDWR)
	if err != nil {
		j.setSpare(false)
		return nil, fmt.Errorf("open the spare segment: %w", err)
	}
	return f, nil
}

// fillSpare does a small part of making a spare segment, so that commits need not wait for long.
func (j *Journal) fillSpare() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a spare segment: %w", errors.Join(err, j.abortFill()))
		}
	}()
	if j.filling == nil {
		// Trying would write up to a segment in vain, each time.
		if free, err := j.dir.Free(); err == nil && free < SegmentSize+j.leave() {
			return fmt.Errorf("%d bytes are free, of which %d are left to others: %w", free, j.leave(), unix.ENOSPC)
		}
		if j.filling, err = j.dir.Open(fillName, os.O_RDWR|os.O_CREATE|os.O_TRUNC); err != nil {
			return err
		}
		j.filled, j.zeros = 0, make([]byte, fillStride)
	}
	if _, err := j.filling.WriteAt(j.zeros, j.filled); err != nil {
		return err
	}
	if err := j.filling.Datasync(); err != nil {
		return err
	}
	if j.filled += fillStride; j.filled < SegmentSize {
		return nil
	}
	err = j.filling.Close()
	j.filling, j.zeros = nil, nil
	if err == nil {
		err = j.dir.Rename(fillName, spareName)
	}
	if err == nil {
		err = j.dir.Sync()
	}
	j.setSpare(err == nil)
	return err
}

// fewSegments is how many segments a journal may have whatever is free beside it: with less it would stand still rather than
// leave room.
const fewSegments = 4

// leave is how many bytes of the file system are to be free beside another segment.
func (j *Journal) leave() int64 {
	if j.reserve == nil || len(j.segs) < fewSegments {
		return fillStride
	}
	return max(j.reserve(), fillStride)
}

// abortFill gives up the spare segment that is being made.
func (j *Journal) abortFill() error {
	if j.filling == nil {
		return nil
	}
	err := j.filling.Close()
	j.filling, j.zeros = nil, nil
	return errors.Join(err, j.remove(fillName))
}

func (j *Journal) remove(name string) error {
	if err := j.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// drop gives released segments back, oldest first and each durably, so that a crash leaves no gap.
func (j *Journal) drop() error {
	for {
		j.mu.Lock()
		var s *segment
		if len(j.segs) > 0 && j.segs[0].gen < j.first && j.Durable() >= j.trimmed {
			s = j.segs[0]
		}
		j.mu.Unlock()
		if s == nil {
			return nil
		}
		if err := j.discard(s); err != nil {
			return fmt.Errorf("give back segment %s: %w", s.stem(), err)
		}
		j.change(func() { j.segs = j.segs[1:] })
		if err := closeParts(s.parts); err != nil {
			j.log.Warn("a file of the journal did not close", "segment", s.stem(), "err", err)
		}
		if _, was := j.damage[s.gen]; was {
			delete(j.damage, s.gen)
			j.announceDamage()
		}
	}
}

// discard takes a segment's names away. The first file becomes the spare when there is none and it is sound.
func (j *Journal) discard(s *segment) error {
	for _, name := range s.unread {
		if err := j.remove(name); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(s.parts) {
		n, err := p.file.Size()
		if p.from > 0 || j.spare || s.broken || err != nil || n != SegmentSize {
			if err := j.remove(p.name); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(j.abortFill(), j.dir.Rename(p.name, spareName)); err != nil {
			return err
		}
		j.setSpare(true)
	}
	return j.dir.Sync()
}
