// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"time"
)

// since is when the device last said something valid, or when its port was opened.
func (w *wire) since() time.Time {
	if w.dog.last.IsZero() {
		return w.opened
	}
	return w.dog.last
}

// verdictAt is when a device that is offline is judged next. Its first bytes may be the middle of a frame.
func (w *wire) verdictAt() time.Time {
	if first := w.opened.Add(firstVerdict); time.Now().Before(first) {
		return first
	}
	return time.Now().Add(healthGap)
}

// judge turns a device offline that has been silent for too long, and says of one that is offline why.
func (w *wire) judge(now time.Time) {
	if w.dog.never {
		return
	}
	stale := now.Sub(w.since()) >= w.dog.after()
	state, _, _ := w.b.presence.is()
	switch {
	case state == online && !stale:
		return
	case state != online && !stale && now.Sub(w.opened) < firstVerdict:
		return
	}
	if code, reason := w.verdict(now, stale); code != "" {
		w.b.presence.set(offline, code, reason)
	}
}

// verdict says why nothing valid comes; "": it is too early to tell.
func (w *wire) verdict(now time.Time, stale bool) (code, reason string) {
	c := w.dec.Counts()
	fresh := c.Bytes - w.valid.Bytes // since the last valid frame
	silence := now.Sub(w.since()).Round(100 * time.Millisecond)
	switch {
	case c.Bytes == 0:
		return Silent, fmt.Sprintf("no byte came in %v: is it powered, and are its wires on the right pins?", silence)
	case w.b.drv.Text && fresh > 0 && 2*(c.Readable-w.valid.Readable) < fresh:
		return Unreadable, fmt.Sprintf("%d of %d bytes are unreadable: is the baud rate %v right?",
			fresh-(c.Readable-w.valid.Readable), fresh, w.b.mode)
	case c.Unmatched > w.valid.Unmatched:
		return Unmatched, fmt.Sprintf("%d lines came that do not match the configured format", c.Unmatched-w.valid.Unmatched)
	case w.frames == 0 && c.Bad > 0:
		return Unreadable, fmt.Sprintf("all of %d frames are damaged: is the baud rate %v right?", c.Bad, w.b.mode)
	case w.frames == 0 && c.Garbage > 0 && !w.b.drv.Text:
		return Unreadable, fmt.Sprintf("%d bytes came, no frame in them: is the baud rate %v right?", c.Garbage, w.b.mode)
	case stale && fresh == 0:
		return Stale, fmt.Sprintf("nothing came for %v", silence)
	case stale:
		return Stale, fmt.Sprintf("nothing valid came for %v, but %d other bytes", silence, fresh)
	default:
		return "", ""
	}
}
