// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// relay passes one connection on, until it stops taking anything from either end and still closes nothing.
type relay struct {
	l      *net.TCPListener
	to     int
	mu     sync.Mutex
	frozen bool
	ends   []*net.TCPConn
	client string // its end of the connection and ours, as the kernel lists it
}

func newRelay(to int) (*relay, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	r := &relay{l: l, to: to}
	go r.serve()
	return r, nil
}

func (r *relay) serve() {
	for {
		c, err := r.l.AcceptTCP()
		if err != nil {
			return
		}
		r.mu.Lock()
		frozen := r.frozen
		if r.ends = append(r.ends, c); !frozen {
			r.client = listed(c.RemoteAddr()) + " " + listed(c.LocalAddr()) + " 01 " // established
		}
		r.mu.Unlock()
		if frozen {
			continue
		}
		// A little buffer, so that the kernel soon takes nothing either, as on a link that is dead.
		c.SetReadBuffer(1) //nolint:errcheck // it only takes longer then
		far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.to))
		if err != nil {
			c.Close() //nolint:errcheck // its client tries again
			continue
		}
		r.mu.Lock()
		r.ends = append(r.ends, far.(*net.TCPConn))
		r.mu.Unlock()
		go r.pass(c, far)
		go r.pass(far, c)
	}
}

// pass copies until the freeze.
func (r *relay) pass(from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		frozen := r.frozen
		r.mu.Unlock()
		if frozen || err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen = true
	for _, c := range r.ends {
		c.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // the copying ends with the next byte otherwise
	}
}

// noticed tells whether the client has given its connection up: that cannot be seen at our end, which takes nothing.
func (r *relay) noticed() (bool, error) {
	all, err := os.ReadFile("/proc/net/tcp")
	r.mu.Lock()
	defer r.mu.Unlock()
	return !strings.Contains(string(all), r.client), err
}

// listed is an address of this machine as /proc/net/tcp spells it.
func listed(a net.Addr) string { return fmt.Sprintf("0100007F:%04X", a.(*net.TCPAddr).Port) }

func (r *relay) close() error {
	err := r.l.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.ends {
		if failed := c.Close(); !errors.Is(failed, net.ErrClosed) {
			err = errors.Join(err, failed)
		}
	}
	return err
}
