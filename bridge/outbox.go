// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"slices"
	"sync"

	"edged/mqtt"
)

// item is one thing to publish.
type item struct {
	mqtt.Message
	data  bool          // a reading: may be given up
	keep  bool          // told again where the broker refuses it because a queue is full, as what replaces others is
	only  string        // an older item with the same text here is replaced; "": none
	event Event         // instead of a message, where it has a code
	done  chan struct{} // closed once the broker has the message or it was given up; nil: nobody waits
}

// settle tells who waits.
func (i item) settle() {
	if i.done != nil {
		close(i.done)
	}
}

// outbox is what waits to be published, in order. The port is read whatever the broker does: of readings, the oldest
// are given up beyond the bound.
type outbox struct {
	bound func() int    // of readings that wait here
	wake  chan struct{} // holds one: there is something

	mu    sync.Mutex
	items []item
	data  int // how many are readings
	given uint64
}

func newOutbox(bound func() int) *outbox { return &outbox{bound: bound, wake: make(chan struct{}, 1)} }

// push puts an item at the end.
func (o *outbox) push(i item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i.only != "" {
		o.drop(i.only)
	}
	o.items = append(o.items, i)
	if i.data {
		o.data++
	}
	o.trim()
	o.stir()
}

// trim gives up the oldest readings beyond the bound.
func (o *outbox) trim() {
	for k, bound := 0, o.bound(); o.data > bound; {
		if !o.items[k].data {
			k++
			continue
		}
		o.items[k].settle()
		o.items = append(o.items[:k], o.items[k+1:]...)
		o.data--
		o.given++
	}
}

// first puts items before all others, in place of older ones of their kind.
func (o *outbox) first(items ...item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range items {
		o.drop(i.only)
	}
	o.items = append(items, o.items...)
	o.stir()
}

// drop takes the items of that kind out.
func (o *outbox) drop(only string) {
	keep := o.items[:0]
	for _, i := range o.items {
		if i.only != only {
			keep = append(keep, i)
		}
	}
	clear(o.items[len(keep):])
	o.items = keep
}

// pop takes the first item.
func (o *outbox) pop() (i item, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) == 0 {
		return i, false
	}
	i = o.items[0]
	o.items[0] = item{}
	o.items = o.items[1:]
	if i.data {
		o.data--
	}
	return i, true
}

// back returns an item that could not be sent. What tells a state is not kept: it is told anew after a reconnect.
func (o *outbox) back(i item) {
	if i.only != "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.items = append([]item{i}, o.items...)
	if i.data {
		o.data++
	}
	o.trim()
}

// waiting returns how many readings are not sent.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data
}

// renew puts states at the end, but those of which a newer one waits.
func (o *outbox) renew(states []item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range states {
		if i.only == "" || !slices.ContainsFunc(o.items, func(x item) bool { return x.only == i.only }) {
			o.items = append(o.items, i)
		}
	}
	o.stir()
}

// refused counts readings that the broker did not take, and returns how many were given up with them.
func (o *outbox) refused(n uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.given += n
	return o.given
}

// givenUp returns how many readings were.
func (o *outbox) givenUp() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.given
}

func (o *outbox) stir() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
