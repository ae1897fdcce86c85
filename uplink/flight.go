// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"edged/mqtt"
	"edged/uplink/once"
)

// flight is what came from the cloud and is not acknowledged there. A server repeats such a message when the connection
// is another, while the first copy still waits for the local broker.
type flight struct {
	mu    sync.Mutex
	byKey map[once.Key]*order
	byID  map[uint16]*order // by the packet identifier of the cloud's session
}

func newFlight() *flight { return &flight{byKey: map[once.Key]*order{}, byID: map[uint16]*order{}} }

// add takes an order. It is false if the same one is on its way: then both are acknowledged together.
func (f *flight) add(o *order) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	same := f.byID[o.d.ID]
	if o.d.ID == 0 || !o.d.Dup || same != nil && same.msg.Topic != o.msg.Topic {
		same = nil
	}
	if o.key != nil && same == nil {
		same = f.byKey[*o.key]
	}
	if same != nil {
		same.repeats = append(same.repeats, o.d)
		return false
	}
	if o.key != nil {
		f.byKey[*o.key] = o
	}
	if o.d.ID != 0 {
		f.byID[o.d.ID] = o
	}
	return true
}

// land ends an order and returns every delivery of it.
func (f *flight) land(o *order) []*mqtt.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.key != nil && f.byKey[*o.key] == o {
		delete(f.byKey, *o.key)
	}
	if f.byID[o.d.ID] == o {
		delete(f.byID, o.d.ID)
	}
	return append(slices.Clone(o.repeats), o.d)
}

// forget is for when the cloud has no session of ours any more, so that its identifiers mean nothing.
func (f *flight) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.byID)
}

// absence is how long we were away from the cloud: what its session kept for us may have waited as long.
type absence struct {
	mu    sync.Mutex
	since time.Time // the cloud last heard of us; zero: nobody knows
	until time.Time // what comes later was not kept
}

const (
	// keptTime is within which what the cloud kept for us comes, after a CONNACK.
	keptTime = 5 * time.Second
	// waitedName is the user property that tells the device's bridge how many seconds a command may have waited in the
	// cloud, or "unknown".
	waitedName = "edged-waited"
)

// left notes when the cloud last heard of us.
func (a *absence) left(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = at
}

// returning is for the time until the cloud has said whether it kept anything.
func (a *absence) returning() { a.over(true, time.Now().Add(connackTime)) }

// back notes whether the cloud kept our session.
func (a *absence) back(kept bool) { a.over(kept, time.Now()) }

func (a *absence) over(kept bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until = time.Time{}
	if kept {
		a.until = now.Add(keptTime)
	}
}

// mark adds to the properties of a message how long it may have waited, if it may.
func (a *absence) mark(props []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if !now.Before(a.until) {
		return props
	}
	waited := "unknown"
	if d := now.Sub(a.since); !a.since.IsZero() && d >= 0 {
		waited = strconv.Itoa(int(d.Seconds()))
	}
	p := mqtt.Properties{User: []mqtt.UserProperty{{Name: waitedName, Value: waited}}}
	return p.Append(slices.Clone(props))
}
