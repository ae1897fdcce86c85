// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
)

// Open reads the log in cfg.Dir and gives every record to replay, oldest first. Damage never makes it fail: a damaged
// record is skipped, counted and reported (E603) and a copy of its segment set aside; what follows it is still read.
// Every error wraps ErrUnusable. Open writes nothing but that copy; the caller calls Start next, then Run.
func Open(cfg Config, replay func(Record)) (*Journal, error) {
	j := newJournal(cfg)
	system := cfg.FS
	if system == nil {
		system = OS()
	}
	dir, err := system.OpenDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnusable, cfg.Dir, err)
	}
	j.dir, j.clock = counted{dir, &j.written}, newClock()
	if j.sleep = cfg.Sleep; j.sleep == nil {
		j.sleep = j.clock.sleep
	}
	names, err := dir.Names()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrUnusable, cfg.Dir, err), j.clock.Close(), dir.Close())
	}
	j.spare, j.stray = j.sound(names), slices.Contains(names, fillName)
	r := recovery{j: j, replay: replay, buf: make([]byte, SegmentSize)}
	r.collect(names)
	r.read()
	j.announceDamage()
	return j, nil
}

func newJournal(cfg Config) *Journal {
	j := &Journal{
		path: cfg.Dir, log: cfg.Log, alarm: cfg.Alarm, work: make(chan struct{}, 1),
		room: make(chan struct{}), reserve: cfg.Reserve,
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.alarm == nil {
		j.alarm = func(string, string) {}
	}
	j.damage, j.raised = map[uint64]int{}, map[string]bool{}
	j.buffers.New = func() any { b := make([]byte, readSize); return &b }
	return j
}

// sound tells whether there is a spare segment of full size.
func (j *Journal) sound(names []string) bool {
	if !slices.Contains(names, spareName) {
		return false
	}
	f, err := j.dir.Open(spareName, os.O_RDONLY)
	if err != nil {
		return false
	}
	n, err := f.Size()
	return errors.Join(err, f.Close()) == nil && n == SegmentSize
}

// recovery reads what an earlier run left.
type recovery struct {
	j      *Journal
	replay func(Record)
	buf    []byte
}

// collect opens the segments that names tell of, oldest first.
func (r *recovery) collect(names []string) {
	type found struct {
		ident
		from int64
	}
	var all []found
	for _, name := range names {
		if i, from, ok := parseName(name); ok {
			all = append(all, found{i, from})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.gen, b.gen), cmp.Compare(a.salt, b.salt), cmp.Compare(a.from, b.from))
	})
	j := r.j
	for _, f := range all {
		n := len(j.segs)
		if n == 0 || j.segs[n-1].ident != f.ident {
			if n > 0 && j.segs[n-1].gen == f.gen { // not one of ours: a restored copy, say
				j.log.Error("two files claim the same place in the journal; one is not read", "code", "E603", "file", f.name(f.from))
				j.damage[f.gen]++
				j.segs[n-1].unread = append(j.segs[n-1].unread, f.name(f.from))
				continue
			}
			j.segs = append(j.segs, &segment{ident: f.ident})
			n++
		}
		s := j.segs[n-1]
		if p, err := j.openPart(f.name(f.from), f.from); err != nil {
			j.log.Error("a file of the journal cannot be opened", "code", "E603", "file", f.name(f.from), "err", err)
			j.damage[f.gen]++
			s.unread = append(s.unread, f.name(f.from))
		} else {
			s.parts = append(s.parts, p)
		}
	}
}

// openPart opens a file for reading and, when the disk lets it, writing.
func (j *Journal) openPart(name string, from int64) (part, error) {
	f, err := j.dir.Open(name, os.O_RDWR)
	if err == nil {
		return part{from, name, f, false}, nil
	}
	f, err = j.dir.Open(name, os.O_RDONLY)
	return part{from, name, f, true}, err
}

// read replays all segments and decides where the log goes on.
func (r *recovery) read() {
	j := r.j
	j.first, j.salt, j.end = 1, newSalt(), place(1, 0)
	for k, s := range j.segs {
		newest := k == len(j.segs)-1
		if k == 0 {
			j.first = s.gen
		} else if lost := s.gen - j.segs[k-1].gen - 1; lost > 0 {
			j.log.Error("segments of the journal are missing", "code", "E603", "count", lost, "before", s.stem())
			j.damage[s.gen]++
		}
		unreadable := view(s.parts, r.buf, 0)
		l := s.scan(r.buf, func(off int, kind byte, body []byte) {
			r.replay(Record{place(s.gen, int64(off)), kind, body})
		})
		places := len(l.damaged) + unreadable
		if !newest {
			places += len(l.torn)
			if l.last != kindSeal {
				places++
			}
		}
		if places > 0 {
			j.report(s.ident, places, r.buf)
		}
		if newest {
			r.resume(s, l)
		}
	}
	j.oldest.Store(j.first)
	if len(j.pending) == 0 {
		j.durable.Store(uint64(j.end))
	}
}

// resume makes the log go on in its newest segment, or behind it when that is sealed.
func (r *recovery) resume(s *segment, l layout) {
	j := r.j
	j.end, j.newest = place(s.gen+1, 0), s.gen
	if len(s.parts) == 0 {
		return
	}
	last := s.parts[len(s.parts)-1]
	size, err := last.file.Size()
	s.broken = err != nil || size < SegmentSize
	if l.last != kindSeal {
		j.end, j.salt = place(s.gen, int64(l.end)), s.salt
	}
	r.keep(s, l)
	// What a process that was killed had written, and the file's name, may be in the cache only.
	if err := errors.Join(last.file.Datasync(), j.dir.Sync()); err != nil {
		j.log.Warn("the newest segment of the journal is not durable and will be written again", "segment", s.stem(), "err", err)
		s.broken, j.tail, j.holes = true, nil, nil
		j.pending = []chunk{{ident: s.ident, b: slices.Clone(r.buf[:l.end])}}
		j.bytes = l.end
		j.durable.Store(uint64(place(s.gen, 0)))
	}
}

// keep remembers what of the newest segment's last bytes may have to be written again, with its holes covered.
func (r *recovery) keep(s *segment, l layout) {
	holes := slices.DeleteFunc(l.torn, func(h span) bool { return h.to-h.from < header }) // none that we left
	from := l.end
	if len(holes) > 0 {
		r.j.log.Warn("the commit that a crash interrupted is there in part", "segment", s.stem(), "holes", len(holes))
		from = holes[0].from
	}
	for _, h := range holes {
		s.cover(r.buf[h.from:h.to])
	}
	r.j.holes, r.j.resumed = holes, l.end
	r.j.tail = append(r.j.tail, r.buf[from&^(unit-1):l.end]...)
}

// maxAside is how many copies of damaged segments are kept.
const maxAside = 4

// report counts damage and sets a copy of the segment aside, unless that was done by an earlier start.
func (j *Journal) report(i ident, places int, contents []byte) {
	j.damage[i.gen] += places
	name := i.stem() + ".damaged"
	if j.known(name, i, places) {
		return
	}
	log := j.log.With("code", "E603", "segment", i.stem(), "places", places)
	if err := j.setAside(name, contents); err != nil {
		log.Error("damaged records in the journal were skipped, and no copy could be made", "err", err)
		return
	}
	log.Error("damaged records in the journal were skipped", "copy", name)
}

// known tells whether the copy shows as much damage, so that it is nothing new.
func (j *Journal) known(name string, i ident, places int) bool {
	f, err := j.dir.Open(name, os.O_RDONLY)
	if err != nil {
		return false
	}
	b := make([]byte, SegmentSize)
	unreadable := view([]part{{file: f}}, b, 0)
	l := i.scan(b, func(int, byte, []byte) {})
	n := len(l.damaged) + len(l.torn)
	if l.last != kindSeal {
		n++
	}
	return errors.Join(f.Close()) == nil && unreadable == 0 && n >= places
}

func (j *Journal) setAside(name string, contents []byte) error {
	const unfinished = "damaged.new"
	f, err := j.dir.Open(unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create a copy: %w", err)
	}
	_, err = f.WriteAt(contents, 0)
	if err = errors.Join(err, f.Datasync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write a copy: %w", err), j.dir.Remove(unfinished))
	}
	if err := j.dir.Rename(unfinished, name); err != nil {
		return fmt.Errorf("name a copy: %w", err)
	}
	return errors.Join(j.dir.Sync(), j.boundAside())
}

// boundAside removes the oldest copies of damaged segments.
func (j *Journal) boundAside() error {
	names, err := j.dir.Names()
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isAside(n) })
	slices.Sort(names)
	for len(names) > maxAside {
		if err := j.dir.Remove(names[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		names = names[1:]
	}
	return nil
}
