// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"edged/mqtt/wire"
)

// crowd is the clients of one measurement.
type crowd struct {
	got    atomic.Int64 // deliveries
	all    []*peer
	served sync.WaitGroup
	mu     sync.Mutex
	err    error // the first
}

// join adds a client; one with a filter subscribes.
func (l *crowd) join(port int, id string, clean bool, filter string, qos byte) (*peer, error) {
	p, err := connect(port, id, clean)
	if err != nil {
		return nil, err
	}
	l.all = append(l.all, p)
	if filter != "" {
		if err := p.subscribe(filter, qos); err != nil {
			return nil, err
		}
	}
	p.got = &l.got
	l.served.Go(func() { l.note(p.serve()) })
	return p, nil
}

func (l *crowd) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, err)
}

// away leaves a persistent session that is subscribed behind.
func away(port int, qos byte) error {
	p, err := connect(port, "away", false)
	if err != nil {
		return err
	}
	return errors.Join(p.subscribe("bench/#", qos), p.write([]byte{wire.Disconnect << 4, 0}), p.nc.Close())
}

// run lets the publishers send for a time and returns how many messages they sent.
func (l *crowd) run(pubs []*peer, r row, length time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	s := stream{qos: r.qos, window: 100, got: func() int64 { return l.got.Load() / int64(max(r.subs, 1)*len(pubs)) }}
	if r.qos == 2 || len(pubs) > 1 {
		s.window = 20 // mosquitto drops QoS 2 beyond its max_inflight_messages
	}
	if r.subs == 0 {
		s.got = func() int64 { return math.MaxInt64 / 2 }
	}
	if r.rate > 0 {
		s.every = time.Second * time.Duration(len(pubs)) / time.Duration(r.rate)
	}
	var sent atomic.Int64
	var all sync.WaitGroup
	for i, p := range pubs {
		s.topic = fmt.Sprint(cmp.Or(r.topic, "bench/"), i)
		all.Go(func() {
			n, err := p.publish(ctx, s)
			sent.Add(n)
			l.note(err)
		})
	}
	all.Wait()
	return sent.Load(), l.err
}

// await waits until all deliveries are there.
func (l *crowd) await(want int64) error {
	late := time.After(20 * time.Second)
	for l.got.Load() < want {
		select {
		case <-late:
			return fmt.Errorf("%d of %d deliveries came", l.got.Load(), want)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (l *crowd) close() (err error) {
	for _, p := range l.all {
		err = errors.Join(err, p.nc.Close())
	}
	l.served.Wait()
	return err
}
