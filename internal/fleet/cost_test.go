// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/mqtt"
)

// cost is what the servers of a cluster took so far.
type cost struct {
	cpu time.Duration
	rss int // KiB
}

func (c *cluster) cost(t *testing.T) (sum cost) {
	t.Helper()
	for _, node := range c.nodes {
		pid := node.cmd.Process.Pid
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		var user, system, rss int64
		if _, err := fmt.Sscan(fields[11]+" "+fields[12]+" "+fields[21], &user, &system, &rss); err != nil {
			t.Fatal(err)
		}
		const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
		sum.cpu += time.Duration(user+system) * tick
		sum.rss += int(rss) * os.Getpagesize() >> 10
	}
	return sum
}

// What the sessions of many gateways cost a cluster: each is a persistent session with a will and a subscription to its commands,
// as the uplink's, and publishes a message of 100 bytes at QoS 1 each ten seconds.
func TestCostOfSessions(t *testing.T) {
	c := natsCluster(t)
	sizes := []int{1, 10}
	if full() {
		sizes = append(sizes, 100, 1000)
	}
	idle := c.cost(t)
	t.Logf("an empty cluster of three: %d KiB", idle.rss)
	var open []*mqtt.Client
	for _, size := range sizes {
		began, before := time.Now(), c.cost(t)
		more := sessions(t, c, len(open), size)
		open = append(open, more...)
		opened := c.cost(t)
		t.Logf("%4d sessions: opened in %v, %.1f ms of CPU for each new one", size, time.Since(began).Round(time.Millisecond),
			float64((opened.cpu-before.cpu).Milliseconds())/float64(len(more)))
		worst := publishing(t, open, either(5, 30))
		after := c.cost(t)
		for i, client := range open {
			if err := client.Err(); err != nil {
				t.Fatalf("session %d ended: %v", i, err)
			}
		}
		t.Logf("%4d sessions: %.2f %% of a processor, %.0f KiB for each; slowest acknowledgement %v", size,
			float64(after.cpu-opened.cpu)/float64(time.Duration(either(5, 30))*time.Second)*100, float64(after.rss-idle.rss)/float64(size), worst.Round(time.Millisecond))
	}
	for _, client := range open {
		_ = client.Close()
	}
}

// sessions opens the sessions of the gateways from one number up to another, spread over the servers, a few at a time.
func sessions(t *testing.T, c *cluster, from, to int) []*mqtt.Client {
	t.Helper()
	open := make([]*mqtt.Client, to-from)
	next := make(chan int)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for i := range next {
				id := fmt.Sprint("gw-", from+i)
				client, err := connect(t, c.mqtt[i%len(c.mqtt)], mqtt.Config{
					ClientID: id, ResponseTimeout: time.Minute,
					Will: &mqtt.Will{Message: mqtt.Message{Topic: "edged/" + id + "/status", Payload: []byte("offline"), QoS: 1, Retain: true}},
				})
				if err != nil {
					t.Errorf("%s: %v", id, err)
					continue
				}
				if _, err := client.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "edged/" + id + "/dev/+/set", QoS: 1}); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				open[i] = client
			}
		})
	}
	for i := range open {
		next <- i
	}
	close(next)
	work.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return open
}

// publishing lets each session publish every ten seconds, and returns how long the slowest acknowledgement took.
func publishing(t *testing.T, open []*mqtt.Client, seconds int) (worst time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	var work sync.WaitGroup
	var mu sync.Mutex
	for i, client := range open {
		work.Go(func() {
			next := time.NewTimer(10 * time.Second * time.Duration(i) / time.Duration(len(open)))
			defer next.Stop()
			for {
				select {
				case <-next.C:
				case <-ctx.Done():
					return
				}
				began := time.Now()
				p, err := client.Publish(t.Context(), mqtt.Message{Topic: fmt.Sprintf("edged/gw-%d/dev/s/data", i), Payload: make([]byte, 100), QoS: 1})
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				select {
				case <-p.Done():
				case <-client.Done():
					t.Errorf("session %d ended: %v", i, client.Err())
					return
				}
				mu.Lock()
				worst = max(worst, time.Since(began))
				mu.Unlock()
				next.Reset(10 * time.Second)
			}
		})
	}
	work.Wait()
	return worst
}
