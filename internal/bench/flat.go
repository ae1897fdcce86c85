// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"
)

// benchFlat measures what a message costs beside little and beside much that does not concern it, in turn.
func benchFlat(o options) error {
	r := row{pubs: 10, subs: 1, qos: 1, rate: 1000}
	for _, x := range []struct {
		name string
		few  int
		many int
		fill func(port, n int) (*crowd, error)
	}{
		{"retained messages", 10, 10_000, retain},
		{"subscriptions that do not match", 10, 1_000, strangers},
	} {
		var all [2][]time.Duration
		for range o.runs {
			for i, n := range []int{x.few, x.many} {
				cost, err := costBeside(o, r, func(port int) (*crowd, error) { return x.fill(port, n) })
				if err != nil {
					return fmt.Errorf("%d %s: %w", n, x.name, err)
				}
				all[i] = append(all[i], cost)
			}
		}
		few, many := median(all[0]), median(all[1])
		fmt.Printf("%-40s %6.2f µs a message beside %d, %6.2f µs beside %d: %.2f of it\n",
			x.name, micro(few), x.few, micro(many), x.many, float64(many)/float64(few))
	}
	return nil
}

// costBeside measures a message of the row beside what fill leaves behind.
func costBeside(o options, r row, fill func(port int) (*crowd, error)) (cost time.Duration, err error) {
	err = inDir(func(dir string) error {
		g, err := startGateway(o, dir, "")
		if err != nil {
			return err
		}
		beside, err := fill(g.port)
		if err != nil {
			return errors.Join(err, g.stop())
		}
		out, err := r.measure(g.port, g.process, o.length/4)
		cost = out.cpu
		return errors.Join(err, beside.close(), g.stop())
	})
	return cost, err
}

// retain publishes n retained messages to topics of their own.
func retain(port, n int) (*crowd, error) {
	l := &crowd{}
	p, err := l.join(port, "retainer", true, "", 0)
	if err != nil {
		return l, err
	}
	return l, p.fill(n, func(i int) string { return fmt.Sprintf("kept/%d/%d", i%100, i) }, 64, true)
}

// strangers subscribes to n filters that match nothing that is published, ten in a session.
func strangers(port, n int) (*crowd, error) {
	l := &crowd{}
	for i := range n / 10 {
		p, err := connect(port, fmt.Sprint("stranger", i), true)
		if err != nil {
			return l, err
		}
		l.all = append(l.all, p)
		for k := range 10 {
			if err := p.subscribe(fmt.Sprintf("other/%d/+/%d", i, k), 1); err != nil {
				return l, err
			}
		}
		l.served.Go(func() { l.note(p.serve()) })
	}
	return l, nil
}

// fill publishes n messages of size bytes at QoS 1 and waits until all are acknowledged.
func (p *peer) fill(n int, topic func(i int) string, size int, retain bool) error {
	const window = 100
	for i := range n {
		if i >= window {
			<-p.acks
		}
		if err := p.write(message(topic(i), uint16(i%60000+1), size, retain)); err != nil {
			return err
		}
	}
	for range min(n, window) {
		<-p.acks
	}
	return nil
}
