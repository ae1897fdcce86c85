// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"maps"
	"sync"

	"edged/broker/session"
)

// alarms are the conditions of the journal that last.
type alarms struct {
	mu   sync.Mutex
	text map[string]string // by code
}

// raised says whether a condition lasts.
func (a *alarms) raised(code string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text[code] != ""
}

// alarm is what the journal calls.
func (b *Broker) alarm(code, text string) {
	b.alarms.mu.Lock()
	if b.alarms.text == nil {
		b.alarms.text = map[string]string{}
	}
	if text == "" {
		delete(b.alarms.text, code)
	} else {
		b.alarms.text[code] = text
	}
	b.alarms.mu.Unlock()
	select {
	case b.trim <- struct{}{}: // who yields to a full disk does so at once
	default:
	}
	if b.opts.Alarm != nil {
		b.opts.Alarm(code, text)
	}
}

// Status is how the broker is.
type Status struct {
	Listeners    []string
	Clients      int // connected, from outside
	Sessions     int // of them and of those who may come back, in-process ones too
	Retained     int
	Dropped      uint64 // messages that sessions gave up or lost
	Connections  uint64 // that came in
	Refused      uint64 // PUBLISHes without a right (E402), and messages that found no room to be retained
	Commands     uint64 // retained commands refused (E406)
	Logins       uint64 // clients that were not let in (E403)
	JournalBytes int64

	RetainedBytes  int
	Memory         int64   // that clients make the broker hold, of Limits.Memory
	Received, Sent Traffic // from and to clients
	JournalWritten uint64  // bytes written to the journal's files since the start

	Alarms map[string]string // text by code: E601, E602, E603
	Limits map[string]uint64 // how often each limit was reached, by its key in [broker.limits] or a name of the same form
}

// Traffic is what went in one direction.
type Traffic struct {
	Messages uint64 // PUBLISH packets
	Bytes    uint64 // of everything
}

// Status tells how the broker is.
func (b *Broker) Status() Status {
	st := Status{Dropped: b.counters.Drops(), Limits: b.counters.Hits(), JournalBytes: b.journal.Bytes(), Alarms: map[string]string{}}
	st.Retained, st.RetainedBytes = b.retained.Count()
	st.Memory, st.Connections = b.memoryInUse(), b.counters.Sockets()
	in, out := b.counters.Traffic()
	st.Received, st.Sent = Traffic{in.Publishes, in.Bytes}, Traffic{out.Publishes, out.Bytes}
	st.JournalWritten = b.journal.Written()
	b.mu.Lock()
	for _, l := range b.listeners {
		st.Listeners = append(st.Listeners, l.String())
	}
	st.Clients, st.Sessions = b.outside, len(b.sessions)
	b.mu.Unlock()
	b.refused.mu.Lock()
	st.Refused = b.refused.count[refusedRight] + b.refused.count[refusedRetained]
	st.Commands, st.Logins = b.refused.count[refusedCommand], b.refused.count[refusedLogin]
	b.refused.mu.Unlock()
	b.alarms.mu.Lock()
	defer b.alarms.mu.Unlock()
	maps.Copy(st.Alarms, b.alarms.text)
	return st
}

// Classed says of which session the backlog is told by class.
type Classed = session.Classed

// Classes is how many classes there are.
const Classes = session.Classes

// SessionStatus is what a session is owed.
type SessionStatus = session.Status

// Session tells what the session of a client identifier is owed; ok is false when there is none.
func (b *Broker) Session(clientID string) (st SessionStatus, ok bool) {
	s := b.find(clientID)
	if s == nil {
		return st, false
	}
	s.Lock()
	defer s.Unlock()
	return s.Status(), true
}
