// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	dialTime  = 5 * time.Second
	headStart = 250 * time.Millisecond // an address gets this much before the next one is tried beside it (RFC 8305, 5)
)

// race connects to the first endpoint that answers. Each gets a head start over the next one, so that one that swallows
// everything (a broken IPv6, say) costs little, and the whole is given up after five seconds.
func (d *Dialer) race(ctx context.Context, ends []endpoint) (net.Conn, endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	type result struct {
		conn net.Conn
		end  endpoint
		err  error
	}
	results := make(chan result, len(ends)) // never full: each endpoint sends once
	var runners sync.WaitGroup
	next, running := 0, 0
	start := func() {
		e := ends[next]
		next, running = next+1, running+1
		runners.Go(func() {
			c, err := d.deps.Dial(ctx, e.port())
			results <- result{c, e, err}
		})
	}
	var winner result
	var faults []error
	start()
	head := time.NewTimer(headStart)
	defer head.Stop()
	for winner.conn == nil && running > 0 {
		select {
		case <-head.C:
			if next < len(ends) {
				start()
				head.Reset(headStart)
			}
		case r := <-results:
			running--
			if r.err == nil {
				winner, faults = r, nil
				break
			}
			d.book.failed(r.end)
			faults = append(faults, r.err)
			if next < len(ends) && ctx.Err() == nil {
				start()
				head.Reset(headStart)
			}
		}
	}
	cancel()
	runners.Wait()
	close(results)
	for r := range results {
		if r.err == nil {
			d.drop(r.conn)
		} else if winner.conn != nil && earlier(ends, r.end, winner.end) {
			d.book.failed(r.end) // it had its head start and did not answer
		}
	}
	return winner.conn, winner.end, errors.Join(faults...)
}

// earlier says whether a stands before b.
func earlier(ends []endpoint, a, b endpoint) bool {
	for _, e := range ends {
		switch e {
		case a:
			return true
		case b:
			return false
		}
	}
	return false
}

// unreached says that no TCP connection came about.
func (o *opening) unreached(err error) *Failure {
	what := o.target.String()
	if o.proxy != nil {
		what = "the proxy " + o.proxy.address()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Failure{"E307", fmt.Sprintf("%s did not answer in %v; check the address, and whether a firewall is in between", what, dialTime), nil}
	}
	reason := strings.ReplaceAll(err.Error(), "\n", ", ")
	return &Failure{"E307", fmt.Sprintf("connect to %s: %s; check the address, the port and the network", what, reason), nil}
}
