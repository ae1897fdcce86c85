// SPDX-License-Identifier: Apache-2.0

package path

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/mqtt"
)

const (
	topics = 4
	size   = 100 // bytes of a payload
	window = 20  // messages that the traffic of most rows has unacknowledged at most
)

// rate is how many messages a second there are, of all topics. The short form's run beside other tests.
func rate() int { return either(125, 500) }

func topic(i int) string { return fmt.Sprint("plant/p", i) }

// traffic is an outside client of the gateway's broker that publishes at QoS 1, on each topic 0, 1, 2, …, and notes what it was
// acknowledged. It never sends a message twice: what comes twice in the cloud, the gateway sent twice.
type traffic struct {
	g      *gateway
	gap    time.Duration // between two rounds of a message for each topic; 0: none
	most   int           // messages for each topic, then it ends; 0: no end
	window int           // messages that it has unacknowledged at most
	stop   func()

	mu    sync.Mutex
	next  [topics]int
	acked [topics][]int // in order
}

// sent is a message whose acknowledgement is waited for.
type sent struct {
	topic, seq int
	by         *mqtt.Client
	pending    *mqtt.Pending
}

// flow begins the traffic that most rows have.
func flow(t *testing.T, g *gateway) *traffic {
	t.Helper()
	f := &traffic{g: g, gap: topics * time.Second / time.Duration(rate()), window: window}
	f.begin(t)
	return f
}

func (f *traffic) begin(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	notes := make(chan sent, 1000) // full: publishing waits
	work.Go(func() {
		defer close(notes)
		for ctx.Err() == nil && !f.ended() {
			f.connection(ctx, notes)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	work.Go(func() { f.note(notes) })
	f.stop = func() { cancel(); work.Wait() }
	t.Cleanup(f.stop)
}

func (f *traffic) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most > 0 && f.next[topics-1] >= f.most
}

// connection publishes until the connection breaks.
func (f *traffic) connection(ctx context.Context, notes chan<- sent) {
	nc, err := f.g.at.dial(fmt.Sprint("127.0.0.1:", f.g.port))
	if err != nil {
		return
	}
	starting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, _, err := mqtt.Connect(starting, nc, mqtt.NewSession(), mqtt.Config{ClientID: "traffic", Version: 4, Clean: true, Window: f.window, KeepAlive: 20 * time.Second, ResponseTimeout: time.Minute})
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	tick := time.NewTicker(max(f.gap, 1))
	defer tick.Stop()
	for !f.ended() {
		if f.gap > 0 {
			select {
			case <-tick.C:
			case <-c.Done():
				return
			}
		}
		if !f.round(ctx, c, notes) {
			return
		}
	}
	for c.Progress().Outstanding > 0 && c.Err() == nil {
		<-tick.C
	}
	_ = c.Disconnect(ctx)
}

// round publishes a message for each topic.
func (f *traffic) round(ctx context.Context, c *mqtt.Client, notes chan<- sent) bool {
	for i := range topics {
		f.mu.Lock()
		seq := f.next[i]
		f.next[i]++
		f.mu.Unlock()
		p, err := c.Publish(ctx, mqtt.Message{Topic: topic(i), Payload: payload(seq), QoS: 1})
		if err != nil {
			return false
		}
		notes <- sent{i, seq, c, p}
	}
	return true
}

// payload is the number, the time and filling.
func payload(seq int) []byte {
	text := fmt.Sprintf("%d %d ", seq, time.Now().UnixMicro())
	return []byte(text + strings.Repeat("x", size-len(text)))
}

func (f *traffic) note(notes <-chan sent) {
	for s := range notes {
		select {
		case <-s.pending.Done():
		case <-s.by.Done():
		}
		select {
		case <-s.pending.Done():
			if s.pending.Err() == nil {
				f.mu.Lock()
				f.acked[s.topic] = append(f.acked[s.topic], s.seq)
				f.mu.Unlock()
			}
		default:
		}
	}
}

// acknowledged returns how many messages the gateway took over.
func (f *traffic) acknowledged() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.acked {
		n += len(f.acked[i])
	}
	return n
}

// more waits until the gateway takes messages over.
func (f *traffic) more(t *testing.T) {
	t.Helper()
	had := f.acknowledged()
	eventually(t, 20*time.Second, "the gateway acknowledges", func() bool { return f.acknowledged() > had+50 })
}
