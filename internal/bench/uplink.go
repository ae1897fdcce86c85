// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// backlog is how many messages of 100 bytes wait for the cloud.
const backlog = 60_000

// side is a broker with a link to a cloud.
type side struct {
	name  string
	start func(o options, dir string, cloud int) (port int, p *process, err error)
}

func sides() [2]side { return [2]side{{"edged", linkedEdged}, {"mosquitto", linkedMosquitto}} }

func linkedEdged(o options, dir string, cloud int) (int, *process, error) {
	g, err := startGateway(o, dir, fmt.Sprintf("[uplink]\nurl = \"mqtt://127.0.0.1:%d\"\n", cloud))
	if err != nil {
		return 0, nil, err
	}
	return g.port, g.process, nil
}

func linkedMosquitto(_ options, dir string, cloud int) (int, *process, error) {
	return startMosquitto(dir, fmt.Sprintf("connection cloud\naddress 127.0.0.1:%d\ntopic # out 1\n"+
		"cleansession false\nrestart_timeout 1\nbridge_protocol_version mqttv311\n", cloud))
}

func startMosquitto(dir, more string) (port int, p *process, err error) {
	if port, err = freePort(); err != nil {
		return 0, nil, err
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	// Without a bound it drops what the subscriber is about to take, and the two would not do the same.
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n%s", port, more)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return 0, nil, err
	}
	if p, err = run("mosquitto", "-c", conf); err != nil {
		return 0, nil, err
	}
	return port, p, awaitPort(port)
}

// awaitPort waits until somebody listens.
func awaitPort(port int) error {
	for end := time.Now().Add(10 * time.Second); ; <-time.After(50 * time.Millisecond) {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return nc.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

func startCloud(dir string, port int) (*process, error) {
	conf := filepath.Join(dir, "cloud.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n", port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := run("mosquitto", "-c", conf)
	if err != nil {
		return nil, err
	}
	return p, awaitPort(port)
}

// benchUplink measures the link to a cloud beside mosquitto's bridge, in turn.
func benchUplink(o options) error {
	var took, memory [2][]time.Duration
	for range o.runs {
		for i, s := range sides() {
			err := inDir(func(dir string) error {
				d, kibibytes, err := drain(o, dir, s)
				took[i], memory[i] = append(took[i], d), append(memory[i], time.Duration(kibibytes))
				return err
			})
			if err != nil {
				return fmt.Errorf("drain %s: %w", s.name, err)
			}
		}
	}
	rate := func(i int) float64 { return backlog / median(took[i]).Seconds() }
	fmt.Printf("backlog of %d × 100 B         drained at %.0f/s, mosquitto's bridge at %.0f/s: %.2f × (goal 1.0)\n",
		backlog, rate(0), rate(1), rate(0)/rate(1))
	fmt.Printf("memory with it queued            %.1f MiB, mosquitto %.1f MiB: %.2f of it (goal 0.6)\n",
		mebi(median(memory[0])), mebi(median(memory[1])), float64(median(memory[0]))/float64(median(memory[1])))
	if os.Geteuid() == 0 {
		if err := inDir(func(dir string) error {
			return onLoop(dir, func(mount, device string) error { return linkWritten(o, mount, device) })
		}); err != nil {
			return err
		}
	}
	return halfOpen(o)
}

// drain fills a queue while there is no cloud and measures how long it takes from the first message to the last once there
// is one, and the memory before.
func drain(o options, dir string, s side) (took time.Duration, kibibytes int, err error) {
	cloudPort, err := freePort()
	if err != nil {
		return 0, 0, err
	}
	port, p, err := s.start(o, dir, cloudPort)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := queue(port); err != nil {
		return 0, 0, err
	}
	<-time.After(time.Second)
	if kibibytes, err = p.memory("VmRSS"); err != nil {
		return 0, 0, err
	}
	cloud, err := startCloud(dir, cloudPort)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, cloud.stop()) }()
	l := &crowd{}
	defer func() { err = errors.Join(err, l.close()) }()
	if _, err := l.join(cloudPort, "consumer", true, "edged/bench/b/#", 1); err != nil {
		return 0, 0, err
	}
	first := time.Time{}
	for end := time.Now().Add(90 * time.Second); l.got.Load() < backlog; <-time.After(time.Millisecond) {
		if first.IsZero() && l.got.Load() > 0 {
			first = time.Now()
		}
		if time.Now().After(end) {
			return 0, 0, fmt.Errorf("%d of %d messages came", l.got.Load(), backlog)
		}
	}
	return time.Since(first), kibibytes, nil
}

func queue(port int) error {
	l := &crowd{}
	p, err := l.join(port, "filler", true, "", 0)
	if err != nil {
		return err
	}
	return errors.Join(p.fill(backlog, func(i int) string { return fmt.Sprintf("edged/bench/b/%04d", i%100) }, 100, false), l.close())
}

// linkWritten measures what reaches the device for each message, with the cloud there in durability "link", and away.
func linkWritten(o options, mount, device string) error {
	cloudPort, err := freePort()
	if err != nil {
		return err
	}
	cloud, err := startCloud(mount, cloudPort)
	if err != nil {
		return err
	}
	g, err := startGateway(o, mount, fmt.Sprintf("durability = \"link\"\n[uplink]\nurl = \"mqtt://127.0.0.1:%d\"\n", cloudPort))
	if err != nil {
		return err
	}
	<-time.After(2 * settle)
	phase := func(f func() (int64, error)) (int, error) {
		before, err := sectors(device)
		if err != nil {
			return 0, err
		}
		n, err := f()
		if err != nil {
			return 0, err
		}
		<-time.After(settle)
		after, err := sectors(device)
		return (after - before) * sector / int(max(n, 1)), err
	}
	r := row{pubs: 10, qos: 1, rate: 1000, topic: "edged/bench/b/"}
	online, err := phase(func() (int64, error) {
		out, err := r.measure(g.port, g.process, o.length)
		return out.sent, err
	})
	if err != nil {
		return err
	}
	if err := cloud.stop(); err != nil {
		return err
	}
	<-time.After(2 * time.Second)
	bulk, err := phase(func() (int64, error) { return backlog, queue(g.port) })
	const size = len("edged/bench/b/0000") + 100
	fmt.Printf("bytes on the device a message    %d online in \"link\" (goal 5), %d in bulk: %.2f of topic and payload (goal 2)\n",
		online, bulk, float64(bulk)/float64(size))
	return errors.Join(err, g.stop())
}

// halfOpen measures how long it takes to notice that nothing comes through any more, both sides at once.
func halfOpen(o options) error {
	var took [2]time.Duration
	failed := make(chan error, 2)
	for i, s := range sides() {
		go func() {
			failed <- inDir(func(dir string) (err error) {
				took[i], err = notice(o, dir, s)
				return err
			})
		}()
	}
	if err := errors.Join(<-failed, <-failed); err != nil {
		return err
	}
	fmt.Printf("half-open link under traffic     noticed after %.1f s, by mosquitto's bridge after %.1f s: %.2f of it (goal 0.1)\n",
		took[0].Seconds(), took[1].Seconds(), took[0].Seconds()/took[1].Seconds())
	return nil
}

// notice lets a link go through a relay that stops, and waits until it is given up.
func notice(o options, dir string, s side) (took time.Duration, err error) {
	cloudPort, err := freePort()
	if err != nil {
		return 0, err
	}
	cloud, err := startCloud(dir, cloudPort)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cloud.stop()) }()
	r, err := newRelay(cloudPort)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	port, p, err := s.start(o, dir, r.l.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	l := &crowd{}
	defer func() { err = errors.Join(err, l.close()) }()
	if _, err := l.join(cloudPort, "consumer", true, "edged/bench/b/#", 1); err != nil {
		return 0, err
	}
	pub, err := l.join(port, "pub", true, "", 0)
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var frozen time.Time
	for began := time.Now(); time.Since(began) < 4*time.Minute; <-tick.C {
		if err := pub.fill(1, func(int) string { return "edged/bench/b/x" }, 100, false); err != nil {
			return 0, err
		}
		if !frozen.IsZero() {
			if gone, err := r.noticed(); gone || err != nil {
				return time.Since(frozen), err
			}
		} else if l.got.Load() > 200 {
			frozen = time.Now()
			r.freeze()
		}
	}
	return 0, fmt.Errorf("%s noticed nothing in 4 minutes, %d messages came before", s.name, l.got.Load())
}
