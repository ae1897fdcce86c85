// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is one load that both brokers are measured under.
type row struct {
	name       string
	pubs, subs int
	qos        byte
	rate       int    // messages a second of all publishers; 0: as fast as it goes
	persistent bool   // the subscriber's session is
	offline    bool   // and a second persistent session is away
	conf       string // of mosquitto
	tables     string // of edged
	topic      string // before the publisher's number; "": bench/
	goal       float64
}

func brokerRows() []row {
	var rows []row
	for _, shape := range [][2]int{{1, 1}, {10, 1}, {1, 100}} {
		for qos := range byte(3) {
			rows = append(rows, row{
				name: fmt.Sprintf("%d to %d, QoS %d", shape[0], shape[1], qos),
				pubs: shape[0], subs: shape[1], qos: qos, goal: 0.5,
			})
		}
	}
	for qos := range byte(2) {
		rows = append(rows, row{name: fmt.Sprintf("10 to 1, QoS %d, 1000/s", qos), pubs: 10, subs: 1, qos: qos, rate: 1000, goal: 1})
	}
	return append(rows,
		row{name: "10 to 1 persistent, QoS 1", pubs: 10, subs: 1, qos: 1, persistent: true, goal: 1},
		row{name: "10 to 1 persistent, QoS 1, 1000/s", pubs: 10, subs: 1, qos: 1, rate: 1000, persistent: true, goal: 1},
		row{
			name: "10 to 1 persistent, QoS 1, 1000/s, link", pubs: 10, subs: 1, qos: 1, rate: 1000, persistent: true,
			tables: "durability = \"link\"\n", goal: 1,
		},
		row{
			name: "50 to 1 offline, QoS 1", pubs: 50, subs: 1, qos: 1, offline: true,
			conf: "autosave_on_changes true\nautosave_interval 1\n",
		},
	)
}

// outcome is what a broker showed under a row.
type outcome struct {
	cpu  time.Duration // of the broker, a delivery
	rate float64       // deliveries a second, or messages where nobody gets them
	sent int64
}

// benchBroker measures the broker's processor time a delivery beside mosquitto's, in turn.
func benchBroker(o options) error {
	for _, r := range brokerRows() {
		if !strings.Contains(r.name, o.row) {
			continue
		}
		var all [2][]outcome
		for range o.runs {
			for i, start := range []func(options, row, func(int, *process) error) error{underEdged, underMosquitto} {
				err := start(o, r, func(port int, p *process) error {
					out, err := r.measure(port, p, o.length/4)
					all[i] = append(all[i], out)
					return err
				})
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
			}
		}
		r.tell(all)
	}
	return nil
}

func (r row) tell(all [2][]outcome) {
	var cpu [2]time.Duration
	var rate [2]float64
	for i := range all {
		slices.SortFunc(all[i], func(a, b outcome) int { return int(a.cpu - b.cpu) })
		m := all[i][len(all[i])/2]
		cpu[i], rate[i] = m.cpu, m.rate
	}
	goal := ""
	if r.goal > 0 {
		goal = fmt.Sprintf(", goal %.1f", r.goal)
	}
	fmt.Printf("%-40s %6.2f µs a message at %6.0f/s, mosquitto %6.2f µs at %6.0f/s: %.2f of its processor time%s\n",
		r.name, micro(cpu[0]), rate[0], micro(cpu[1]), rate[1], micro(cpu[0])/micro(cpu[1]), goal)
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func underEdged(o options, r row, f func(int, *process) error) error {
	return inDir(func(dir string) error {
		g, err := startGateway(o, dir, r.tables)
		if err != nil {
			return err
		}
		return errors.Join(f(g.port, g.process), g.stop())
	})
}

func underMosquitto(_ options, r row, f func(int, *process) error) error {
	return inDir(func(dir string) error {
		conf := r.conf
		if conf != "" {
			conf = fmt.Sprintf("persistence true\npersistence_location %s/\n%s", dir, conf)
		}
		port, m, err := startMosquitto(dir, conf)
		if err != nil {
			return err
		}
		return errors.Join(f(port, m), m.stop())
	})
}

// measure puts the row's load on the broker at port, which p is, for a time.
func (r row) measure(port int, p *process, length time.Duration) (o outcome, err error) {
	l := &crowd{}
	defer func() { err = errors.Join(err, l.close()) }()
	for i := range r.subs {
		if _, err := l.join(port, fmt.Sprint("sub", i), !r.persistent, "bench/+", r.qos); err != nil {
			return o, err
		}
	}
	if r.offline {
		if err := away(port, r.qos); err != nil {
			return o, err
		}
	}
	var pubs []*peer
	for i := range r.pubs {
		p, err := l.join(port, fmt.Sprint("pub", i), true, "", 0)
		if err != nil {
			return o, err
		}
		pubs = append(pubs, p)
	}
	before, err := p.cpu()
	if err != nil {
		return o, err
	}
	began := time.Now()
	sent, err := l.run(pubs, r, length)
	if err != nil {
		return o, err
	}
	if err := l.await(sent * int64(r.subs)); err != nil {
		return o, err
	}
	took := time.Since(began)
	after, err := p.cpu()
	n := l.got.Load()
	if r.subs == 0 {
		n = sent
	}
	return outcome{cpu: (after - before) / time.Duration(max(n, 1)), rate: float64(n) / took.Seconds(), sent: sent}, err
}
