// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"sync"
	"time"

	"edged/mqtt"
)

const (
	quotaFirst = time.Second
	quotaMost  = time.Minute
	// quotaCode is the reason code of MQTT 5 (3.4.2.1) that says "not now"; the others say "never".
	quotaCode = 0x97
)

// quota holds messages back after the cloud said that it takes no more of them for the moment.
type quota struct {
	mu    sync.Mutex
	delay time.Duration // of the last time; 0: the cloud took something since
	until time.Time
}

// overQuota says whether a publish was refused only for now.
func overQuota(err error) bool {
	var r *mqtt.ReasonError
	return errors.As(err, &r) && r.Packet == "PUBLISH" && r.Code == quotaCode
}

// refused notes that a publish was. What else was on its way then says nothing new.
func (q *quota) refused(now time.Time) (delay time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !now.Before(q.until) {
		q.delay = min(max(2*q.delay, quotaFirst), quotaMost)
		q.until = now.Add(q.delay)
	}
	return q.delay
}

// taken notes that the cloud took a publish, and says whether it did not before.
func (q *quota) taken(now time.Time) (again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.delay == 0 || now.Before(q.until) {
		return false
	}
	q.delay = 0
	return true
}

// wait waits until something may be sent.
func (q *quota) wait(ctx context.Context) error {
	q.mu.Lock()
	left := time.Until(q.until)
	q.mu.Unlock()
	if left > 0 {
		sleep(ctx, left)
	}
	return ctx.Err()
}
