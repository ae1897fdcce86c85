// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"time"
)

// Rate bounds what goes to the cloud in a second. Acknowledgements and pings are not counted and do not wait.
type Rate struct {
	Messages int // 0: no bound
	Bytes    int // of topics and payloads; 0: no bound
}

// throttle keeps to a rate: one bucket of tokens for messages and one for bytes, each of which holds a second's worth. A
// message may go as soon as both have anything in them, and takes them below zero if it is larger than what is there.
type throttle struct {
	rate            Rate
	messages, bytes float64
	at              time.Time // when they were filled last; zero: they are full
}

// take waits until a message of size bytes may go, and counts it.
func (p *throttle) take(ctx context.Context, size int) error {
	if p.rate == (Rate{}) {
		return nil
	}
	for {
		now := time.Now()
		p.fill(now)
		wait := max(lacking(p.messages, p.rate.Messages), lacking(p.bytes, p.rate.Bytes))
		if wait <= 0 {
			p.messages--
			p.bytes -= float64(size)
			return nil
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (p *throttle) fill(now time.Time) {
	if p.at.IsZero() {
		p.messages, p.bytes = float64(p.rate.Messages), float64(p.rate.Bytes)
	}
	seconds := now.Sub(p.at).Seconds()
	if p.at.IsZero() {
		seconds = 0
	}
	p.at = now
	p.messages = min(p.messages+seconds*float64(p.rate.Messages), float64(p.rate.Messages))
	p.bytes = min(p.bytes+seconds*float64(p.rate.Bytes), float64(p.rate.Bytes))
}

// lacking is how long it takes until a whole token is there, of a bucket that gets so many in a second; 0: no bound.
func lacking(tokens float64, rate int) time.Duration {
	if rate == 0 || tokens >= 1 {
		return 0
	}
	return time.Duration((1-tokens)/float64(rate)*float64(time.Second)) + time.Microsecond
}
