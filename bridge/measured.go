// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"time"

	"edged/devices"
)

// measured takes readings through the pipeline, shows them and publishes what is to be. It gives them as they are in
// data.
func (l *line) measured(s devices.Sample) []devices.Reading {
	rs, dropped := l.pipeline.transform(s.Readings)
	if dropped > 0 {
		l.b.presence.outOfRange(dropped)
	}
	if l.b.learn(rs) && l.b.deps.Changed != nil {
		l.b.deps.Changed(l.b.cfg.Name)
	}
	pass := l.pipeline.pass(rs, s.At)
	if !pass {
		l.pipeline.rename(rs)
	}
	l.b.presence.show(rs)
	if pass {
		l.publish(s.At, rs)
	}
	return rs
}

// publish makes a message of data.
func (l *line) publish(at time.Time, rs []devices.Reading) {
	n, skipped := l.seq.Next()
	for _, r := range skipped {
		l.b.out.push(item{event: Event{
			Time: time.Now(), Code: SeqSkipped, Level: "warning", Device: l.b.cfg.Name,
			Text: fmt.Sprintf("seq skipped after a crash: %d to %d", r.First, r.Last), First: r.First, Last: r.Last,
		}})
	}
	m := item{data: true}
	m.Topic, m.QoS, m.Retain = l.b.topics.of("data"), 1, l.b.cfg.Retain
	m.Payload = appendData(nil, at, n, rs, l.b.uptime(at))
	l.b.out.push(m)
	l.b.presence.published()
}
