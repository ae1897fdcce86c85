// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"edged/bridge/port"
	"edged/mqtt"
)

// sensors is how many pseudo terminals send lines.
const sensors = 4

// sample is what one run under load showed.
type sample struct {
	latency []time.Duration // from write to the wire to the subscriber
	cpu     time.Duration   // of all processes, a message
	lost    int
}

// benchLatency measures from the write to the wire until a QoS 1 subscriber has the reading, and the processor time
// of a message, side by side.
func benchLatency(o options) error {
	for _, side := range []struct {
		name string
		run  func(options) (sample, error)
	}{{"edged", withEdged}, {"cat tty | mosquitto_pub -l", withShell}} {
		var p50, p99, most, cpu []time.Duration
		lost := 0
		for range o.runs {
			s, err := side.run(o)
			if err != nil {
				return err
			}
			p50, p99 = append(p50, quantile(s.latency, 0.5)), append(p99, quantile(s.latency, 0.99))
			most, cpu = append(most, quantile(s.latency, 1)), append(cpu, s.cpu)
			lost += s.lost
		}
		fmt.Printf("wire to subscriber, %d × %d/s     p50 %v  p99 %v  max %v  cpu %v a message, %d lost   %s (medians of %d runs of %v)\n",
			sensors, o.rate, round(median(p50)), round(median(p99)), round(median(most)), round(median(cpu)), lost, side.name, o.runs, o.length)
	}
	fmt.Println("                                 goal of edged: p99 5ms")
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func openPTYs() ([]*port.PTY, error) {
	var all []*port.PTY
	for range sensors {
		p, err := port.OpenPTY()
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func withEdged(o options) (s sample, err error) {
	ptys, err := openPTYs()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, closeAll(ptys)) }()
	err = inDir(func(dir string) error {
		tables := ""
		for i, p := range ptys {
			tables += fmt.Sprintf("[device.s%d]\ndriver = \"line\"\nport = %q\nserial = \"115200 8N1\"\nformat = \"json\"\n", i, p.Name)
		}
		g, err := startGateway(o, dir, tables)
		if err != nil {
			return err
		}
		<-time.After(time.Second) // the ports are opened after READY
		s, err = load(o, ptys, g.port, "edged/bench/dev/+/data", g.process)
		return errors.Join(err, g.stop())
	})
	return s, err
}

func withShell(o options) (s sample, err error) {
	ptys, err := openPTYs()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, closeAll(ptys)) }()
	err = inDir(func(dir string) error {
		broker, err := freePort()
		if err != nil {
			return err
		}
		conf := filepath.Join(dir, "mosquitto.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous true\nuser root\n", broker), 0o600); err != nil {
			return err
		}
		m, err := run("mosquitto", "-c", conf)
		if err != nil {
			return err
		}
		all := []*process{m}
		<-time.After(500 * time.Millisecond)
		for i, p := range ptys {
			pair, err := pipeline(p.Name, broker, i)
			if err != nil {
				return err
			}
			all = append(all, pair...)
		}
		<-time.After(500 * time.Millisecond)
		s, err = load(o, ptys, broker, "bench/+", all...)
		for _, p := range all {
			err = errors.Join(err, p.stop())
		}
		return err
	})
	return s, err
}

// pipeline is `cat TTY | mosquitto_pub -l`.
func pipeline(tty string, broker, i int) (_ []*process, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, read.Close(), write.Close()) }()
	cat := &process{cmd: exec.Command("cat", tty)}
	cat.cmd.Stdout = write
	pub := &process{cmd: exec.Command("mosquitto_pub", "-p", fmt.Sprint(broker), "-l", "-q", "1", "-t", fmt.Sprint("bench/", i))}
	pub.cmd.Stdin = read
	return []*process{cat, pub}, errors.Join(cat.cmd.Start(), pub.cmd.Start())
}

func closeAll(ptys []*port.PTY) (err error) {
	for _, p := range ptys {
		err = errors.Join(err, p.Close())
	}
	return err
}

// stopwatch knows when each line was written and when it came.
type stopwatch struct {
	mu      sync.Mutex
	sent    [][]time.Time // by wire and line
	latency []time.Duration
	want    int
	all     chan struct{} // closed when everything came
}

func newStopwatch(wires, lines int) *stopwatch {
	s := &stopwatch{want: wires * lines, all: make(chan struct{})}
	for range wires {
		s.sent = append(s.sent, make([]time.Time, lines))
	}
	return s
}

// hear notes that a line came.
func (s *stopwatch) hear(d *mqtt.Delivery) {
	now := time.Now()
	var x struct{ I, N int }
	if json.Unmarshal(d.Payload, &x) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = append(s.latency, now.Sub(s.sent[x.I][x.N]))
	if len(s.latency) == s.want {
		close(s.all)
	}
}

// write sends the lines of one wire at the rate.
func (s *stopwatch) write(p *port.PTY, i, rate int) error {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := range s.sent[i] {
		<-tick.C
		s.mu.Lock()
		s.sent[i][n] = time.Now()
		s.mu.Unlock()
		if _, err := fmt.Fprintf(p, "{\"i\":%d,\"n\":%d}\n", i, n); err != nil {
			return err
		}
	}
	return nil
}

// load writes lines to each wire and notes when a subscriber has them.
func load(o options, ptys []*port.PTY, broker int, filter string, measured ...*process) (s sample, err error) {
	w := newStopwatch(len(ptys), int(o.length.Seconds())*o.rate)
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", broker))
	if err != nil {
		return s, err
	}
	ctx := context.Background()
	c, _, err := mqtt.Connect(ctx, nc, nil, mqtt.Config{ClientID: "bench-sub", Version: 4, Clean: true, KeepAlive: time.Minute, OnMessage: w.hear})
	if err != nil {
		return s, err
	}
	if _, err := c.Subscribe(ctx, 0, mqtt.Subscription{Filter: filter, QoS: 1}); err != nil {
		return s, err
	}
	before, err := used(measured)
	if err != nil {
		return s, err
	}
	var writers sync.WaitGroup
	failed := make([]error, len(ptys))
	for i, p := range ptys {
		writers.Go(func() { failed[i] = w.write(p, i, o.rate) })
	}
	writers.Wait()
	select {
	case <-w.all:
	case <-time.After(5 * time.Second):
	}
	after, err := used(measured)
	err = errors.Join(append(failed, err, c.Close())...)
	<-c.Done()
	s.latency = w.latency
	s.lost = w.want - len(w.latency)
	s.cpu = (after - before) / time.Duration(max(len(w.latency), 1))
	return s, err
}

func used(all []*process) (sum time.Duration, err error) {
	for _, p := range all {
		d, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}
