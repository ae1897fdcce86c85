// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	watchEvery = time.Second
	// stuckAfter is how long one step of the writer may take before the disk counts as failing. SD cards stall for a
	// second or two while they tidy up, and that is nothing to tell of.
	stuckAfter = 3 * time.Second
	// slack is how much longer than the last attempts to write Run waits for a disk that does not answer.
	slack = 250 * time.Millisecond
)

// watch is what Run's goroutine knows of the one that writes, which the kernel may hold for as long as it likes.
type watch struct {
	began atomic.Int64 // Unix nanoseconds at which the writer's present step began, 0 while it rests
	stuck bool         // the step takes so long that E602 is raised; guarded by Journal.telling
}

// Run writes what is appended, in groups, until ctx ends; then it writes the rest and a mark of the orderly stop, and
// closes the journal. committed is called after each group that has become durable, by one goroutine and without any
// lock held; it may be nil. The error says what could not be written at the end, or that the writer had a defect.
//
// A disk that does not answer cannot be waited for: after a while Run returns without it. The writer then goes on in the
// background and closes the files when the disk lets it.
func (j *Journal) Run(ctx context.Context, committed func(durable Pos)) error {
	if committed == nil {
		committed = func(Pos) {}
	}
	ended := make(chan error, 1)
	go func() { ended <- j.keepWriting(ctx, committed) }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	stop := ctx.Done()
	var limit <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case <-stop:
			stop, limit = nil, time.After(stopWithin+slack)
		case <-limit:
			j.change(func() { j.closed = true })
			return fmt.Errorf("E602: the disk of %s does not answer, and %d bytes were not written at the stop", j.path, j.waiting())
		case now := <-tick.C:
			j.lookAtWriter(now)
			j.Hurry()
		}
	}
}

// keepWriting is the goroutine that changes the disk. A defect in it must not pass for a slow disk: nobody would ever be
// acknowledged again. So it ends Run, and with it whoever relies on the journal; what is on the disk is whole.
func (j *Journal) keepWriting(ctx context.Context, committed func(Pos)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			j.log.Error("panic in the journal's writer: please report it", "panic", p, "stack", string(debug.Stack()))
			err = errors.Join(fmt.Errorf("the journal's writer had a defect: %v", p), j.Close())
		}
	}()
	return j.write(ctx, committed)
}

// step runs one step of the writer under the watch.
func (j *Journal) step(fn func()) {
	j.began.Store(time.Now().UnixNano())
	defer j.began.Store(0)
	fn()
}

// lookAtWriter raises E602 while the writer does not come back from a step. The writer ends the alarm when it does.
func (j *Journal) lookAtWriter(now time.Time) {
	j.telling.Lock()
	defer j.telling.Unlock()
	began := j.began.Load()
	if j.stuck || began == 0 || now.Sub(time.Unix(0, began)) < stuckAfter {
		return
	}
	j.stuck = true
	j.tell("E602", errors.New("it does not answer"), j.failingText())
	j.change(func() { j.held = true })
}
