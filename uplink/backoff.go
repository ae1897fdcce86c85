// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"math/rand/v2"
	"time"
)

// backoff says when to try again. A fleet that lost its cloud at one moment comes back spread over a quarter of the
// outage, so that the cloud is not met by all at once.
type backoff struct {
	rand  func(n int64) int64 // uniform in [0, n)
	began time.Time           // of the outage
}

const (
	soonest    = 500 * time.Millisecond
	firstSpan  = 4 * time.Second
	longest    = 5 * time.Minute
	refusedMin = 60 * time.Second
	refusedMax = 90 * time.Second
	settled    = 30 * time.Second // a session that lasted so long and had an acknowledgement ended the outage
)

func newBackoff(now time.Time) *backoff { return &backoff{rand: rand.Int64N, began: now} }

// next is how long to wait after a try that failed at now: uniformly within 0.5 s and the greater of 4 s and a quarter of
// the outage, which counts as five minutes at most.
func (b *backoff) next(now time.Time) time.Duration {
	return b.within(soonest, max(firstSpan, min(longest, now.Sub(b.began)/4)))
}

// refused is how long to wait after the server said that it does not want us: only a human can change that.
func (b *backoff) refused() time.Duration { return b.within(refusedMin, refusedMax) }

// lost tells that a session which was accepted at up ended at now; acked says whether the server acknowledged anything in
// it. The outage counts anew only if the session was worth something: one that ends again and again is one outage.
func (b *backoff) lost(up, now time.Time, acked bool) {
	if acked && now.Sub(up) >= settled {
		b.began = now
	}
}

func (b *backoff) within(from, to time.Duration) time.Duration {
	return from + time.Duration(b.rand(int64(to-from)+1))
}
