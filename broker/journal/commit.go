// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// committer is what belongs to the goroutine that changes the disk.
type committer struct {
	inflight []chunk // taken from pending; until all of it is durable, nothing more is taken
	tail     []byte  // what is durable of the last unit before the end of the newest segment
	holes    []span  // left by a crash in the newest segment, and covered in tail only
	resumed  int     // where tail ends until the first commit
	ready    bool    // the newest segment can be written
	stray    bool    // an earlier run left a spare that it had not finished

	filling File // the spare that is being made
	filled  int64
	zeros   []byte

	commitErr, spareErr error // why the last attempt failed
	retry, retrySpare   time.Time
	backoff             time.Duration
	raised              map[string]bool // guarded by telling
	damage              map[uint64]int  // places by generation, of those kept
	pace                pacer
	sleep               func(d time.Duration)
	clock               *clock
	company             bool // records came while the last commit was being written
}

// How soon a failed commit is tried again: doubled from the first to the last.
const (
	retryMin = 100 * time.Millisecond
	retryMax = time.Second
)

// stopWithin is how long the last commit is tried on a disk that fails.
const stopWithin = 2 * time.Second

// Start makes the place ready where the next record goes. When the disk refuses, the alarm is up when Start returns and
// Run keeps trying.
func (j *Journal) Start() {
	j.failed(j.prepare())
	j.makeSpare()
}

// write writes what is appended until ctx ends, then the rest, and closes the journal.
func (j *Journal) write(ctx context.Context, committed func(durable Pos)) error {
	for ctx.Err() == nil {
		switch now := time.Now(); {
		case j.busy() && !now.Before(j.retry):
			j.gather()
			j.step(func() { j.attempt(committed) })
			j.step(j.makeSpare)
		case !j.spare && !now.Before(j.retrySpare):
			j.step(j.makeSpare)
		default:
			j.rest(ctx, now)
		}
	}
	return errors.Join(j.finish(committed), j.Close())
}

// busy tells whether there is something to write, give back or look at.
func (j *Journal) busy() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.inflight) > 0 || len(j.pending) > 0 || len(j.found) > 0 || !j.ready || j.commitErr != nil ||
		len(j.segs) > 0 && j.segs[0].gen < j.first
}

// rest waits until there is something to do, or a failed attempt may be repeated.
func (j *Journal) rest(ctx context.Context, now time.Time) {
	if d := j.pace.pause(now); d > 0 {
		j.sleep(d)
		return
	}
	var again <-chan time.Time
	var next time.Time
	for _, t := range []time.Time{j.retry, j.retrySpare} {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if !next.IsZero() {
		timer := time.NewTimer(next.Sub(now))
		defer timer.Stop()
		again = timer.C
	}
	work := j.work
	if j.retry.After(now) {
		work = nil
	}
	select {
	case <-ctx.Done():
	case <-work:
	case <-again:
	}
}

// gather waits for company, if that pays.
func (j *Journal) gather() {
	had := j.fresh()
	if d := j.pace.wait(time.Now(), j.company); d > 0 {
		j.sleep(d)
		j.pace.gathered(had, j.fresh())
	}
}

// fresh is how many records have come, without notes, since the last commit began.
func (j *Journal) fresh() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.records
}

// Pending is how many bytes are not durable.
func (j *Journal) Pending() int { return j.waiting() }

// waiting is how many bytes are not durable.
func (j *Journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes
}

// attempt commits what is pending and gives back what was released.
func (j *Journal) attempt(committed func(Pos)) {
	err := j.prepare()
	if err == nil {
		err = j.commit(committed)
	}
	if err == nil {
		err = j.drop()
	}
	j.failed(err)
	j.lookAtFound()
}

// commit makes what is pending durable.
func (j *Journal) commit(committed func(Pos)) error {
	if len(j.inflight) == 0 {
		j.mu.Lock()
		j.inflight, j.pending = j.pending, nil
		j.pace.begin(j.records, j.latest)
		j.records, j.notes = 0, 0
		j.mu.Unlock()
	}
	if len(j.inflight) == 0 {
		return nil
	}
	for len(j.inflight) > 0 {
		c := &j.inflight[0]
		if err := j.store(c); err != nil {
			return err
		}
		j.keepTail(c)
		j.durable.Store(max(j.durable.Load(), uint64(c.end())))
		j.change(func() { j.bytes -= len(c.b) })
		j.recycle(c.b)
		j.inflight = j.inflight[1:]
	}
	j.pace.done(time.Now())
	j.company = j.fresh() > 0
	committed(j.Durable())
	return nil
}

// failed takes the outcome of an attempt.
func (j *Journal) failed(err error) {
	if j.commitErr = err; err == nil {
		j.backoff, j.retry = 0, time.Time{}
	} else {
		j.backoff = min(max(2*j.backoff, retryMin), retryMax)
		j.retry = time.Now().Add(j.backoff)
	}
	j.announce()
}

// makeSpare takes a step towards a spare segment when there is none.
func (j *Journal) makeSpare() {
	if j.spare && j.spareErr == nil || time.Now().Before(j.retrySpare) && !j.spare {
		return
	}
	j.spareErr, j.retrySpare = nil, time.Time{}
	if !j.spare {
		if j.spareErr = j.fillSpare(); j.spareErr != nil {
			j.retrySpare = time.Now().Add(retryMax)
		}
	}
	j.announce()
}

// announce raises and ends E601 and E602, and says whom to hold back.
func (j *Journal) announce() {
	j.telling.Lock()
	defer j.telling.Unlock()
	j.stuck = false
	var full, failing error
	for _, err := range []error{j.spareErr, j.commitErr} {
		switch {
		case isFull(err):
			full = err
		case err != nil:
			failing = err
		}
	}
	j.tell("E601", full, "the disk is full, so publishers at QoS 1 and 2 wait: free some space for "+j.path)
	j.tell("E602", failing, j.failingText())
	held, takes := full != nil || failing != nil, toDisk
	switch {
	case isFull(j.commitErr):
		takes = nowhere
	case j.commitErr != nil && j.roomy():
		takes = toMemory
	case j.commitErr != nil:
		takes = nowhere
	}
	j.mu.Lock()
	changed := held != j.held || takes != j.takes || (full != nil) != j.full
	j.mu.Unlock()
	if changed {
		j.change(func() { j.held, j.takes, j.full = held, takes, full != nil })
	}
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func (j *Journal) failingText() string {
	return "the disk cannot be written, so publishers at QoS 1 and 2 wait: look at the disk of " + j.path
}

// roomy tells whether a disk that is failing has room for all that may wait in memory, so that it can be written once
// the disk is well, and the acknowledgements behind it too.
func (j *Journal) roomy() bool {
	free, err := j.dir.Free()
	return err == nil && free >= roomy
}

// tell raises an alarm, or ends it when err is nil. j.telling is held.
func (j *Journal) tell(code string, err error, text string) {
	if j.raised[code] == (err != nil) {
		return
	}
	if err == nil {
		delete(j.raised, code)
		j.log.Info("the journal can be written again", "code", code)
		j.alarm(code, "")
		return
	}
	j.raised[code] = true
	j.log.Error(text, "code", code, "err", err)
	j.alarm(code, fmt.Sprintf("%s (%v)", text, err))
}

// announceDamage raises E603, or ends it when the damaged segments are gone.
func (j *Journal) announceDamage() {
	j.telling.Lock()
	defer j.telling.Unlock()
	places := 0
	for _, n := range j.damage {
		places += n
	}
	if places > 0 {
		j.raised["E603"] = true
		j.alarm("E603", fmt.Sprintf("%d damaged places in the journal were skipped; copies of the segments are in %s/*%s",
			places, j.path, asideName))
	} else if j.raised["E603"] {
		delete(j.raised, "E603")
		j.alarm("E603", "")
	}
}

// lookAtFound reports the damage that readers came upon.
func (j *Journal) lookAtFound() {
	j.mu.Lock()
	found := j.found
	j.found = nil
	j.mu.Unlock()
	for gen, places := range found {
		s, parts, _ := j.segment(gen)
		if _, told := j.damage[gen]; told || s == nil {
			continue
		}
		b := make([]byte, SegmentSize)
		view(parts, b, 0)
		j.report(s.ident, places, b)
		j.announceDamage()
	}
}

// finish writes what is left and notes the orderly stop. On a disk that fails it gives up in time.
func (j *Journal) finish(committed func(Pos)) error {
	deadline := time.Now().Add(stopWithin)
	for j.busy() {
		if !time.Now().Before(deadline) {
			return fmt.Errorf("E602: %d bytes of the journal were not written at the stop: %w", j.waiting(), j.commitErr)
		}
		if j.attempt(committed); j.commitErr != nil {
			time.Sleep(retryMin)
		}
	}
	j.Append(kindStop, nil)
	if err := j.commit(committed); err != nil {
		return fmt.Errorf("E602: note the stop in the journal: %w", err)
	}
	return nil
}

// keepBuffer is the largest buffer that is kept for the next commit.
const keepBuffer = 256 << 10

// recycle keeps a chunk's buffer for one of the next.
func (j *Journal) recycle(b []byte) {
	if cap(b) > keepBuffer {
		return
	}
	j.mu.Lock()
	j.unused = b[:0]
	j.mu.Unlock()
}
