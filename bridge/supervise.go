// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// A Task is one part of the program: it runs until ctx ends or it cannot go on.
type Task func(ctx context.Context) error

// ErrDone, returned by a task, means that it must not be started again.
var ErrDone = errors.New("task is done")

// A Backoff says how long to wait before a task is started again.
type Backoff struct {
	Min, Max time.Duration // the first wait and the longest; a wait is drawn from its upper half
	Healthy  time.Duration // a run this long starts the count anew
}

// Restart is the back-off for a bridge.
func Restart() Backoff {
	return Backoff{Min: 500 * time.Millisecond, Max: 30 * time.Second, Healthy: time.Minute}
}

// Keep runs task until ctx ends, starting it again after each end; a panic counts as one. It returns nil when ctx has
// ended or the task returned [ErrDone].
func Keep(ctx context.Context, log *slog.Logger, b Backoff, task Task) error {
	wait := b.Min
	for {
		started := time.Now()
		err := contain(func() error { return task(ctx) })
		switch {
		case errors.Is(err, ErrDone):
			return nil
		case ctx.Err() != nil:
			if p := new(PanicError); errors.As(err, &p) {
				log.Error("panic while stopping", "err", p, "stack", string(p.Stack))
			} else if err != nil && !errors.Is(err, ctx.Err()) && !errors.Is(err, context.Cause(ctx)) {
				log.Warn("stopped with an error", "err", err)
			}
			return nil
		case time.Since(started) >= b.Healthy:
			wait = b.Min
		}
		pause := wait/2 + rand.N(wait/2+1)
		attrs := []any{"err", err, "in", pause.Round(time.Millisecond)}
		if p := new(PanicError); errors.As(err, &p) {
			attrs = append(attrs, "stack", string(p.Stack))
		}
		log.Error("ended, starting again", attrs...)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		wait = min(2*wait, b.Max)
	}
}

// A PanicError is a panic that was caught.
type PanicError struct {
	Value any
	Stack []byte
}

// Error tells what was panicked with, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// contain runs f and makes an error of its panic. A panic ends the whole program when nothing in its own goroutine
// catches it, so every goroutine in which a driver's code runs begins with this.
func contain(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
