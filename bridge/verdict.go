// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"time"
)

// since is when the device last said something valid, or when its port was opened.
func (t *talk) since() time.Time {
	if t.dog.last.IsZero() {
		return t.opened
	}
	return t.dog.last
}

// verdictAt is when a device that is offline is judged next. Its first bytes may be the middle of a frame.
func (t *talk) verdictAt() time.Time {
	if first := t.opened.Add(firstVerdict); time.Now().Before(first) {
		return first
	}
	return time.Now().Add(healthGap)
}

// judge turns a device offline that has been silent for too long, and says of one that is offline why.
func (t *talk) judge(now time.Time) {
	if t.dog.never {
		return
	}
	stale := now.Sub(t.since()) >= t.dog.after()
	state, _, _ := t.b.presence.is()
	switch {
	case state == online && !stale:
		return
	case state != online && !stale && now.Sub(t.opened) < firstVerdict:
		return
	}
	if code, reason := t.verdict(now, stale); code != "" {
		t.b.presence.set(offline, code, reason)
	}
}

// verdict says why nothing valid comes; "": it is too early to tell.
func (t *talk) verdict(now time.Time, stale bool) (code, reason string) {
	c := t.dec.Counts()
	fresh := c.Bytes - t.valid.Bytes // since the last valid frame
	silence := now.Sub(t.since()).Round(100 * time.Millisecond)
	switch {
	case c.Bytes == 0:
		return Silent, fmt.Sprintf("no byte came in %v: is it powered, and are its wires on the right pins?", silence)
	case t.b.drv.Text && fresh > 0 && 2*(c.Readable-t.valid.Readable) < fresh:
		return Unreadable, fmt.Sprintf("%d of %d bytes are unreadable: is the baud rate %v right?",
			fresh-(c.Readable-t.valid.Readable), fresh, t.b.mode)
	case c.Unmatched > t.valid.Unmatched:
		return Unmatched, fmt.Sprintf("%d lines came that do not match the configured format", c.Unmatched-t.valid.Unmatched)
	case t.frames == 0 && c.Bad > 0:
		return Unreadable, fmt.Sprintf("all of %d frames are damaged: is the baud rate %v right?", c.Bad, t.b.mode)
	case t.frames == 0 && c.Garbage > 0 && !t.b.drv.Text:
		return Unreadable, fmt.Sprintf("%d bytes came, no frame in them: is the baud rate %v right?", c.Garbage, t.b.mode)
	case stale && fresh == 0:
		return Stale, fmt.Sprintf("nothing came for %v", silence)
	case stale:
		return Stale, fmt.Sprintf("nothing valid came for %v, but %d other bytes", silence, fresh)
	default:
		return "", ""
	}
}
