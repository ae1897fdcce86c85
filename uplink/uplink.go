// SPDX-License-Identifier: Apache-2.0

// Package uplink carries the local broker's messages to the cloud's broker and the cloud's commands back.
//
// It is a client of both. On the local broker it is the persistent session [ClientID], whose queue is the only place
// where messages wait for the cloud: it acknowledges there what the cloud has acknowledged, and keeps nothing on disk.
// Messages go out in the order in which the local broker delivers them, at most Config.Inflight at a time, and under the
// packet identifiers of the local deliveries. These survive a crash, so a message that is repeated after one comes to the
// cloud as a repeat of the same identifier.
package uplink

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"edged/mqtt"
	"edged/uplink/asked"
	"edged/uplink/batch"
	"edged/uplink/learn"
	"edged/uplink/once"
	"edged/uplink/reach"
)

// ClientID is the uplink's session on the local broker.
const ClientID = "edged-uplink"

// Deps is what the uplink needs from its surroundings. Only Gateway and DialLocal must be there.
type Deps struct {
	Gateway   string                   // the gateway's id
	DialLocal func() (net.Conn, error) // to the local broker, with the identity ClientID and the rights of Rights
	Log       *slog.Logger             // nil: none
	Floor     func() time.Time         // a time that has certainly passed, for certificates; nil: none is known
	// Changed is called after the state or the code changed, or the backlog went from or to nothing. It must not block.
	Changed func()
	// Event tells whoever looks after the gateway that the link has another code, at most once an hour for each; nil:
	// nobody. It must not block.
	Event func(code, text string)
	// GaveUp tells of a message that no PUBLISH to this cloud can hold, under its local topic; nil: nobody. It must not
	// block.
	GaveUp func(topic string, payload []byte)
	// Commands is the file that remembers which commands were executed; "": only this process does.
	Commands string
	// Alive is a time, not long ago, at which an earlier run was alive; zero: nobody knows. Commands that waited in the
	// cloud since may be as old.
	Alive time.Time
	// Networks is the file that remembers how long connections may be idle in each network; "": only this process does.
	Networks string
	// Subscriptions is the file that remembers what was subscribed to in the cloud; "": only this process does.
	Subscriptions string

	// Memory is a file that keeps over restarts where the cloud's names led; "": none.
	Memory string

	// Resolve looks up the addresses of a host; network is "ip4" or "ip6". nil: the system's resolver.
	Resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// ResolveSRV looks up the SRV records _service._tcp.domain, in the order of RFC 2782. nil: the system's resolver.
	ResolveSRV func(ctx context.Context, service, domain string) ([]*net.SRV, error)
	// Dial opens a TCP connection to the cloud, or to its proxy; nil: as the link wants it.
	Dial func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
	// Links calls changed when the machine's network may lead elsewhere, until ctx ends; nil: the kernel says so.
	Links func(ctx context.Context, changed func()) error
}

// Uplink is the link to the cloud.
type Uplink struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	targets  []reach.Target
	dialer   *reach.Dialer
	topics   *mapping
	window   *window
	local    *local
	inside   *mqtt.Session // on the local broker
	outside  *mqtt.Session // in the cloud
	orders   chan *order   // from the cloud; full: nothing is read from there
	handed   chan *order   // which the local broker has not confirmed; full: no more are handed
	links    chan struct{} // holds one: the network changed
	shown    chan struct{} // holds one: the server showed its certificates
	rate     throttle      // of the one session's pump
	packer   *batch.Packer // of the same; nil: each message goes by itself
	singly   atomic.Bool   // so it does in this session
	lastID   atomic.Uint32 // the identifier of the last message that was sent
	quota    quota         // of the cloud
	once     *once.Book    // of the goroutines obey and confirm
	flight   *flight
	absence  absence
	networks *learn.Memory

	// Of the goroutine that keeps the cloud's session, and of those that work for a session while it waits for them.
	ended    End    // of the last session
	brief    int    // sessions in a row that the server ended at once
	narrow   int    // sessions in a row in which small packets passed only
	sessions uint64 // that were accepted
	online   *entry // the last "online"; nil: none
	nextID   uint16 // of a message that is not remembered, on the local broker; of the goroutine obey
	asked    bool   // the server has our subscriptions and no others, if it has our session
	// subscribed is what servers may have of ours.
	subscribed *asked.Book
	// plainWill is what of our presence the server refused.
	plainWill struct{ retain, qos bool }

	mu       sync.Mutex
	expiring []string // what there is to tell of certificates
	status   Status
	client   *mqtt.Client         // of the present session; nil: there is none
	told     map[string]bool      // topics that were told to be refused
	events   map[string]time.Time // when a code was told as an event
	live     *session             // the present one; nil: there is none
	allowed  time.Duration        // the keep-alive that the server set in the place of ours; 0: it did not
}

// New makes the link; [Uplink.Run] brings it to life. The error tells every value of cfg that cannot be.
func New(cfg Config, deps Deps) (*Uplink, error) {
	var faults []error
	cfg.Validate(func(key, problem string) { faults = append(faults, errors.New("uplink."+key+": "+problem)) })
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	u := &Uplink{
		cfg: cfg, deps: deps, log: deps.Log, topics: newMapping(deps.Gateway, cfg), window: newWindow(), rate: throttle{rate: cfg.Rate}, local: newLocal(),
		inside: mqtt.NewSession(), outside: mqtt.NewSession(),
		orders: make(chan *order, mostCommands), handed: make(chan *order, mostCommands), links: make(chan struct{}, 1), shown: make(chan struct{}, 1),
		status: Status{State: Off}, flight: newFlight(), told: map[string]bool{}, events: map[string]time.Time{},
	}
	for _, s := range cfg.URLs {
		t, err := reach.ParseTarget(s)
		if err != nil {
			return nil, err
		}
		u.targets = append(u.targets, t)
	}
	if cfg.Batch.Every > 0 {
		var err error
		if u.packer, err = batch.NewPacker(); err != nil {
			return nil, err
		}
	}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	u.absence.left(deps.Alive)
	u.openNetworks()
	u.dialer = reach.New(cfg.way(), u.deps.way(func() { signal(u.shown) }))
	if u.deps.Links == nil {
		u.deps.Links = watchLinks
	}
	return u, nil
}

// Run keeps the link until ctx ends; then it lets what is on its way arrive, says "offline" and returns, within about two
// seconds.
func (u *Uplink) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var err error
	if u.once, err = once.Open(u.deps.Commands); err != nil {
		u.forgetful(err)
	}
	if u.subscribed, err = asked.Open(u.deps.Subscriptions); err != nil {
		u.log.Info("what was subscribed to in the cloud before stays so", "err", err)
	}
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){u.keepLocal, u.settle, u.obey, u.confirm, u.learnIdle, u.followLinks, u.watchCertificates} {
		parts.Go(func() { part(life) })
	}
	u.state(func(s *Status) { s.State, s.Text = Down, "connecting for the first time" })
	u.keepCloud(ctx)
	end()
	parts.Wait()
	if err := u.once.Close(); err != nil {
		u.log.Debug("close the book of commands", "err", err)
	}
	u.state(func(s *Status) { s.State, s.Code, s.Text = Off, "", "" })
	return nil
}

func (u *Uplink) followLinks(ctx context.Context) {
	if err := u.deps.Links(ctx, func() { signal(u.links) }); err != nil {
		u.log.Info("changes of the network are seen late", "err", err)
	}
}

// Status tells how the link is.
func (u *Uplink) Status() Status {
	u.mu.Lock()
	s, c := u.status, u.client
	u.mu.Unlock()
	if c != nil {
		p := c.Progress()
		s.LastAck, s.RoundTrip = p.LastAck, p.RoundTrip
	}
	s.Inflight = u.window.owed()
	return s
}

// count changes a figure of the status.
func (u *Uplink) count(change func(*Status)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(&u.status)
}

// state changes the status, and tells the log and the caller if its state, code or text is another.
func (u *Uplink) state(change func(*Status)) {
	u.mu.Lock()
	before := u.status
	change(&u.status)
	after := u.status
	u.mu.Unlock()
	if before.State != after.State || before.Code != after.Code || before.Text != after.Text {
		level := slog.LevelInfo
		if after.State == Refused || after.Code != "" {
			level = slog.LevelWarn
		}
		u.log.Log(context.Background(), level, "cloud "+after.State, "code", after.Code, "text", after.Text, "server", after.Server)
	}
	if before.State != after.State || before.Code != after.Code {
		u.changed()
		u.event(after.Code, after.Text)
	}
}

// eventEvery is how often the same code is told as an event.
const eventEvery = time.Hour

func (u *Uplink) event(code, text string) {
	if code == "" || u.deps.Event == nil {
		return
	}
	u.mu.Lock()
	now := time.Now()
	last, before := u.events[code]
	due := !before || now.Sub(last) >= eventEvery
	if due {
		u.events[code] = now
	}
	u.mu.Unlock()
	if due {
		u.deps.Event(code, text)
	}
}

func (u *Uplink) changed() {
	if u.deps.Changed != nil {
		u.deps.Changed()
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
