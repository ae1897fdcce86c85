// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
)

const kind = journal.KindFirst

// entry stands for a record: its kind, length and checksum.
type entry struct {
	kind byte
	len  int
	sum  uint32
}

func of(kind byte, body []byte) entry { return entry{kind, len(body), crc32.ChecksumIEEE(body)} }

// world is a disk and what a journal on it was told and has promised, over several lives of the process.
type world struct {
	t     *testing.T
	disk  *journaltest.Disk
	rng   *rand.Rand
	said  map[journal.Pos]entry
	safe  journal.Pos // everything before it was durable
	first uint64      // generations below were released
	large []byte      // a body, made once
	alarm *alarms
	where string // for messages
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, disk: journaltest.New(), rng: rand.New(rand.NewPCG(seed, 0)), said: map[journal.Pos]entry{}, alarm: &alarms{}}
}

// alarms remembers what a journal raised.
type alarms struct {
	mu     sync.Mutex
	up     map[string]string
	raised map[string]int
}

func (a *alarms) set(code, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.up == nil {
		a.up, a.raised = map[string]string{}, map[string]int{}
	}
	if text == "" {
		delete(a.up, code)
		return
	}
	a.up[code] = text
	a.raised[code]++
}

func (a *alarms) is(code string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up[code] != ""
}

func (a *alarms) count(code string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.raised[code]
}

// ends tells whether an alarm ends soon.
func (a *alarms) ends(code string) bool {
	for range 100 {
		if !a.is(code) {
			return true
		}
		<-time.After(10 * time.Millisecond)
	}
	return false
}

// open opens the journal and holds what it replays against what it was told: all that was durable, nothing else.
func (w *world) open() *journal.Journal {
	w.t.Helper()
	w.alarm = &alarms{}
	read := map[journal.Pos]entry{}
	last := journal.Pos(0)
	j, err := journal.Open(journal.Config{Dir: "x", FS: w.disk, Alarm: w.alarm.set, Sleep: virtually}, func(r journal.Record) {
		if r.Pos <= last {
			w.t.Errorf("%s: record at %d after the one at %d", w.where, r.Pos, last)
		}
		last = r.Pos
		if want, ok := w.said[r.Pos]; !ok || want != of(r.Kind, r.Body) {
			w.t.Errorf("%s: a record of %d bytes at %d was invented", w.where, len(r.Body), r.Pos)
		}
		read[r.Pos] = of(r.Kind, r.Body)
	})
	if err != nil {
		w.t.Fatalf("%s: the start was refused: %v", w.where, err)
	}
	for pos := range w.said {
		if _, ok := read[pos]; !ok && pos < w.safe && pos.Gen() >= w.first {
			w.t.Errorf("%s: the record at %d (segment %d, offset %d) was durable (up to %d) and is lost", w.where, pos,
				pos.Gen(), pos.Offset(), w.safe)
		}
	}
	w.said = read
	return j
}

// life is a running journal.
type life struct {
	*world
	j       *journal.Journal
	stop    context.CancelFunc
	ended   chan error
	commits chan journal.Pos
}

// begin opens the journal and runs it.
func (w *world) begin() *life {
	w.t.Helper()
	l := &life{world: w, j: w.open(), ended: make(chan error, 1), commits: make(chan journal.Pos, 1)}
	l.j.Start()
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	last := l.j.Durable()
	go func() {
		l.ended <- l.j.Run(ctx, func(p journal.Pos) {
			if p < last {
				w.t.Errorf("%s: what was durable up to %d is so up to %d only", w.where, last, p)
			}
			last = p
			select {
			case l.commits <- p:
			default:
			}
		})
	}()
	return l
}

// end stops the journal and says what Run returned.
func (l *life) end() error {
	l.stop()
	err := <-l.ended
	l.safe = max(l.safe, l.j.Durable())
	return err
}

func (l *life) append(body string) journal.Pos { return l.put([]byte(body)) }

func (l *life) put(body []byte) journal.Pos {
	p := l.j.Append(kind, body)
	l.said[p] = of(kind, body)
	return p
}

// small is a body of up to 3 kB.
func (l *life) small() []byte {
	b := make([]byte, 8+l.rng.IntN(3000)>>l.rng.IntN(6))
	for k := range b {
		b[k] = byte(l.rng.Uint32())
	}
	return b
}

// big is a body of which a segment holds one.
func (l *life) big() []byte {
	if l.large == nil {
		l.large = make([]byte, journal.MaxBody)
		for k := 0; k < len(l.large); k += 64 << 10 {
			binary.LittleEndian.PutUint32(l.large[k:], l.rng.Uint32())
		}
	}
	binary.LittleEndian.PutUint32(l.large, l.rng.Uint32())
	return l.large
}

// commit waits until everything that was appended is durable; it is false when that takes longer than a minute.
func (l *life) commit() bool {
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for l.j.Durable() < l.j.End() {
		select {
		case <-l.commits:
		case <-limit.C:
			return false
		}
	}
	l.safe = max(l.safe, l.j.Durable())
	return true
}

// batch appends n records and commits them.
func (l *life) batch(n int) bool {
	for range n {
		l.put(l.small())
	}
	return l.commit()
}

func (l *life) release(gen uint64) {
	l.first = max(l.first, gen)
	l.j.Release(gen)
}

// script does everything a broker does with a journal, as far as the disk lets it.
func (l *life) script() {
	step := func() bool { return l.batch(1) && l.batch(12) && l.batch(2) }
	roll := func() bool { l.put(l.big()); return step() }
	if !step() || !roll() || !roll() {
		return
	}
	gen, _ := l.j.First()
	l.release(gen + 1)
	if !step() || !roll() {
		return
	}
	for range 5 { // a commit over two segments
		l.put(l.small())
	}
	l.put(l.big())
	l.batch(3)
	l.release(gen + 2)
	l.batch(1)
}

// recycleLimit is the room for a segment and its spare, so that the next spare is a segment that was given back.
const recycleLimit = 2*journal.SegmentSize + 1<<20

// recycle uses a released segment again.
func (l *life) recycle() {
	l.put(l.big())
	for range 2 {
		if !l.batch(1) || !l.batch(9) {
			return
		}
		l.put(l.big())
		if !l.batch(4) {
			return
		}
		l.release(l.j.End().Gen())
		l.batch(1)
		<-time.After(2 * time.Second)
	}
}

// check reads everything durable through a Reader.
func (l *life) check() {
	l.t.Helper()
	l.safe = max(l.safe, l.j.Durable())
	r := l.j.Read(0)
	defer r.Close()
	read := map[journal.Pos]bool{}
	for rec, ok := r.Next(); ok; rec, ok = r.Next() {
		if l.said[rec.Pos] != of(rec.Kind, rec.Body) {
			l.t.Errorf("%s: the reader invented a record of %d bytes at %d", l.where, len(rec.Body), rec.Pos)
		}
		read[rec.Pos] = true
	}
	if r.Err() != nil {
		l.t.Errorf("%s: reader: %v", l.where, r.Err())
	}
	for pos := range l.said {
		if pos < l.safe && pos.Gen() >= l.first && !read[pos] {
			l.t.Errorf("%s: the reader missed the durable record at %d", l.where, pos)
		}
	}
}

func (w *world) at(format string, args ...any) { w.where = fmt.Sprintf(format, args...) }
