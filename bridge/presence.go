// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"edged/devices"
	"edged/mqtt"
)

// Codes of a device that gives nothing, besides those of ports.
const (
	Unreadable = "E105" // bytes, but under half readable or every checksum wrong
	Silent     = "E106" // no byte came
	Unmatched  = "E107" // lines that do not match
	Stale      = "E120" // nothing valid for too long
	SeqSkipped = "E605" // seq skipped after a crash
)

const (
	online  = "online"
	offline = "offline"
)

const (
	healthEvery = time.Minute
	healthGap   = time.Second // no two within it
)

// Status is what `edged status` shows of a device.
type Status struct {
	Name     string                   `json:"name"`
	Driver   string                   `json:"driver"`
	State    string                   `json:"state"` // online or offline
	Code     string                   `json:"code,omitempty"`
	Reason   string                   `json:"reason,omitempty"`
	Since    time.Time                `json:"since"` // of this state and code
	Seen     *time.Time               `json:"seen"`  // last valid frame; null: none yet
	Readings map[string]devices.Value `json:"readings"`

	Port         string `json:"port"`
	Frames       uint64 `json:"frames"`
	BadFrames    uint64 `json:"bad_frames"`
	GarbageBytes uint64 `json:"garbage_bytes"`
	OutOfRange   uint64 `json:"out_of_range"` // readings dropped by the range check
	GivenUp      uint64 `json:"given_up"`     // readings that the broker did not take in time
	Published    uint64 `json:"published"`    // data messages made

	Line *Line `json:"line,omitempty"` // of a device on a shared line
}

// Line tells how a device fares on a shared line.
type Line struct {
	Bus         string  `json:"bus"`
	Utilisation float64 `json:"utilisation"`  // of the line, 0 to 1, over the last minute
	ReplyP95MS  float64 `json:"reply_p95_ms"` // of this device's answers; 0: none yet
	ErrorRate   float64 `json:"error_rate"`   // share of its last requests without an answer, 0 to 1
	Requests    uint64  `json:"requests"`     // that wanted an answer
	Unanswered  uint64  `json:"unanswered"`
	Suspended   bool    `json:"suspended,omitempty"` // it is asked rarely, since it does not answer
}

// presence is what is known of a device: whether it is there, and if not, why. It publishes status and health.
type presence struct {
	out    *outbox
	topics topics
	log    *slog.Logger
	event  func(Event) <-chan struct{}
	wake   chan struct{} // holds one: health is due

	mu     sync.Mutex
	s      Status
	known  bool           // a port was tried: what s says is true
	failed string         // why the driver failed, until it is heard again; "": it did not
	fares  func() *Line   // nil: it has a port of its own
	before devices.Counts // of earlier openings
	counts devices.Counts // of the present one
}

func newPresence(s Status, t topics, out *outbox, d Deps) *presence {
	s.State, s.Code, s.Reason, s.Since = offline, port101, "the port is not opened yet", time.Now()
	s.Readings = map[string]devices.Value{}
	return &presence{out: out, topics: t, log: d.Log, event: d.Event, wake: make(chan struct{}, 1), s: s}
}

// port101 is port.Missing, the state of a device before its port was tried.
const port101 = "E101"

// set says how the device is. Only a change of state or code is a change.
func (p *presence) set(state, code, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.s
	if state == online {
		p.failed = ""
	} else if p.failed != "" {
		reason += " (before that the driver failed: " + p.failed + ")"
	}
	p.s.State, p.s.Code, p.s.Reason = state, code, reason
	known := p.known
	p.known = true
	if known && was.State == state && was.Code == code {
		return
	}
	p.s.Since = time.Now()
	if was.State != state {
		p.out.push(p.status())
	}
	p.stir()
	p.log.Info("device is "+state, "code", code, "reason", reason)
	if was.State == online && code != "" && p.event != nil {
		p.event(Event{Time: time.Now(), Code: code, Level: "warning", Device: p.s.Name, Text: reason})
	}
}

// fail says that the driver failed. The status is published by the broker, which has the will.
func (p *presence) fail(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.State, p.s.Code, p.s.Reason = offline, "", "the driver failed and is started again: "+why
	p.s.Since, p.failed, p.known = time.Now(), why, true
}

// opened begins the counts of a new opening.
func (p *presence) opened() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before.Frames += p.counts.Frames
	p.before.Bad += p.counts.Bad
	p.before.Garbage += p.counts.Garbage
	p.counts = devices.Counts{}
}

// count notes what the decoder has seen since the port was opened.
func (p *presence) count(c devices.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = c
}

// heard notes a valid frame.
func (p *presence) heard(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.Seen = &at
}

// show keeps readings for the status, under the names that are published.
func (p *presence) show(rs []devices.Reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range rs {
		p.s.Readings[r.Name] = r.Value
	}
}

// onLine says how to find out how the device fares on its shared line.
func (p *presence) onLine(fares func() *Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fares = fares
}

func (p *presence) published() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.Published++
}

func (p *presence) outOfRange(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s.OutOfRange += n
}

// is returns state, code and reason.
func (p *presence) is() (state, code, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.s.State, p.s.Code, p.s.Reason
}

// Status copies what is known.
func (p *presence) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.s
	s.Readings = make(map[string]devices.Value, len(p.s.Readings))
	for name, v := range p.s.Readings {
		s.Readings[name] = v
	}
	if s.Seen != nil {
		seen := *s.Seen
		s.Seen = &seen
	}
	s.Frames = p.before.Frames + p.counts.Frames
	s.BadFrames = p.before.Bad + p.counts.Bad
	s.GarbageBytes = p.before.Garbage + p.counts.Garbage
	s.GivenUp = p.out.givenUp()
	if p.fares != nil {
		s.Line = p.fares()
	}
	return s
}

// greet tells status and health at a new connection.
func (p *presence) greet(meta []byte) {
	p.mu.Lock()
	items := []item{
		{Message: mqtt.Message{Topic: p.topics.of("meta"), Payload: meta, QoS: 1, Retain: true}, only: "meta"},
		p.status(),
	}
	known := p.known
	p.mu.Unlock()
	p.out.first(items...)
	if known {
		p.stir()
	}
}

func (p *presence) status() item {
	return item{Message: mqtt.Message{Topic: p.topics.of("status"), Payload: []byte(p.s.State), QoS: 1, Retain: true}, only: "status"}
}

func (p *presence) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run publishes health when it is due, at most once a second, and each minute, until ctx ends; then a last time if
// there is something to tell.
func (p *presence) run(ctx context.Context) {
	each := time.NewTicker(healthEvery)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			select {
			case <-p.wake:
				p.health()
			default:
			}
			return
		case <-p.wake:
		case <-each.C:
		}
		p.health()
		select {
		case <-ctx.Done():
		case <-time.After(healthGap):
		}
	}
}

// health publishes what is known.
func (p *presence) health() {
	s := p.Status()
	payload, err := json.Marshal(struct {
		State        string `json:"state"`
		Code         string `json:"code"`
		Reason       string `json:"reason"`
		Since        string `json:"since"`
		Frames       uint64 `json:"frames"`
		BadFrames    uint64 `json:"bad_frames"`
		GarbageBytes uint64 `json:"garbage_bytes"`
		LastFrame    any    `json:"last_frame"`
		OutOfRange   uint64 `json:"out_of_range,omitempty"`
		GivenUp      uint64 `json:"given_up,omitempty"`
		Line         *Line  `json:"line,omitempty"`
	}{s.State, s.Code, s.Reason, stamp(s.Since), s.Frames, s.BadFrames, s.GarbageBytes, stampOrNil(s.Seen), s.OutOfRange, s.GivenUp, s.Line})
	if err != nil {
		p.log.Error("health cannot be written", "err", err)
		return
	}
	p.out.push(item{Message: mqtt.Message{Topic: p.topics.of("health"), Payload: payload, Retain: true}, only: "health"})
}

// stamp writes a time as all of our topics do: RFC 3339, UTC, milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func stampOrNil(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

// watchdog knows how long a device may be silent.
type watchdog struct {
	never bool
	fixed time.Duration // 0: from the gaps
	gaps  []time.Duration
	last  time.Time // last valid frame; zero: none since opening
}

// leastStale is the shortest silence that makes a device stale by default.
const leastStale = 10 * time.Second

// gapCount is how many gaps the period is the median of.
const gapCount = 16

func newWatchdog(c Config, d *devices.Driver) watchdog {
	w := watchdog{fixed: c.StaleAfter}
	every := c.Every
	if every == 0 {
		every = d.Every
	}
	switch {
	case c.StaleAfter < 0 || c.StaleAfter == 0 && d.Event:
		w.never, w.fixed = true, 0
	case c.StaleAfter == 0 && every > 0:
		w.fixed = max(3*every, leastStale)
	}
	return w
}

// heard notes a valid frame.
func (w *watchdog) heard(at time.Time) {
	if !w.last.IsZero() && w.fixed == 0 && !w.never {
		if len(w.gaps) == gapCount {
			w.gaps = append(w.gaps[:0], w.gaps[1:]...)
		}
		w.gaps = append(w.gaps, at.Sub(w.last))
	}
	w.last = at
}

// after returns how long a silence makes the device stale.
func (w *watchdog) after() time.Duration {
	if w.fixed > 0 || len(w.gaps) == 0 {
		return max(w.fixed, 0) + leastIf(w.fixed == 0)
	}
	sorted := slices.Clone(w.gaps)
	slices.Sort(sorted)
	return max(3*sorted[len(sorted)/2], leastStale)
}

func leastIf(b bool) time.Duration {
	if b {
		return leastStale
	}
	return 0
}
