// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"time"

	"edged/mqtt"
)

// windowWait is how long a full window is waited for. Past it the broker's disk is in trouble (E601, E602) and will
// acknowledge nothing for long: what there is to publish then goes out at QoS 0, in its order, until acknowledgements come
// again. So live subscribers go on getting readings, and statuses stay true; nobody is promised to get them later.
const windowWait = 5 * time.Second

// publish publishes a message, at QoS 0 where the window has been full for long.
func (l *link) publish(until context.Context, c *mqtt.Client, m mqtt.Message) (*mqtt.Pending, error) {
	if l.session.Unacknowledged() < inFlight {
		if !l.full.IsZero() && time.Since(l.full) > windowWait {
			l.log.Info("the broker acknowledges again")
		}
		l.full = time.Time{}
		return c.Publish(until, m)
	}
	if l.full.IsZero() {
		l.full = time.Now()
	}
	if left := windowWait - time.Since(l.full); left > 0 {
		wait, cancel := context.WithTimeout(until, left)
		defer cancel()
		p, err := c.Publish(wait, m)
		if err == nil || wait.Err() == nil || until.Err() != nil {
			return p, err
		}
		l.log.Warn("the broker acknowledges nothing: what comes goes out at QoS 0 until it does", "unacknowledged", l.session.Unacknowledged())
	}
	m.QoS = 0
	return c.Publish(until, m)
}
