// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
	"edged/uplink/batch"
)

const batchTopic = "edged/gw/batch"

// unpacked is what came, with the messages of batches in the place of these.
func unpacked(t *testing.T, topic string, payload []byte) (all []string) {
	t.Helper()
	if topic != batchTopic {
		return []string{topic + " " + string(payload)}
	}
	err := batch.Unpack(strings.NewReader(string(payload)), func(_ []byte, topic string, payload []byte) error {
		all = append(all, topic+" "+string(payload))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

// all returns what came.
func (c *cloud) all() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

func batching(cfg uplink.Config, every time.Duration, messages int) uplink.Config {
	cfg.Batch.Every, cfg.Batch.Messages = every, messages
	return cfg
}

// A batch goes when it is full or its first message has waited for so long, and is acknowledged as one. What may not wait or
// has no place in one goes before it, but never before an older message of its topic.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		r := start(t, batching(five(), 10*time.Second, 5), local, th.dial)
		a := th.accept()
		a.open5(wire.ConnackPacket{})
		began := time.Now()
		expect := func(at time.Duration, want ...string) {
			t.Helper()
			p := a.published()
			if got := unpacked(t, p.Message.Topic, p.Payload); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if d := time.Since(began); d != at {
				t.Errorf("%q came after %v, want %v", want, d, at)
			}
			acked, _, _, _ := local.state()
			for _, m := range want {
				if _, payload, _ := strings.Cut(m, " "); slices.Contains(acked, payload) {
					t.Errorf("%q is acknowledged before the cloud has done so", payload)
				}
			}
			a.send(ack5(wire.Puback, p.ID, 0))
			synctest.Wait()
		}
		for i := range 7 {
			local.publish(dataA, fmt.Sprint("a", i), 1, false)
		}
		expect(0, dataA+" a0", dataA+" a1", dataA+" a2", dataA+" a3", dataA+" a4")
		local.publish("edged/gw/event", "e", 1, false)
		expect(0, "edged/gw/event e")
		local.publish("edged/gw/dev/b/status", "online", 1, true)
		expect(0, "edged/gw/dev/b/status online")
		expect(10*time.Second, dataA+" a5", dataA+" a6")
		local.publish(dataA, "a7", 1, false)
		local.publish(dataA, "a8", 1, true)
		expect(10*time.Second, dataA+" a7")
		expect(10*time.Second, dataA+" a8")
		local.publish(dataA, "a9", 1, false)
		synctest.Wait()
		r.stop()
		expect(10*time.Second, dataA+" a9") // a stop waits for no company
		p := a.published()                  // "offline"
		a.send(ack5(wire.Puback, p.ID, 0))
		r.end()
		acked, left, _, faults := local.state()
		if len(acked) != 12 || left != 0 || faults != nil {
			t.Errorf("acknowledged %q, %d left, %v", acked, left, faults)
		}
	})
}

// A cloud that does not take the topic of batches gets their messages by themselves, in order, and nothing is lost.
func TestBatchRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		r := start(t, batching(five(), time.Second, 3), local, th.dial)
		a := th.accept()
		a.open5(wire.ConnackPacket{})
		for i := range 3 {
			local.publish(dataA, fmt.Sprint(i), 1, false)
		}
		p := a.published()
		if p.Message.Topic != batchTopic {
			t.Fatalf("topic %s", p.Message.Topic)
		}
		a.send(ack5(wire.Puback, p.ID, wire.NotAuthorized))
		for i := range 3 {
			p := a.published()
			if p.Message.Topic != dataA || string(p.Payload) != fmt.Sprint(i) {
				t.Errorf("got %s %q, want %d", p.Message.Topic, p.Payload, i)
			}
			a.send(ack5(wire.Puback, p.ID, 0))
		}
		synctest.Wait()
		r.check(t, []string{"0", "1", "2"})
		r.stop()
		a.published() // "offline"
		r.end()
	})
}

// Wherever the connection to the cloud is cut, whatever the cloud forgets, all arrives in order and is acknowledged then.
func TestBatchesCutAtEveryPacket(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		for _, forgets := range []bool{false, true} {
			for after := 1; after <= 16; after++ {
				t.Run(fmt.Sprintf("level %d, cloud forgets %t, after packet %d", version, forgets, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { batchesCut(t, version, forgets, after) })
				})
			}
		}
	}
}

func batchesCut(t *testing.T, version byte, forgets bool, after int) {
	cfg := batching(config(), 2*time.Second, 5)
	cfg.Version = version
	c, local := &cloud{version: version, forgets: forgets, cutAfter: after, cuts: 3}, &localBroker{known: true}
	const count = 23
	var want []string
	for i := range count {
		local.publish(dataA, fmt.Sprint(i), 1, false)
		want = append(want, fmt.Sprint(i))
	}
	r := start(t, cfg, local, c.dial)
	<-time.After(20 * time.Minute)
	next, batches := 0, 0
	for _, s := range c.all() {
		if s.topic == batchTopic {
			batches++
		} else if s.topic != dataA {
			continue
		}
		for _, m := range unpacked(t, s.topic, []byte(s.payload)) {
			_, payload, _ := strings.Cut(m, " ")
			switch {
			case payload == fmt.Sprint(next):
				next++
			case !slices.Contains(want[:next], payload):
				t.Errorf("message %s came when %d was due", payload, next)
			}
		}
	}
	if next != count || batches < (count+4)/5 {
		t.Errorf("%d of %d messages came, in %d batches", next, count, batches)
	}
	r.end()
	r.check(t, want)
}
