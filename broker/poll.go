// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller reads for the clients whose sockets the kernel can watch, all in one goroutine: one wake-up serves whatever has
// come meanwhile, nothing is handed from thread to thread, and a client that says nothing costs no stack and no buffer.
// Output is written when all that was ready is handled.
//
// It handles whole packets that need not wait. Where one is not whole, or would have to wait, as for the disk, the
// connection gets a goroutine of its own, until that has nothing left to do. CONNECT is handled by one as well, and a
// client that sends large packets keeps its.
type poller struct {
	b     *Broker
	start sync.Once

	mu    sync.Mutex // guards what follows
	over  bool       // close was called
	file  *os.File   // the epoll instance; nil: nobody can be watched
	conns map[int32]*conn

	// of run
	buf     []byte
	scratch publication
	more    bool // something is ready already of which nobody will be told
}

const (
	pollBuffer = 8 << 10 // what is left of it when a connection gets a goroutine stands in memory
	pollEvents = 128     // connections that are read between two writes
)

func newPoller(b *Broker) *poller { return &poller{b: b, conns: map[int32]*conn{}} }

// begin is called for the first connection.
func (p *poller) begin() {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(epoll, true) // so that the runtime's poller watches it: an epoll instance can be watched by another
	}
	if err != nil { // each connection has a goroutine of its own then
		p.b.log.Error("clients cannot be watched together", "err", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over { // the first client came while the broker stopped
		unix.Close(epoll) //nolint:errcheck // it watches nothing
		return
	}
	p.file, p.buf = os.NewFile(uintptr(epoll), "epoll"), make([]byte, pollBuffer)
	p.b.workers.Go(p.run)
}

// add takes a connection that has a socket over from its goroutine, which may not touch it any more. It is false where
// that cannot be.
func (p *poller) add(c *conn) (taken bool) {
	p.start.Do(p.begin)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || p.file == nil {
		return false
	}
	// Not the other way round: who closes a socket holds c.mu, and waits until nobody uses the descriptor.
	err := c.socket.raw.Control(func(fd uintptr) {
		// Whoever closes the connection finds it polled once c.mu is free.
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}
		if taken = p.control(unix.EPOLL_CTL_ADD, int(fd), &e) == nil; taken {
			p.conns[int32(fd)] = c
			c.polled, c.fd, c.scratch = true, int32(fd), &p.scratch
		}
	})
	return taken && err == nil
}

// control changes what the epoll instance watches. p.mu is held.
func (p *poller) control(op, fd int, e *unix.EpollEvent) (err error) {
	if p.file == nil {
		return os.ErrClosed
	}
	raw, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(epoll uintptr) { err = unix.EpollCtl(int(epoll), op, fd, e) })
	return errors.Join(failed, err)
}

// run serves until close is called.
func (p *poller) run() {
	p.mu.Lock()
	raw, err := p.file.SyscallConn()
	p.mu.Unlock()
	if err == nil {
		var events [pollEvents]unix.EpollEvent
		err = raw.Read(func(epoll uintptr) (done bool) { // Read calls it again whenever something is ready
			for p.more = true; p.more; {
				p.round(events[:epollNow(epoll, events[:])])
			}
			return false
		})
	}
	p.mu.Lock()
	failed, conns := p.file != nil, p.conns
	p.conns = map[int32]*conn{}
	p.mu.Unlock()
	if failed {
		p.b.log.Error("clients cannot be watched any more: please report it", "err", err)
	}
	for _, c := range conns {
		c.close()
	}
}

// round serves what is ready.
func (p *poller) round(events []unix.EpollEvent) {
	p.more = len(events) == pollEvents
	for i := range events {
		// Who has closed its end may have said something before, and only that is read at first.
		p.more = p.more || events[i].Events != unix.EPOLLIN
		p.serve(events[i].Fd)
	}
	p.b.contain("a flush", p.scratch.round.Flush)
}

// serve reads once from a connection and handles what came.
func (p *poller) serve(fd int32) {
	p.mu.Lock()
	c := p.conns[fd]
	p.mu.Unlock()
	if c == nil || !c.claim() {
		return
	}
	verdict, rest := ended, []byte(nil)
	p.b.contain("a connection", func() { verdict, rest = c.poll(p.buf) })
	if verdict == goesOn && c.unclaim() {
		return
	}
	p.forget(c, fd)
	if verdict != alone {
		p.b.workers.Go(func() { p.b.part(context.Background(), c) })
		return
	}
	rest = append([]byte(nil), rest...)
	c.account(readMin, max(readMin, len(rest)))
	p.b.workers.Go(func() {
		p.b.attend(context.Background(), c, func(ctx context.Context) bool { return c.read(ctx, rest) })
	})
}

// forget stops watching a connection that is claimed, and gives it back.
func (p *poller) forget(c *conn, fd int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[fd] == c {
		delete(p.conns, fd)
	}
	c.socket.raw.Control(func(fd uintptr) { //nolint:errcheck // a closed socket is not watched
		p.control(unix.EPOLL_CTL_DEL, int(fd), nil) //nolint:errcheck // likewise
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polled, c.claimed, c.scratch = false, false, &publication{}
}

// lose forgets a connection whose socket is closed.
func (p *poller) lose(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[c.fd] == c {
		delete(p.conns, c.fd)
	}
}

// close ends run, and nobody is watched from then on.
func (p *poller) close() error {
	p.mu.Lock()
	file := p.file
	p.file, p.over = nil, true
	p.mu.Unlock()
	if file == nil {
		return nil
	}
	return file.Close()
}

// claim makes the poller the reader of a connection until unclaim; false: it is not its any more.
func (c *conn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claimed = c.polled
	return c.claimed
}

// unclaim is false when the connection was closed meanwhile: then it stays claimed.
func (c *conn) unclaim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claimed = c.closed
	return !c.claimed
}

// verdict is how it goes on with a connection that was polled.
type verdict int

const (
	goesOn verdict = iota
	alone          // in a goroutine of its own
	ended
)

// poll reads into buf what is there and handles the packets that are whole and need not wait; rest is what it left.
func (c *conn) poll(buf []byte) (v verdict, rest []byte) {
	n, err := c.socket.ReadNow(buf)
	c.b.poller.more = c.b.poller.more || n == len(buf)
	if errors.Is(err, syscall.EAGAIN) {
		return goesOn, nil
	}
	if n > 0 {
		c.lastRead.Store(c.b.ticks())
	}
	used, _, f := c.packets(context.Background(), buf[:n])
	c.received.Bytes += uint64(used)
	c.b.counters.Received(&c.received)
	switch {
	case f != nil:
		c.refuse(f)
		return ended, nil
	case used < n || err == nil && n > 0 && c.deaf():
		return alone, buf[used:n]
	case n == 0:
		return ended, nil
	}
	return goesOn, nil
}
