// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"time"

	"edged/mqtt"
)

// tellAgain is when a state is told again that the broker did not take because a queue is full.
const tellAgain = time.Second

// quotaExceeded is the reason code of such a refusal (MQTT 5, 3.4.2.1).
const quotaExceeded = 0x97

// flight is an item that was published, and what will become of it.
type flight struct {
	item
	pending *mqtt.Pending
	turn    uint64
}

// flights are the items on their way, in order, of one link. What is refused because a queue is full is given up when it
// is a reading, as others are that find no room, and told again when it is an event, or a state of which no newer one was
// sent.
type flights struct {
	all    []flight
	turn   uint64
	latest map[string]uint64 // turn of the newest state of each kind
	again  []flight
	due    <-chan time.Time // when these are told again; nil: there are none
}

func (f *flights) add(i item, p *mqtt.Pending) {
	if f.latest == nil {
		f.latest = map[string]uint64{}
	}
	if f.turn++; i.only != "" {
		f.latest[i.only] = f.turn
	}
	f.all = append(f.all, flight{i, p, f.turn})
}

// landed is closed when the first has an answer; nil: there is none.
func (f *flights) landed() <-chan struct{} {
	if len(f.all) == 0 {
		return nil
	}
	return f.all[0].pending.Done()
}

// reap takes out what has an answer, and returns how many readings were refused.
func (f *flights) reap() (refused uint64) {
	for len(f.all) > 0 {
		x := f.all[0]
		select {
		case <-x.pending.Done():
		default:
			return refused
		}
		f.all[0] = flight{}
		f.all = f.all[1:]
		var no *mqtt.ReasonError
		switch {
		case !errors.As(x.pending.Err(), &no) || no.Code != quotaExceeded:
		case x.only == "" && !x.keep:
			refused++
		default:
			f.again = append(f.again, x)
			if f.due == nil {
				f.due = time.After(tellAgain)
			}
		}
	}
	f.all = nil
	return refused
}

// retry returns what is to be told again.
func (f *flights) retry() (states []item) {
	for _, x := range f.again {
		if x.only == "" || f.latest[x.only] == x.turn {
			x.done = nil // nobody waits any more
			states = append(states, x.item)
		}
	}
	f.again, f.due = nil, nil
	return states
}
