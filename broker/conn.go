// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"edged/broker/authority"
	"edged/broker/listener"
	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// conn is one connection. Its reader is the poller, or a goroutine of its own; output is written by whoever made it,
// without blocking, and by a goroutine of its own only while the peer does not read.
type conn struct {
	b       *Broker
	nc      net.Conn
	input   io.Reader              // reads nc
	tryOut  func(p []byte) (n int) // writes what the peer takes at once; nil where that cannot be known
	socket  *rawSocket             // what the poller reads from; nil where it cannot
	inside  bool                   // the client is in this process
	who     authority.Client       // who the client is; for one from outside from CONNECT on
	via     *listener.Listener     // through which it came; nil for an in-process client
	name    string                 // of the peer, for the log
	address string                 // of the peer, without port; "" for one on this machine
	since   time.Time

	in      sync.Mutex // held while one packet is handled, and by who ends the connection for another's sake
	gone    bool       // guarded by in: packets that are still read count for nothing
	orderly bool       // guarded by in: DISCONNECT without a will

	standing atomic.Pointer[session.Session] // nil before CONNECT
	admitted bool                            // guarded by Broker.mu

	version   byte          // from CONNECT on
	maxSize   int           // largest packet that the client takes, 0: any
	noTexts   bool          // it wants no reason strings
	keepAlive time.Duration // 0: none
	lastRead  atomic.Int64  // by Broker.ticks
	held      atomic.Bool   // its reader waits for the disk, or for memory
	buffered  atomic.Int32  // bytes of its reader's buffer beyond the least
	began     atomic.Int64  // by Broker.ticks; since when it waits for the rest of a packet, 0: it does not
	awaits    atomic.Bool   // its reader waits for the rest of a packet
	unsent    atomic.Int32  // looks at it since some of that came
	aliased   atomic.Int32  // bytes of the topics that the client gave aliases

	mu       sync.Mutex         // guards what follows
	cancel   context.CancelFunc // ends its waiting for the disk
	out      []byte
	sent     statistics.Traffic // of out, not counted yet
	spare    []byte
	dirty    bool // somebody is going to flush
	writing  bool
	draining int  // bytes that a goroutine has still to write
	untaken  int  // looks at it since the peer took some of them
	answers  int  // bytes of out that the client has asked for, and will only ask for again once it has read
	closing  bool // close once the output is written
	lingers  bool // once closing, it is closed by the reader
	closed   bool
	more     bool // the session waits for room in the output
	acks     []dueAck
	ackRoom  chan struct{} // holds one: there are fewer acks
	listed   bool          // for the next commit
	gated    bool          // its session waits for the next commit
	polled   bool          // the poller is its reader
	fd       int32         // by which the poller knows it
	claimed  bool          // and is at it: what closes the connection leaves its end to it
	given    outAliases    // of the topics that it got

	done chan struct{} // closed: nothing more is read

	// of the reader
	aliases  inAliases
	inbound  wire.Inbound
	props    []byte
	scratch  *publication
	received statistics.Traffic // not counted yet
	had      int                // bytes of a packet, when unsent was 0
	turn     bool               // it has Broker.turn
	waited   bool               // for the disk, since the last read
	bulky    bool               // it has sent a packet that does not go into the poller's buffer with others
}

// ackBytes is what an acknowledgement takes while it waits.
const ackBytes = 48

// newConn returns a connection; who is nil for one from outside, and via for one from inside.
func newConn(b *Broker, nc net.Conn, who *authority.Client, via *listener.Listener) *conn {
	c := &conn{
		b: b, inside: who != nil, via: via, name: "inside", since: time.Now(),
		ackRoom: make(chan struct{}, 1), done: make(chan struct{}), scratch: &publication{},
	}
	c.carry(nc)
	if who != nil {
		c.who = *who
		return c
	}
	c.name = nc.RemoteAddr().String()
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.address = tcp.AddrPort().Addr().Unmap().String()
	}
	return c
}

// carry makes nc what packets are read from and written to. c.mu is held once others know c.
func (c *conn) carry(nc net.Conn) {
	c.nc, c.input, c.socket, c.tryOut = nc, nc, nil, nil
	switch x := nc.(type) {
	case *pipeEnd:
		c.tryOut = x.TryWrite
	case syscall.Conn:
		if raw, err := x.SyscallConn(); err == nil {
			c.socket = newRawSocket(raw)
			c.input, c.tryOut = c.socket, c.socket.TryWrite
		}
	}
}

// added puts the connection into the round, unless it is in somebody's. c.mu is held.
func (c *conn) added(r *session.Round, n int) {
	c.b.env.Memory.Take(n)
	if !c.dirty {
		c.dirty = true
		r.Add(c)
	}
}

// send adds a packet to the output.
func (c *conn) send(r *session.Round, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !c.closing {
		c.out = append(c.out, p...)
		c.sent.Packets++
		c.added(r, len(p))
	}
}

// Publish is [session.Sink].
func (c *conn) Publish(r *session.Round, m *wire.Message, d session.Delivery) bool {
	aliasFits := true
	if c.maxSize > 0 {
		size := wire.PublishSize(m, c.version, d.QoS, d.SubIDs)
		if size > c.maxSize {
			return false
		}
		aliasFits = size+wire.AliasSize <= c.maxSize
	}
	now := int64(0)
	if m.Expires > 0 {
		now = time.Now().Unix()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !c.closing {
		n := len(c.out)
		if alias, known := c.given.of(m.Topic, aliasFits); alias > 0 {
			c.out = wire.AppendAliased(c.out, m, alias, known, d.QoS, d.ID, d.Dup, d.Retain, d.SubIDs, now)
		} else {
			c.out = wire.AppendPublish(c.out, m, c.version, d.QoS, d.ID, d.Dup, d.Retain, d.SubIDs, now)
		}
		c.sent.Packets++
		c.sent.Publishes++
		c.sent.Payload += uint64(len(m.Payload))
		c.added(r, len(c.out)-n)
	}
	return true
}

// Room is [session.Sink]. While slow connections take much memory together, each gets less; but a little goes at any time
// to whoever has taken all that it was given.
func (c *conn) Room(limit, size int) bool {
	scarce := limit > leastOutput && !c.b.env.Memory.FitsPart(size, session.Scarce)
	fits := c.b.env.Memory.FitsPart(size, session.Full)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !fits && len(c.out) == 0 && !c.writing && size <= alwaysOutput:
		return true
	case fits && len(c.out) < leastOutput, fits && !scarce && len(c.out) < limit:
		return true
	case scarce && len(c.out) >= leastOutput:
		c.b.counters.Hit(statistics.MemoryQoS0)
	}
	c.more = true
	if !fits {
		c.b.starving.Store(true)
	}
	return false
}

// alwaysOutput is how large a message may be that goes out however scarce memory is.
const alwaysOutput = 4 << 10

// leastOutput is how much output any connection may have.
const leastOutput = 64 << 10

// AfterCommit is [session.Sink].
func (c *conn) AfterCommit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gated = true
	c.list()
}

// list makes the next commit look at the connection. c.mu is held.
func (c *conn) list() {
	if !c.listed {
		c.listed = true
		c.b.commits.list(c)
		c.b.journal.Hurry()
	}
}

// committed is called after a commit for a connection that was listed.
func (c *conn) committed(r *session.Round) {
	c.mu.Lock()
	c.listed = false
	gated := c.gated
	c.gated = false
	if !c.closed {
		c.release(r)
	}
	c.mu.Unlock()
	if gated {
		c.pump(r)
	}
}

// pump lets the session send more.
func (c *conn) pump(r *session.Round) {
	s := c.standing.Load()
	if s == nil {
		return
	}
	s.Lock()
	defer s.Unlock()
	if s.Sink() == session.Sink(c) {
		s.Pump(r)
	}
}

// shut closes the socket. c.mu is held.
func (c *conn) shut() {
	if c.closed {
		return
	}
	c.closed = true
	c.b.env.Memory.Take(-len(c.out) - ackBytes*len(c.acks))
	c.out, c.spare, c.acks = nil, nil, nil
	if c.cancel != nil {
		c.cancel()
	}
	if err := c.nc.Close(); err != nil {
		c.b.log.Debug("close a connection", "peer", c.peer(), "err", err)
	}
	if c.polled && !c.claimed { // nobody would notice
		c.polled, c.scratch = false, &publication{}
		c.b.workers.Go(func() {
			c.b.poller.lose(c)
			c.b.part(context.Background(), c)
		})
	}
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut()
}

// closeAfter sends a last packet and closes once it is written, or at once where the peer is known not to read.
func (c *conn) closeAfter(r *session.Round, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed, c.closing:
	case c.writing && c.tryOut != nil:
		c.shut()
	default:
		c.out = append(c.out, p...)
		if len(p) > 0 {
			c.sent.Packets++
		}
		c.b.env.Memory.Take(-ackBytes * len(c.acks))
		c.closing, c.acks = true, nil
		if c.writing { // by a goroutine, which is always so where tryOut is nil
			c.nc.SetWriteDeadline(time.Now().Add(lastWords)) //nolint:errcheck // it is closed
		}
		c.added(r, len(p))
	}
}

// peer names the client in the log.
func (c *conn) peer() string { return c.name }
