// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// counter is a persistent session in the cloud, of a client that the project did not write, which counts what arrives.
type counter struct {
	*process
	mu     sync.Mutex
	topics [topics]tally
	others map[string]string // the newest payload of every other topic
	events map[string]bool   // every payload on the topic of events
	marks  []mark            // when how many had arrived, about every tenth of a second
	total  int
}

const eventTopic = "edged/" + gatewayID + "/event"

// tally is what came on one topic.
type tally struct {
	count   map[int]int // how often each number came
	newest  int
	repeats int // came once more
	back    int // came first after a greater one
	second  int // the newest of those that came so, in order
	astray  int // came first after a greater one of these too
}

type mark struct {
	at    time.Time
	total int
}

// watch subscribes to everything in the cloud.
func watch(t *testing.T, c *cloud) *counter {
	t.Helper()
	return subscribe(t, c.at, c.port, "#")
}

// listen subscribes on the gateway's broker.
func listen(t *testing.T, g *gateway, filter string) *counter {
	t.Helper()
	return subscribe(t, g.at, g.port, filter)
}

func subscribe(t *testing.T, at *host, port int, filter string) *counter {
	t.Helper()
	n := &counter{others: map[string]string{}, events: map[string]bool{}}
	for i := range n.topics {
		n.topics[i] = tally{count: map[int]int{}, newest: -1, second: -1}
	}
	n.process = at.start(t, exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-q", "1", "-i", "far", "-c",
		"-t", "ready", "-t", filter, "-F", "%t %p"), n.take)
	eventually(t, 20*time.Second, "the counter has subscribed", func() bool {
		say(t, at, port, "ready", "yes")
		return n.other("ready") == "yes"
	})
	return n
}

func (n *counter) take(text string) {
	name, payload, _ := strings.Cut(text, " ")
	var i, seq int
	if _, err := fmt.Sscanf(name, "plant/p%d", &i); err != nil || i < 0 || i >= topics {
		n.mu.Lock()
		n.others[name] = payload
		if name == eventTopic {
			n.events[payload] = true
		}
		n.mu.Unlock()
		return
	}
	if _, err := fmt.Sscan(payload, &seq); err != nil {
		panic(fmt.Sprintf("%q came on %s", payload, name))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	x := &n.topics[i]
	x.count[seq]++
	switch {
	case x.count[seq] > 1:
		x.repeats++
	case seq < x.newest:
		x.back++
		if seq < x.second {
			x.astray++
		}
		x.second = max(x.second, seq)
	}
	x.newest = max(x.newest, seq)
	n.total++
	if now := time.Now(); len(n.marks) == 0 || now.Sub(n.marks[len(n.marks)-1].at) > 100*time.Millisecond {
		n.marks = append(n.marks, mark{now, n.total})
	}
}

// other returns what came last on a topic that is none of the traffic's.
func (n *counter) other(topic string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.others[topic]
}

// eventsLike returns how many different events came that hold a text.
func (n *counter) eventsLike(text string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for payload := range n.events {
		if strings.Contains(payload, text) {
			count++
		}
	}
	return count
}

// arrived returns how many messages of the traffic came, repeats too.
func (n *counter) arrived() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.total
}

// missing returns how many acknowledged messages have not come.
func (n *counter) missing(f *traffic) (lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range f.acked {
		for _, seq := range f.acked[i] {
			if n.topics[i].count[seq] == 0 {
				lost++
			}
		}
	}
	return lost
}

// flows waits until messages arrive again, and returns how long that took.
func (n *counter) flows(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	had := n.arrived()
	return eventually(t, within, "messages arrive in the cloud", func() bool { return n.arrived() > had })
}

// verdict stops the traffic, waits until all that was acknowledged is in the cloud, and counts: none may be lost, none out of
// order, and only so many may have come twice.
func (n *counter) verdict(t *testing.T, f *traffic, within time.Duration, mostRepeats int) {
	t.Helper()
	n.judge(t, f, within, mostRepeats, func(x *tally) int { return x.back })
}

// inTwoOrders is verdict where what came may be of two orders, live and backlog.
func (n *counter) inTwoOrders(t *testing.T, f *traffic, within time.Duration, mostRepeats int) {
	t.Helper()
	n.judge(t, f, within, mostRepeats, func(x *tally) int { return x.astray })
}

func (n *counter) judge(t *testing.T, f *traffic, within time.Duration, mostRepeats int, disorder func(*tally) int) {
	t.Helper()
	f.stop()
	began := time.Now()
	for n.missing(f) > 0 && time.Since(began) < within {
		pause(100 * time.Millisecond)
	}
	acked, lost := f.acknowledged(), n.missing(f)
	n.mu.Lock()
	defer n.mu.Unlock()
	repeats, back := 0, 0
	for i := range n.topics {
		repeats += n.topics[i].repeats
		back += disorder(&n.topics[i])
	}
	t.Logf("acknowledged %d, lost %d, repeated %d, out of order %d; drained %v after the last publish", acked, lost, repeats, back, time.Since(began).Round(time.Millisecond))
	if acked < rate() {
		t.Errorf("only %d messages were acknowledged: there was hardly any traffic", acked)
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged messages are lost", lost, acked)
	}
	if back > 0 {
		t.Errorf("%d messages came out of order", back)
	}
	// The short form runs beside other tests: on a busy machine an acknowledgement comes after a stop that would have waited for
	// it, and the cloud sends its own subscriber again what that did not acknowledge in time.
	if mostRepeats += either(2*inflight, 0); repeats > mostRepeats {
		t.Errorf("%d messages came twice, more than %d", repeats, mostRepeats)
	}
}
