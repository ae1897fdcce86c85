// SPDX-License-Identifier: Apache-2.0

// Package broker is the gateway's MQTT broker, 3.1, 3.1.1 and 5: the door where connections come in, the authority that
// says who may do what, limits, wills, and the wiring of what lies below it: who is subscribed (router), who is owed what
// (session), what is retained (retained), and the log that keeps promises (journal).
//
// A packet is handled by the goroutine that read it, under the connection's own lock. It routes, locks the sessions that
// are owed the message, appends one record, and hands the message to each. Acknowledgements wait in a queue of their
// connection until the journal is durable past their record. Output is written, without blocking, by whoever made it.
//
// Order of locks: conn.in, the set-up of a client identifier, Broker.routing, sessions by their Order, the retained
// store, and then the leaves, of which none is held while another lock is taken: conn.mu, Broker.mu and the journal's.
// (conn.mu alone is held while a connection is listed for the next commit.) Nothing is read from the disk, and nobody
// waits for it, under any of these.
package broker

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"edged/broker/authority"
	"edged/broker/journal"
	"edged/broker/listener"
	"edged/broker/retained"
	"edged/broker/router"
	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// Options are what the program that holds the broker tells it.
type Options struct {
	// NoRetain are filters; a PUBLISH with RETAIN to a topic that one of them matches is refused (E406).
	NoRetain []string
	// Restated are filters of retained messages which their publishers say anew after each start, so that those at QoS 0
	// stay in memory alone.
	Restated []string
	// Alarm is told when a condition of the journal begins (text says what) and is over (text is ""), see
	// [journal.Config]; it must not block. May be nil: [Broker.Status] tells them too.
	Alarm func(code, text string)
	// Gap is told of what a session gave up, by one goroutine; it must not block. May be nil.
	Gap func(Gap)
	// Classed says of which session [Broker.Session] tells the backlog by class, and of which class a topic is.
	Classed Classed
	// Queue is that of the in-process client which has one of its own, so that what it may have to keep is known from the
	// start.
	Queue Queue
	// Version is of the program that holds the broker, for $SYS.
	Version string
	// FS is what the journal writes to; nil is the operating system.
	FS journal.FS
}

// Broker is a broker whose state is loaded. It serves from Run on.
type Broker struct {
	cfg  Config
	opts Options
	log  *slog.Logger

	auth     *authority.Authority
	now      atomic.Pointer[Limits] // those in force
	origins  atomic.Pointer[[]string]
	env      *session.Env
	journal  *journal.Journal
	router   *router.Router[*session.Session]
	retained *retained.Store
	// routing is held by who publishes, from finding the route until all have the message, and exclusively by who changes
	// a subscription: so nothing comes after UNSUBACK, and a new subscriber gets what is retained in one way or the other,
	// once.
	routing   sync.RWMutex
	setup     setup
	poller    *poller
	reloading sync.Mutex
	commits   commits
	lingering atomic.Int32   // connections that wait for their clients to read why they end
	preauth   session.Budget // of CONNECTs that have begun to come
	aliases   session.Budget // of topic aliases, which also count in env.Memory
	turn      chan struct{}  // holds one: there is a packet that may grow beyond the bound of memory
	evicting  sync.Mutex     // held by who does so; nobody waits for it
	starving  atomic.Bool    // somebody waits for memory
	wall      wall
	clock     *clock
	counters  statistics.Counters
	sys       sys
	refused   refusals
	alarms    alarms
	trim      chan struct{} // holds one: there may be segments to give back
	untold    atomic.Bool   // there may be gaps to tell of
	workers   sync.WaitGroup

	mu           sync.Mutex // guards what follows
	sessions     map[string]*session.Session
	conns        map[*conn]struct{}
	outside      int // connections from outside that have finished CONNECT
	silent       int // connections that have not
	listeners    []*listener.Listener
	certificates *listener.Certificates // nil: no listener shows any
	lastNum      uint32
	lastOrder    uint64
	stopping     bool
}

// feeders is how many sessions are read for from the journal at a time, since each takes memory for what it reads.
const feeders = 4

// maxSessions bounds the sessions, most of which nobody may come back for.
const maxSessions = 20000

// Open loads the state in dir/journal, publishes the wills of the clients that a crash has parted from their persistent
// sessions, and returns a broker that nobody can reach but by [Broker.Dial]. The caller calls Run next.
//
// Damaged contents, a full disk and a read-only one are told as alarms. The error wraps [journal.ErrUnusable].
func Open(cfg Config, dir string, log *slog.Logger, opts ...Options) (*Broker, error) {
	b := &Broker{
		cfg: cfg, log: log, auth: authority.New(), trim: make(chan struct{}, 1), turn: make(chan struct{}, 1), lastOrder: 1 << 32,
		sessions: map[string]*session.Session{}, conns: map[*conn]struct{}{},
	}
	for _, o := range opts {
		b.opts = o
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.now.Store(&cfg.Limits)
	b.origins.Store(&cfg.WS.Origins)
	b.commits.next = make(chan struct{})
	b.retained = retained.New(retained.Limits{Messages: cfg.Limits.Retained, Bytes: cfg.Limits.RetainedBytes},
		func(topic string) bool { return matchesAny(b.opts.Restated, topic) })
	b.router = router.New(b.mayRead, func(x, y *session.Session) int { return cmp.Compare(x.Order, y.Order) })
	b.env = &session.Env{
		Gate: cfg.Durability != Memory, Now: time.Now, MayRead: b.mayRead, Commit: b.commits.wait, Go: b.workers.Go,
		Feeding:   make(chan struct{}, feeders),
		Classed:   b.opts.Classed,
		Dropped:   func(messages uint64) { b.counters.Dropped(messages); b.untold.Store(true) },
		QueueFull: func() { b.counters.Hit(statistics.SessionQueue) },
	}
	b.sys.started = time.Now()
	b.setMemory(cfg.Limits.Memory)
	if cfg.Durability == Link {
		b.env.Lot = session.NewLot()
	}
	var heard replayed
	b.env.Presumed = session.Queue(b.opts.Queue)
	rec := session.NewRestorer(b.env)
	boot, up := machineTime()
	j, err := journal.Open(journal.Config{
		Dir: filepath.Join(dir, "journal"), FS: b.opts.FS, Log: b.log, Alarm: b.alarm,
		Reserve: func() int64 { return b.limits().MinFree },
	}, func(r journal.Record) {
		heard.take(r)
		if m := rec.Replay(r); m != nil {
			b.retained.Restore(m.Keep(), r.Pos)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("open the broker's journal: %w", err)
	}
	b.journal, b.env.Log = j, j
	b.clock = newClock(&heard, boot, up)
	b.env.Clock = b.clock.now
	b.poller = newPoller(b)
	j.Start()
	users, err := b.auth.Read(cfg.Users, cfg.Anonymous)
	if err != nil {
		b.log.Error("nobody can come in by a password that cannot be read", "code", "E509", "err", err)
	}
	b.auth.Apply(users)
	b.restore(rec)
	b.recordClock(0)
	return b, nil
}

// restore takes over the sessions that outlived the last stop.
func (b *Broker) restore(rec *session.Restorer) {
	all, last := rec.Sessions()
	b.lastNum = last
	var crashed []*session.Session
	for _, x := range all {
		s := x.Session
		q := session.Queue{Size: b.limits().SessionQueue}
		if b.client(s).Inside() { // its own bound comes with its identity: until then nothing is given up
			q = session.Queue{Size: b.limits().Journal, WhenFull: session.Reject}
		}
		s.SetQueue(q)
		b.sessions[s.ID] = s
		s.Weigh()
		for _, sub := range s.Subscriptions() {
			b.subscribe(s, sub)
		}
		if x.Crashed {
			crashed = append(crashed, s)
		}
	}
	var p publication
	for _, s := range crashed {
		b.leave(&p, s, true)
	}
	for _, s := range b.all() {
		if !b.client(s).MayStay() {
			b.end(&p, s)
		}
	}
	b.sweepSessions(&p)
	b.retained.Sweep(time.Now().Unix())
	p.round.Flush()
}

// subscribe puts a session's subscription into the router.
func (b *Broker) subscribe(s *session.Session, sub session.Subscription) (version uint64) {
	group, filter, ok := wire.ValidFilter(sub.Filter)
	if !ok {
		return 0
	}
	b.routing.Lock()
	defer b.routing.Unlock()
	return b.router.Add(router.Subscription[*session.Session]{
		Subscriber: s, Group: group, Filter: filter, QoS: sub.QoS, NoLocal: sub.NoLocal,
		RetainAsPublished: sub.RetainAsPublished, ID: sub.ID,
	})
}

// unsubscribe takes one out.
func (b *Broker) unsubscribe(s *session.Session, filter string) {
	if group, filter, ok := wire.ValidFilter(filter); ok {
		b.routing.Lock()
		defer b.routing.Unlock()
		b.router.Remove(s, group, filter)
	}
}

// client is whose session it is.
func (b *Broker) client(s *session.Session) authority.Client { return b.auth.Client(s.User, s.ID) }

func (b *Broker) mayRead(s *session.Session, topic string) bool { return b.client(s).MayRead(topic) }

// commits tells of commits. The zero value needs next.
type commits struct {
	mu      sync.Mutex
	next    chan struct{} // closed after the next commit
	waiting []*conn       // connections of which something waits for it
}

func (c *commits) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// list adds a connection whose listed is set.
func (c *commits) list(x *conn) {
	c.mu.Lock()
	c.waiting = append(c.waiting, x)
	c.mu.Unlock()
}

// take is called after a commit.
func (c *commits) take() []*conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.waiting
	c.waiting = nil
	close(c.next)
	c.next = make(chan struct{})
	return all
}

// committed releases what waited for the journal.
func (b *Broker) committed(durable journal.Pos) {
	var r session.Round
	for _, c := range b.commits.take() {
		b.contain("a commit", func() { c.committed(&r) })
	}
	r.Flush()
	if _, n := b.journal.First(); n == 1 && !b.untold.Load() {
		return
	}
	select {
	case b.trim <- struct{}{}:
	default:
	}
}

// durable tells whether what depends on the record at pos may be acknowledged.
func (b *Broker) durable(pos journal.Pos) bool {
	return pos == 0 || b.cfg.Durability == Memory || pos < b.journal.Durable()
}
