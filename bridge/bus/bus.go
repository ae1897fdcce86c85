// SPDX-License-Identifier: Apache-2.0

// Package bus owns a line that several devices share: it opens the port, decides whose turn it is, writes one request at a
// time and hands what comes to the one that asked. What the bytes mean is not its business.
package bus

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"edged/bridge/port"
)

// Request is what a station writes in its turn.
type Request struct {
	Bytes  []byte        // never changed by the bus
	Mute   bool          // nothing is answered: the turn ends once the bytes are out
	Within time.Duration // how long the answer may take to begin, from the last byte written; 0: a second
}

// Station is one device on the line. Its methods are called one at a time, by the goroutine that runs the bus; they must
// not block. A turn is Begin, Hear for what comes, and End.
type Station interface {
	// Line tells that the port was opened (nil), or why it is not; also again and again while it is not.
	Line(err error)
	// Next says when the station wants a turn, the zero time: not by itself; and whether it goes before those that only ask.
	Next(now time.Time) (due time.Time, urgent bool)
	// Begin gives what to write; ok is false when there is nothing after all.
	Begin(now time.Time) (r Request, ok bool)
	// Hear takes bytes, which it must not keep, and says whether they end the turn. On a line that is only listened to
	// every station hears all.
	Hear(p []byte, at time.Time) (over bool)
	// Aside takes bytes that came in nobody's turn or another's.
	Aside(p []byte)
	// End tells how the turn ended: nil, answered; ErrSilent; or why the request could not be written.
	End(err error)
}

// ErrSilent ends a turn in which no answer came in time.
var ErrSilent = errors.New("no answer came")

// Ports opens ports; [port.System] is the machine's.
type Ports interface {
	Open(ctx context.Context, r port.Request) (port.Port, error)
	Changed() <-chan struct{}
}

// Config is one bus: [bus.NAME].
type Config struct {
	Name   string
	Port   string // as of a device of its own
	Serial string // "9600 8N1"
	Listen bool   // nothing is ever written: another master asks

	RS485 port.RS485 // how the line's direction is switched
}

// Validate reports what is wrong with a bus; key is relative to its table.
func (c Config) Validate(report func(key, problem string)) {
	if c.Port != "" {
		if err := port.CheckName(c.Port); err != nil {
			report("port", err.Error())
		}
	}
	if _, err := port.ParseSerial(c.Serial); err != nil {
		report("serial", err.Error())
	}
}

// Deps is what a bus needs from outside.
type Deps struct {
	Ports Ports
	Log   *slog.Logger // nil: nobody reads it
}

// Bus is a shared line. It is made by New and carried by Run.
type Bus struct {
	cfg  Config
	deps Deps
	mode port.Mode
	wake chan struct{} // holds one: the schedule is to be looked at

	mu    sync.Mutex
	seats []*Seat
	line  lineFigures
}

// New makes a bus. An error is one of configuration; a port that is not there is none.
func New(cfg Config, deps Deps) (*Bus, error) {
	mode, err := port.ParseSerial(cfg.Serial)
	if err != nil {
		return nil, err
	}
	if err := port.CheckName(cfg.Port); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	deps.Log = deps.Log.With("bus", cfg.Name)
	return &Bus{cfg: cfg, deps: deps, mode: mode, wake: make(chan struct{}, 1)}, nil
}

// Name returns the bus's name.
func (b *Bus) Name() string { return b.cfg.Name }

// Listens says whether the bus only listens.
func (b *Bus) Listens() bool { return b.cfg.Listen }

// Mode is how the line speaks.
func (b *Bus) Mode() port.Mode { return b.mode }

// Seat is a station's place on the line.
type Seat struct {
	bus     *Bus
	station Station
	peer    port.Peer // the station's device on a simulated line; nil: it has none

	mu      sync.Mutex // held while a method of the station runs
	left    bool
	told    bool // of the line as it is
	patient patience

	figures figures
}

// Join gives a station a place. peer plays its device where the bus's port is "sim"; it may be nil.
func (b *Bus) Join(s Station, peer port.Peer) *Seat {
	seat := &Seat{bus: b, station: s, peer: peer}
	b.mu.Lock()
	b.seats = append(slices.Clone(b.seats), seat) // whoever goes through the list has the one before
	b.mu.Unlock()
	b.stir()
	return seat
}

// Leave gives the place back. Once it returns, no method of the station is called any more.
func (s *Seat) Leave() {
	s.bus.mu.Lock()
	s.bus.seats = slices.DeleteFunc(slices.Clone(s.bus.seats), func(x *Seat) bool { return x == s })
	s.bus.mu.Unlock()
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	s.bus.stir()
}

// Wake has Next asked again soon.
func (s *Seat) Wake() { s.bus.stir() }

// do calls the station, unless it has left.
func (s *Seat) do(f func(Station)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		f(s.station)
	}
}

func (b *Bus) stir() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// all are the seats at the moment.
func (b *Bus) all() []*Seat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seats
}

// Run carries the line until ctx ends: it opens the port, again and again, and gives turns.
func (b *Bus) Run(ctx context.Context) error {
	var again port.Again
	for {
		changed := b.deps.Ports.Changed()
		p, err := b.deps.Ports.Open(ctx, port.Request{Name: b.cfg.Port, Mode: b.mode, RS485: b.cfg.RS485, Peer: b.peer(), For: b.cfg.Name})
		opened := time.Now()
		if err == nil {
			b.deps.Log.Info("line is open", "port", b.cfg.Port)
			b.opened(true)
			err = b.use(ctx, p)
			b.opened(false)
		}
		if ctx.Err() != nil {
			return nil
		}
		b.tell(err, true)
		wait := again.After(err, time.Since(opened))
		if !b.pause(ctx, wait/2+rand.N(wait/2+1), changed, err) {
			return nil
		}
	}
}

// tell tells the stations how the line is; not all: those that were not told of this.
func (b *Bus) tell(err error, all bool) {
	for _, s := range b.all() {
		if all || !s.told {
			s.told = true
			s.patient = patience{}
			s.do(func(x Station) { x.Line(err) })
		}
	}
}

// pause waits until the port may be there again; false: ctx has ended.
func (b *Bus) pause(ctx context.Context, d time.Duration, changed <-chan struct{}, err error) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-changed:
			return true
		case <-b.wake:
			b.tell(err, true) // who came, and who has a command that waits
		}
	}
}

// peer makes the far end of a simulated line: the devices of all stations, each of which hears every request.
func (b *Bus) peer() func() port.Peer {
	if b.cfg.Port != port.Sim {
		return nil
	}
	return func() port.Peer { return peers{b} }
}

type peers struct{ bus *Bus }

// Tick asks each device what it says by itself.
func (p peers) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	var next time.Time
	for _, s := range p.bus.all() {
		if s.peer == nil {
			continue
		}
		var due time.Time
		if out, due = s.peer.Tick(now, out); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return out, next
}

// Receive has each device hear a request.
func (p peers) Receive(b []byte, now time.Time, out []byte) []byte {
	for _, s := range p.bus.all() {
		if s.peer != nil {
			out = s.peer.Receive(b, now, out)
		}
	}
	return out
}
