// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"edged/bridge/port"
)

const (
	readSize     = 512 // so few lines fit in that a burst need not cost the oldest of it
	burstWait    = 20 * time.Millisecond
	writeTimeout = 2 * time.Second  // for a peer that takes no bytes
	defaultReply = time.Second      // how long an answer may take where the driver does not say
	firstVerdict = 3 * time.Second  // after opening: from then on bytes without a frame have a code
	quietFrame   = 2 * time.Second  // a frame does not pause longer, in bytes
	quietText    = 10 * time.Second // nor in text, which people may type
)

// chunk is what one read gave.
type chunk struct {
	n   int
	at  time.Time
	err error
}

// wire is one opening of the port: the driver and what is going on with it. One goroutine owns it; a second reads and
// a third writes, so that neither a silent nor a stalled device holds it up.
type wire struct {
	*talk
	port port.Port

	chunks  chan chunk    // from the reader, which waits for again
	again   chan struct{} // the buffer is free
	writes  chan []byte   // to the writer
	written chan error    // from it
	stalled bool          // the broker did not catch up when it was waited for
}

// use runs the driver on an open port until that is gone or ctx ends, and closes it.
func (l *line) use(ctx context.Context, p port.Port) (err error) {
	w := &wire{
		port: p, chunks: make(chan chunk), again: make(chan struct{}), writes: make(chan []byte, 1), written: make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer func() { // also when the driver panics
		cancel()
		if cerr := p.Close(); cerr != nil {
			l.b.deps.Log.Debug("closing the port", "err", cerr)
		}
		parts.Wait()
		if w.talk != nil {
			w.abandon(refusal{text: "the device was stopped before it answered"})
		}
	}()
	if w.talk, err = l.newTalk(); err != nil {
		return err
	}
	w.talk.write = func(p []byte) { w.writes <- p } // holds one, and only one exchange goes on
	buf := make([]byte, readSize)
	parts.Go(func() { w.read(ctx, buf) })
	parts.Go(func() { w.put(ctx) })
	err = w.serve(ctx, buf)
	w.finish(err)
	return err
}

// read hands each piece of bytes to the owner, with the time it came.
func (w *wire) read(ctx context.Context, buf []byte) {
	for {
		var n int
		err := contain(func() (err error) { // a simulator may panic
			n, err = w.port.Read(buf)
			return err
		})
		select {
		case w.chunks <- chunk{n, time.Now(), err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case <-w.again:
		case <-ctx.Done():
			return
		}
	}
}

// put writes what the owner gives, one at a time.
func (w *wire) put(ctx context.Context) {
	for {
		select {
		case p := <-w.writes:
			w.written <- contain(func() error { // holds one: the owner gives no other before
				if err := w.port.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
					return err
				}
				_, err := w.port.Write(p)
				return err
			})
		case <-ctx.Done():
			return
		}
	}
}

// serve is the owner's loop.
func (w *wire) serve(ctx context.Context, buf []byte) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w.proceed(time.Now())
		timer.Reset(time.Until(w.next()))
		var commands <-chan command
		if w.now == nil {
			commands = w.b.commands
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-w.chunks:
			if c.n > 0 {
				w.feed(buf[:c.n], c.at)
				w.catchUp()
			}
			if p := new(PanicError); errors.As(c.err, &p) {
				return driverError{p}
			}
			if c.err != nil {
				return gone(c.err)
			}
			select {
			case w.again <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
		case err := <-w.written:
			if p := new(PanicError); errors.As(err, &p) {
				return driverError{p}
			}
			w.wrote(err)
		case c := <-commands:
			w.begin(c)
		case <-timer.C:
		}
	}
}

// catchUp gives the broker a moment in a burst, while the next bytes wait in the kernel's buffer: once, not again and
// again while it stands still, since the port is read whatever the broker does.
func (w *wire) catchUp() {
	behind := func() bool { return w.b.out.waiting()+w.b.session.Unacknowledged() > unacked-readSize/shortLine }
	if !behind() {
		w.stalled = false
		return
	}
	if w.stalled {
		return
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < burstWait; <-tick.C {
		if !behind() {
			return
		}
	}
	w.stalled = true
}

// shortLine is how many bytes the shortest usual line has, {"n":1} and its end.
const shortLine = 8

// gone says in words that the port ended, unless it has said so itself.
func gone(err error) error {
	if e := new(port.Error); errors.As(err, &e) {
		return e
	}
	text := "the port is gone: unplugged?"
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		text += " (" + err.Error() + ")"
	}
	return &port.Error{Code: port.Missing, Text: text, Do: "plug it in again", Err: err}
}

// next returns when the owner has to look again.
func (w *wire) next() time.Time {
	t := time.Now().Add(healthEvery)
	sooner := func(u time.Time) {
		if !u.IsZero() && u.Before(t) {
			t = u
		}
	}
	state, _, _ := w.b.presence.is()
	if !w.dog.never {
		if state == online {
			sooner(w.since().Add(w.dog.after()))
		} else {
			sooner(w.verdictAt())
		}
	}
	if w.dec.Counts().Pending > 0 && !w.ended {
		sooner(w.bytesAt.Add(w.quiet()))
	}
	if w.now != nil {
		sooner(w.now.deadline)
	} else {
		sooner(w.poll.due)
	}
	return t
}

// proceed does what is due.
func (w *wire) proceed(now time.Time) {
	if w.dec.Counts().Pending > 0 && !w.ended && now.Sub(w.bytesAt) >= w.quiet() {
		w.ended = true
		w.dec.End(w.sample)
		w.b.presence.count(w.dec.Counts())
	}
	w.judge(now)
	if w.now != nil && !w.now.deadline.IsZero() && !now.Before(w.now.deadline) {
		w.late()
	}
	if w.now == nil && !w.poll.due.IsZero() && !now.Before(w.poll.due) {
		w.ask(now)
	}
}
