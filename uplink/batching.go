// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"edged/mqtt"
	"edged/uplink/batch"
)

// Batch is how messages go to the cloud together, on a topic of their own, where the link is paid by the byte.
type Batch struct {
	Every    time.Duration // how long a message may wait for others; 0: each goes by itself
	Messages int           // of one batch at most
	Size     int64         // bytes of them, before they are compressed
}

// The bounds of Batch. The local broker gives out 1000 messages at most: while one batch is on its way, the next is gathered.
const (
	mostBatched   = 400
	leastBatch    = 1 << 10
	largestBatch  = 1 << 20
	longestBatch  = time.Hour
	shortestBatch = time.Second
	lineBytes     = 32 // of a line, beside topic and payload, roughly
)

func (c Config) validateBatch(report func(key, problem string)) {
	b := c.Batch
	if b.Every != 0 && (b.Every < shortestBatch || b.Every > longestBatch) {
		report("batch.every", `must be "1s" to "1h", or "0s" for none`)
	}
	if b.Messages < 2 || b.Messages > mostBatched {
		report("batch.messages", fmt.Sprintf("must be 2 to %d", mostBatched))
	}
	if b.Size < leastBatch || b.Size > largestBatch {
		report("batch.size", `must be "1KiB" to "1MiB"`)
	}
	if b.Every != 0 && c.QoS == 0 {
		report("batch.every", "a batch is of messages of QoS 1; with qos = 0 there are none")
	}
}

// mayBatch tells whether a delivery may go in a batch: not what is retained, for a batch retains nothing; nothing that has
// properties, for it has no place for them; nothing that somebody waits for, as an event or the answer to a command.
func (u *Uplink) mayBatch(d *mqtt.Delivery, e *entry) bool {
	return u.packer != nil && !u.singly.Load() && d.QoS == 1 && e.msg.QoS == 1 && !d.Retain && d.Expiry == 0 && len(e.msg.Props) == 0 &&
		!slices.Contains(u.topics.own, d.Topic) && !strings.HasSuffix(d.Topic, "/result")
}

// localWindow is how many messages the local broker may give out at a time.
func (u *Uplink) localWindow() int {
	if u.packer == nil {
		return u.cfg.Inflight
	}
	return max(u.cfg.Inflight, 2*u.cfg.Batch.Messages)
}

// next returns what is to be sent next, which stays where it is until fly or remove; nil: nothing before d has passed (0:
// before there are news). Of what may go in batches, so much is one entry whose parts it is. What may not goes before it,
// unless that would change the order on its topic. hurry: nobody waits for company any more.
func (w *window) next(b Batch, now time.Time, hurry bool) (e *entry, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var parts []*entry
	size, full := 0, false
	for _, e := range w.waiting {
		switch {
		case !e.batch:
			if !slices.ContainsFunc(parts, func(p *entry) bool { return p.msg.Topic == e.msg.Topic }) {
				return e, 0
			}
			full = true
		case full:
		default:
			parts = append(parts, e)
			size += len(e.msg.Topic) + len(e.msg.Payload) + lineBytes
			full = len(parts) >= b.Messages || size >= int(b.Size)
		}
	}
	if len(parts) == 0 {
		return nil, 0
	}
	if d = parts[0].came.Add(b.Every).Sub(now); d > 0 && !full && !hurry {
		return nil, d
	}
	return &entry{id: parts[0].id, parts: parts}, 0
}

// alone puts the messages of a batch that does not arrive as such back to where they were. All that waits goes by itself.
func (w *window) alone(e *entry) {
	w.mu.Lock()
	for _, p := range slices.Concat(w.waiting, e.parts) {
		p.batch = false
	}
	w.mu.Unlock()
	w.back(e)
}

// await waits for what is to be sent next; nil: ctx has ended.
func (s *session) await(ctx context.Context) *entry {
	for {
		e, d := s.u.window.next(s.u.cfg.Batch, time.Now(), s.hurry.Load())
		if e != nil {
			return e
		}
		var due <-chan time.Time
		if d > 0 {
			t := time.NewTimer(d)
			defer t.Stop()
			due = t.C
		}
		select {
		case <-s.u.window.news:
		case <-due:
		case <-ctx.Done():
			return nil
		}
	}
}

// pack makes the message of a batch.
func (u *Uplink) pack(e *entry) {
	var lines []byte
	for _, p := range e.parts {
		lines = batch.Append(lines, p.msg.Topic, p.msg.Payload)
	}
	e.msg = mqtt.Message{Topic: u.topics.prefix + "edged/" + u.deps.Gateway + "/batch", Payload: u.packer.Pack(lines), QoS: 1}
}
