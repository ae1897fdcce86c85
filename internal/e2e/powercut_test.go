// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cutsVariable names the environment variable that says how many times the power is cut on each file system.
const cutsVariable = "EDGED_POWER_CUTS"

func cuts(t *testing.T) int {
	text := os.Getenv(cutsVariable)
	if text == "" {
		return 12
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", cutsVariable, err)
	}
	return n
}

// cut stops all writing at once: what the file system had not given to the device is lost, as when the power fails.
func (v *volume) cut(t *testing.T) {
	t.Helper()
	const fsIocShutdown, noLogFlush = 0x8004587d, 2
	d, err := os.Open(v.mount)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.IoctlSetPointerInt(int(d.Fd()), fsIocShutdown, noLogFlush), d.Close()); err != nil {
		t.Fatalf("shut down %s: %v", v.mount, err)
	}
}

// crowd is many publishers, and a session that is owed all they publish.
type crowd struct {
	publishers []*publisher
	stop       func()

	mu   sync.Mutex
	told []string // payloads that mosquitto_pub was acknowledged
}

// crowdAt subscribes a session, which then is away, and starts publishers at QoS 1 and 2 and mosquitto_pub beside them.
func crowdAt(t *testing.T, port, size int) *crowd {
	t.Helper()
	subscribe(t, port, "keeper", "plant/#", "-c", "-q", "2").kill()
	c := &crowd{}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	c.stop = func() { cancel(); work.Wait() }
	t.Cleanup(c.stop)
	for i := range size {
		p := &publisher{port: port, topic: fmt.Sprint("plant/p", i), qos: byte(1 + i%2)}
		c.publishers = append(c.publishers, p)
		work.Go(func() { p.run(ctx) })
	}
	work.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			text := strconv.Itoa(n)
			cmd := exec.CommandContext(ctx, "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(port),
				"-q", strconv.Itoa(1+n%2), "-t", "plant/mosquitto", "-m", text)
			if cmd.Run() == nil {
				c.mu.Lock()
				c.told = append(c.told, text)
				c.mu.Unlock()
			}
			pause(20 * time.Millisecond)
		}
	})
	return c
}

// check holds what the session was kept against what was acknowledged: nothing is missing, the order is that of each
// publisher, and QoS 2 came once.
func (c *crowd) check(t *testing.T, port int) {
	t.Helper()
	c.stop()
	keeper := subscribeWithin(t, 2*time.Minute, port, "keeper", "plant/#", "-c", "-q", "2") // it gets all it is owed first
	lost := func() (all []string) {
		for _, p := range c.publishers {
			var want []string
			for _, n := range p.acknowledged() {
				want = append(want, strconv.Itoa(n))
			}
			all = append(all, missing(p.topic, want, keeper)...)
		}
		return append(all, missing("plant/mosquitto", c.told, keeper)...)
	}
	for end := time.Now().Add(20 * time.Second); len(lost()) > 0 && time.Now().Before(end); {
		pause(100 * time.Millisecond)
	}
	if all := lost(); len(all) > 0 {
		t.Errorf("%d acknowledged messages are lost: %.40q", len(all), all)
	}
	acked := len(c.told)
	for _, p := range c.publishers {
		got := keeper.on(p.topic)
		acked += len(p.acknowledged())
		forward(t, p.topic, got)
		if p.qos == 2 && !slices.IsSortedFunc(got, func(a, b message) int {
			x, _ := strconv.Atoi(a.payload)
			y, _ := strconv.Atoi(b.payload)
			return x - y
		}) {
			t.Errorf("%s: QoS 2 came out of order", p.topic)
		}
		if n := repeats(got); p.qos == 2 && n > 0 {
			t.Errorf("%s: %d messages at QoS 2 came twice", p.topic, n)
		}
	}
	if acked < 100 {
		t.Errorf("only %d messages were acknowledged in all", acked)
	}
	t.Logf("%d messages were acknowledged, %d of them lost", acked, len(lost()))
}

func missing(topic string, want []string, s *subscriber) (all []string) {
	have := map[string]bool{}
	for _, m := range s.on(topic) {
		have[m.payload] = true
	}
	for _, w := range want {
		if !have[w] {
			all = append(all, topic+" "+w)
		}
	}
	return all
}

func repeats(got []message) (n int) {
	seen := map[string]bool{}
	for _, m := range got {
		if seen[m.payload] {
			n++
		}
		seen[m.payload] = true
	}
	return n
}

// A cut of the power at any moment, in the first run too, costs nothing that was acknowledged.
func TestPowerCutsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := newVolumeOf(t, fs, 320, filepath.Join(dir, "state"))
			const config = "[gateway]\nid = \"gw\"\n"
			e := gateway{config: config, dir: dir}.start(t)
			c := crowdAt(t, e.port, 6)
			for k := range cuts(t) {
				c.publishers[k%len(c.publishers)].waitMore(t)
				pause(rand.N(300 * time.Millisecond))
				// The kernel may let an fdatasync succeed that the shutdown has overtaken, which no power cut does. So what
				// is under way is let to end first.
				e.signal(syscall.SIGSTOP)
				pause(100 * time.Millisecond)
				v.cut(t)
				e.kill()
				v.detach(t)
				v.attach(t)
				e = e.again(t, config)
				if text := e.err.String(); strings.Contains(text, "E603") {
					t.Errorf("cut %d: a cut counts as damage: %s", k, text)
				}
			}
			c.check(t, e.port)
		})
	}
}

// kill -9 with twenty publishers costs nothing that was acknowledged, and doubles nothing at QoS 2.
func TestKillsWithTwentyPublishersLoseNothing(t *testing.T) {
	t.Parallel()
	const config = "[gateway]\nid = \"gw\"\n"
	e := gateway{config: config}.start(t)
	c := crowdAt(t, e.port, 20)
	for k := range cuts(t) {
		c.publishers[k%len(c.publishers)].waitMore(t)
		pause(rand.N(300 * time.Millisecond))
		e.kill()
		e = e.again(t, config)
	}
	c.check(t, e.port)
}
