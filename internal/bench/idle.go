// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"edged/mqtt/wire"
)

// crowdSize is how many idle connections are measured: as many as the broker takes in its default configuration.
const crowdSize = 1000

// benchIdle measures a gateway without devices that nobody talks to: its memory, that of idle connections, and the
// processor time while much waits.
func benchIdle(o options) error {
	var empty, own, more []time.Duration // kibibytes: a median is a median
	for range o.runs {
		err := inDir(func(dir string) error {
			g, err := startGateway(o, dir, "")
			if err != nil {
				return err
			}
			<-time.After(3 * time.Second)
			before, err := g.memory("VmRSS")
			if err != nil {
				return err
			}
			anon, err := g.memory("RssAnon")
			if err != nil {
				return err
			}
			l := &crowd{}
			for i := range crowdSize {
				if _, err := l.join(g.port, fmt.Sprint("idle", i), true, "idle/+/set", 1); err != nil {
					return err
				}
			}
			<-time.After(3 * time.Second)
			after, err := g.memory("VmRSS")
			empty, own, more = append(empty, time.Duration(before)), append(own, time.Duration(anon)), append(more, time.Duration(after-before))
			return errors.Join(err, l.close(), g.stop())
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("memory, nobody there             %.1f MiB resident, %.1f MiB of it its own (goal 12)\n", mebi(median(empty)), mebi(median(own)))
	fmt.Printf("memory, %d idle connections    %.1f MiB more (goal 10)\n", crowdSize, mebi(median(more)))
	return inDir(func(dir string) error { return idleLoad(o, dir) })
}

func mebi(kibibytes time.Duration) float64 { return float64(kibibytes) / 1024 }

// idleLoad measures the processor time of a broker that keeps much and has nothing to do.
func idleLoad(o options, dir string) error {
	const sessions, queued, kept = 20, 1000, 5000
	g, err := startGateway(o, dir, "")
	if err != nil {
		return err
	}
	for i := range sessions {
		p, err := connect(g.port, fmt.Sprint("away", i), false)
		if err != nil {
			return err
		}
		if err := errors.Join(p.subscribe("bench/#", 1), p.write([]byte{wire.Disconnect << 4, 0}), p.nc.Close()); err != nil {
			return err
		}
	}
	l := &crowd{}
	p, err := l.join(g.port, "filler", true, "", 0)
	if err != nil {
		return err
	}
	err = errors.Join(
		p.fill(queued, func(int) string { return "bench/0" }, 64, false),
		p.fill(kept, func(i int) string { return fmt.Sprint("kept/", i) }, 64, true),
		l.close())
	if err != nil {
		return err
	}
	<-time.After(3 * time.Second)
	before, err := g.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	<-time.After(o.length)
	after, err := g.cpu()
	fmt.Printf("idle, %d sessions × %d queued    %.3f %% of a processor, %d messages retained (goal 0.5)\n",
		sessions, queued, 100*float64(after-before)/float64(time.Since(began)), kept)
	return errors.Join(err, g.stop())
}
