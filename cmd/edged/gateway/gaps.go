// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"edged/bridge"
	"edged/broker"
)

// GivenUp is the code of the event that tells what a session of the broker gave up.
const GivenUp = "E404"

// gapEvery is how often such an event is published at most for one session; what comes between is told together.
const gapEvery = time.Second

// gapMost is how seldom it may become.
const gapMost = 10 * time.Minute

// unsendable is the reason of a gap that the cloud's limits made.
const unsendable = "unsendable"

// damaged is the reason of one that is found while the journal is read.
const damaged = "damage"

// refused is the reason of one that is not a loss: the publishers know.
const refused = "reject"

// gapTopics is how many topics one event names.
const gapTopics = 8

// gaps gathers what sessions gave up until it is told.
type gaps struct {
	lost losses

	mu   sync.Mutex
	all  map[string]*broker.Gap // by ClientId and reason
	wake chan struct{}          // holds one: there is something
}

func newGaps() *gaps { return &gaps{all: map[string]*broker.Gap{}, wake: make(chan struct{}, 1)} }

// add is what the broker calls. An event that was given up itself is no reason for another.
func (g *gaps) add(x broker.Gap) {
	g.lost.count(&x)
	if len(x.Topics) > 0 && !slices.ContainsFunc(x.Topics, func(t broker.GapTopic) bool { return !strings.HasSuffix(t.Topic, "/event") }) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := x.ClientID + " " + x.Reason
	if sum := g.all[key]; sum == nil {
		g.all[key] = &x
	} else {
		join(sum, &x)
	}
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// join adds x, which came later.
func join(sum, x *broker.Gap) {
	sum.Messages += x.Messages
	sum.Bytes += x.Bytes
	for _, t := range x.Topics {
		i := slices.IndexFunc(sum.Topics, func(u broker.GapTopic) bool { return u.Topic == t.Topic })
		if i < 0 {
			if len(sum.Topics) < 4*gapTopics {
				sum.Topics = append(sum.Topics, t)
			}
			continue
		}
		sum.Topics[i].Messages += t.Messages
		sum.Topics[i].Last = t.Last
	}
}

// telling is an event under way.
type telling struct {
	gap  *broker.Gap
	done <-chan struct{} // closed once the broker has it
}

// run publishes what was given up as events, until ctx ends; told is called with what the broker has. While more and more
// is given up, the events become fewer: the share of the queue that is kept for events is not meant for these.
func (g *gaps) run(ctx context.Context, event func(bridge.Event) <-chan struct{}, told func(*broker.Gap)) error {
	var under []telling
	every, last := gapEvery, time.Time{}
	for {
		var landed <-chan struct{}
		if len(under) > 0 {
			landed = under[0].done
		}
		select {
		case <-ctx.Done():
			return nil
		case <-landed:
			told(under[0].gap)
			under = under[1:]
			continue
		case <-g.wake:
		}
		if every = min(2*every, gapMost); time.Since(last) > gapEvery {
			every = gapEvery
		}
		for _, x := range g.take() {
			if done := event(gapEvent(x, time.Now())); done != nil {
				under = append(under, telling{x, done})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		last = time.Now()
	}
}

// take returns what was gathered.
func (g *gaps) take() map[string]*broker.Gap {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.all
	g.all = map[string]*broker.Gap{}
	return all
}

// gapEvent says what a session gave up: how many messages, and of each topic how many, with the first and the last seq.
func gapEvent(x *broker.Gap, now time.Time) bridge.Event {
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages (%d bytes) for %s were %s", x.Messages, x.Bytes, x.ClientID, fate(x.Reason))
	for i, t := range x.Topics {
		if i == gapTopics {
			fmt.Fprintf(&b, "; and %d other topics", len(x.Topics)-i)
			break
		}
		fmt.Fprintf(&b, "; %s: %d", t.Topic, t.Messages)
		first, ok := seqOf(t.First)
		if last, also := seqOf(t.Last); ok && also {
			fmt.Fprintf(&b, ", seq %d to %d", first, last)
		}
	}
	return bridge.Event{Time: now, Code: GivenUp, Level: "warning", Text: b.String()}
}

// fate is what became of the messages of a gap.
func fate(reason string) string {
	switch reason {
	case unsendable:
		return "given up, because the cloud takes none of that size or kind"
	case refused:
		return "refused, because its queue is full"
	case "disk":
		return "given up, because the disk is full"
	case "age":
		return "given up, because they were too old"
	case "untold":
		return "given up before a crash, so that no more is known of them"
	case damaged:
		return "given up, because their records in the journal are damaged"
	}
	return "given up, because its " + reason + " is full"
}

// seqOf is the seq of a reading.
func seqOf(payload []byte) (seq uint64, ok bool) {
	var x struct {
		Seq *uint64 `json:"seq"`
	}
	if err := json.Unmarshal(payload, &x); err != nil || x.Seq == nil {
		return 0, false
	}
	return *x.Seq, true
}
