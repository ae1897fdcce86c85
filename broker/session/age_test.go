// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"fmt"
	"testing"
	"time"

	"edged/broker/session"
)

// What is older than it may be is given up, or lets publishers wait, within a sixteenth of the age, by the clock that
// counts on whatever the wall clock does; what is younger stays.
func TestAge(t *testing.T) {
	t.Parallel()
	const hour = int64(time.Hour / time.Millisecond)
	for _, full := range []string{session.DropOldest, session.Conflate, session.Reject} {
		t.Run(full, func(t *testing.T) {
			w := newWorld(t)
			at := int64(1)
			w.env.Clock = func() int64 { return at }
			wall := time.Now()
			w.env.Now = func() time.Time { return wall }
			s := fresh(w, 1)
			s.SetQueue(session.Queue{Age: 32 * time.Hour, WhenFull: full})
			for i := range 64 { // two each hour
				wall = wall.Add(time.Duration(i%3-1) * 20 * 365 * 24 * time.Hour)
				w.owe(s, fmt.Sprint(i), 1)
				at += hour / 2
			}
			s.Lock()
			defer s.Unlock()
			owed := func(least, most uint64) {
				t.Helper()
				s.ExpireOld()
				if st := s.Status(); st.Messages < least || st.Messages > most || st.Dropped != 64-st.Messages {
					t.Errorf("after %d h: %+v, want %d to %d", at/hour, st, least, most)
				}
				if old := wall.Sub(s.Status().Oldest); s.Status().Messages > 0 && old > 36*time.Hour && full != session.Reject {
					t.Errorf("the oldest is %v old", old)
				}
			}
			owed(64, 64)
			at += 10 * hour
			if full == session.Reject {
				owed(64, 64)
				if !s.Full("t") {
					t.Error("the oldest is 42 h old, and the session takes more")
				}
				return
			}
			owed(43, 49)
			at += 20 * hour
			owed(3, 9)
			at += 5 * hour
			owed(0, 0)
		})
	}
}
