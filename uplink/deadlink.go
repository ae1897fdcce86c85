// SPDX-License-Identifier: Apache-2.0

package uplink

import "time"

// minPatience is how long an unacknowledged publish or ping waits at least before the link may be called dead.
const minPatience = 6 * time.Second

// vitals is what tells a dead link from a slow one.
type vitals struct {
	oldest    time.Time     // when the oldest unacknowledged publish or ping went out; zero: nothing is owed to us
	lastAck   time.Time     // when the server acknowledged anything
	lastTaken time.Time     // when the peer's TCP took a byte, as far as that is known
	roundTrip time.Duration // of the acknowledgements; 0: not known
}

// patience is how long a live link may leave us without any sign.
func patience(roundTrip time.Duration) time.Duration { return max(minPatience, 4*roundTrip) }

// dead says whether the link is: the oldest unacknowledged publish or ping has waited longer than the patience, and in
// that time neither an acknowledgement came nor did the peer's TCP take a byte.
func (v vitals) dead(now time.Time) bool {
	if v.oldest.IsZero() {
		return false
	}
	since := v.oldest
	for _, sign := range []time.Time{v.lastAck, v.lastTaken} {
		if sign.After(since) {
			since = sign
		}
	}
	return now.Sub(since) > patience(v.roundTrip)
}
