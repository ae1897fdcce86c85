// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"edged/mqtt"
)

// mostZeros is how many QoS 0 messages may wait for their turn; those that come then are discarded. Messages of QoS 1 and
// 2 are bounded by the Receive Maximum of the local session.
const mostZeros = 1000

// entry is a message on its way from the local broker to the cloud.
type entry struct {
	msg     mqtt.Message   // as the cloud gets it
	id      uint16         // of the local delivery, and of the PUBLISH to the cloud
	d       *mqtt.Delivery // to be acknowledged; nil: there is nobody to tell
	pending *mqtt.Pending  // of the PUBLISH to the cloud; nil: not sent
	until   time.Time      // after that it is of no use to anybody; zero: never
	turn    uint64         // its place among all
	batch   bool           // it may go with others
	came    time.Time      // from the local broker
	parts   []*entry       // what it holds, if it is a batch
}

// same says whether another entry is of the same message.
func (e *entry) same(o *entry) bool {
	return e.msg.Topic == o.msg.Topic && bytes.Equal(e.msg.Payload, o.msg.Payload)
}

// settled says whether the cloud has acknowledged an entry that was sent.
func (e *entry) settled() bool {
	select {
	case <-e.pending.Done():
		return true
	default:
		return false
	}
}

// window holds what the local broker delivered and the cloud has not acknowledged, in order. It outlives connections on
// both sides.
type window struct {
	mu      sync.Mutex
	waiting []*entry          // for a connection to the cloud, or a place in its window
	turns   uint64            // that were given out
	flying  []*entry          // sent and not acknowledged, as far as the acknowledger knows
	byID    map[uint16]*entry // both, as far as a local delivery is behind them
	zeros   int               // in waiting, of QoS 0
	up      bool              // there is a session in the cloud
	behind  bool              // something had to wait for a session and not all of it has arrived

	news chan struct{} // holds one: something waits
	flew chan struct{} // holds one: something was sent
	calm chan struct{} // holds one: something was acknowledged
}

func newWindow() *window {
	return &window{
		byID: map[uint16]*entry{}, news: make(chan struct{}, 1), flew: make(chan struct{}, 1), calm: make(chan struct{}, 1),
	}
}

// signal wakes whoever waits on ch, or will.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// what became of a delivery.
type fate byte

const (
	kept      fate = iota
	repeated       // it is here already
	discarded      // QoS 0 that cannot go
)

// add takes a delivery of the local broker. changed says that there is a backlog from now on.
func (w *window) add(e *entry) (what fate, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.d.QoS == 0 {
		if !w.up || w.zeros >= mostZeros {
			return discarded, false
		}
		w.zeros++
	} else if here := w.byID[e.id]; here != nil && here.same(e) { // the local broker repeats after a new connection
		here.d = e.d
		return repeated, false
	} else { // one that is here under the same identifier was of a connection that is gone, and will be delivered again
		w.byID[e.id] = e
		changed = !w.up && !w.behind
		w.behind = w.behind || !w.up
	}
	w.turns++
	e.turn = w.turns
	w.waiting = append(w.waiting, e)
	signal(w.news)
	return kept, changed
}

// opened and closed tell whether there is a session in the cloud. Without one QoS 0 messages go nowhere: closed returns
// how many were thrown away.
func (w *window) opened() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = true
}

func (w *window) closed() (thrown uint64, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = false
	thrown = uint64(w.zeros)
	w.zeros = 0
	w.waiting = slices.DeleteFunc(w.waiting, func(e *entry) bool { return e.d.QoS == 0 })
	if !w.behind && len(w.waiting)+len(w.flying) > 0 {
		w.behind, changed = true, true
	}
	return thrown, changed
}

// forget is for when the local broker has no session of ours any more, so that its identifiers mean nothing.
func (w *window) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.zeros = nil, 0
	for _, e := range w.flying {
		e.d = nil
		for _, p := range e.parts {
			p.d = nil
		}
	}
	clear(w.byID)
}

// dup says whether the local broker delivered an entry before.
func (w *window) dup(e *entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return e.d != nil && e.d.Dup
}

// busy returns the unacknowledged publish that has an identifier; nil: none. It can be one of a local session that is no
// more, or the gateway's presence.
func (w *window) busy(id uint16) *mqtt.Pending {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.flying {
		if e.id == id && !e.settled() {
			return e.pending
		}
	}
	return nil
}

// fly notes that an entry is with the cloud's session.
func (w *window) fly(e *entry, p *mqtt.Pending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.pending = p
	w.unqueue(e)
	for _, part := range e.parts {
		w.unqueue(part)
	}
	w.flying = append(w.flying, e)
	signal(w.flew)
}

// back puts an entry that the cloud refused for now where it was, before all that came after it.
func (w *window) back(e *entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.flying, e); i >= 0 {
		w.flying = slices.Delete(w.flying, i, i+1)
	}
	for _, p := range e.parts {
		w.requeue(p)
	}
	if e.parts == nil {
		w.requeue(e)
	}
}

func (w *window) requeue(e *entry) {
	if e.d == nil { // the local broker knows of it no more, and delivers it again
		return
	}
	e.pending = nil
	i := slices.IndexFunc(w.waiting, func(o *entry) bool { return o.turn > e.turn })
	if i < 0 {
		i = len(w.waiting)
	}
	w.waiting = slices.Insert(w.waiting, i, e)
	signal(w.news)
}

// unqueue takes e out of what waits; it isn't there when the local session was lost meanwhile.
func (w *window) unqueue(e *entry) {
	i := slices.Index(w.waiting, e)
	if i < 0 {
		return
	}
	if w.waiting[i] = nil; i == 0 {
		w.waiting = w.waiting[1:]
	} else {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	if e.d != nil && e.d.QoS == 0 {
		w.zeros--
	}
}

// first returns what was sent first and is not acknowledged; nil: nothing.
func (w *window) first() *entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.flying) == 0 {
		return nil
	}
	return w.flying[0]
}

// remove takes an entry out, before its delivery is acknowledged: the local broker may use the identifier again at once.
// changed says that there is no backlog any more.
func (w *window) remove(e *entry) (d *mqtt.Delivery, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unqueue(e)
	if i := slices.Index(w.flying, e); i >= 0 {
		w.flying = slices.Delete(w.flying, i, i+1)
	}
	if w.byID[e.id] == e {
		delete(w.byID, e.id)
	}
	if w.behind && w.up && len(w.waiting)+len(w.flying) == 0 {
		w.behind, changed = false, true
	}
	signal(w.calm)
	return e.d, changed
}

// owed returns how many messages the cloud has not acknowledged.
func (w *window) owed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.waiting)
	for _, e := range w.flying {
		n += max(len(e.parts), 1)
	}
	return n
}
