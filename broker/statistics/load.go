// SPDX-License-Identifier: Apache-2.0

package statistics

import (
	"math"
	"time"
)

// Load is how fast counters rise: mosquitto's averages per minute over 1, 5 and 15 minutes. It is not safe for use by
// several goroutines.
type Load struct {
	last time.Time
	rows [loadRows]loadRow
}

type loadRow struct {
	count   uint64
	average [3]float64 // per minute
}

const loadRows = 9

// loadNames are the rows' topics below $SYS/broker/load/.
func loadNames() [loadRows]string {
	return [loadRows]string{
		"messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent", "bytes/received",
		"bytes/sent", "sockets", "connections",
	}
}

// Sample takes the counters into the averages. It is to be called in steady intervals.
func (l *Load) Sample(c *Counters, now time.Time) {
	in, out := c.received.load(), c.sent.load()
	counts := [loadRows]uint64{
		in.Packets, out.Packets, c.dropped.Load(), in.Publishes, out.Publishes, in.Bytes, out.Bytes,
		c.sockets.Load(), c.connects.Load(),
	}
	passed := now.Sub(l.last).Minutes()
	first := l.last.IsZero()
	l.last = now
	for i := range l.rows {
		r := &l.rows[i]
		rise := counts[i] - r.count
		r.count = counts[i]
		if first || passed <= 0 {
			continue
		}
		perMinute := float64(rise) / passed
		for k, minutes := range [3]float64{1, 5, 15} {
			r.average[k] = perMinute + math.Exp(-passed/minutes)*(r.average[k]-perMinute)
		}
	}
}
