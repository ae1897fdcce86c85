// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
	packets "edged/mqtt/wire"
)

// refusing is a broker that answers PUBLISH with what answer says.
type refusing struct {
	mu     sync.Mutex
	got    []string
	answer func(topic string, n int) byte
}

func (b *refusing) payloads() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.got, " ")
}

func (b *refusing) dial(string) (net.Conn, error) {
	here, there := net.Pipe()
	go b.serve(there)
	return here, nil
}

func (b *refusing) serve(nc net.Conn) {
	defer nc.Close() //nolint:errcheck // the test is over
	var buf []byte
	part := make([]byte, 4096)
	for {
		n, err := nc.Read(part)
		if err != nil {
			return
		}
		buf = append(buf, part[:n]...)
		for {
			h, body, size, _, _ := packets.Frame(buf)
			if size == 0 {
				break
			}
			var out []byte
			switch h >> 4 {
			case packets.Connect:
				out = packets.AppendConnack(nil, &packets.ConnackPacket{}, 5)
			case packets.Publish:
				var m packets.Inbound
				packets.ReadPublish(h, body, 5, false, 0, nil, &m)
				b.mu.Lock()
				b.got = append(b.got, string(m.Payload))
				reason := b.answer(string(m.Topic), len(b.got))
				b.mu.Unlock()
				out = packets.AppendAck(nil, packets.Puback, m.ID, reason, 5)
			}
			if buf = buf[size:]; out == nil {
				continue
			}
			if _, err := nc.Write(out); err != nil {
				return
			}
		}
	}
}

// What a full queue refuses: a reading is given up and counted; an event, and the newest of a state, are told again until
// they are taken.
func TestRefusedForAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &refusing{answer: func(topic string, n int) byte {
			if n <= 4 {
				return quotaExceeded
			}
			return 0
		}}
		out := newOutbox(func() int { return 100 })
		l := &link{dial: b.dial, session: mqtt.NewSession(), out: out, log: slog.New(slog.DiscardHandler), config: mqtt.Config{ClientID: "x", Version: 5, Clean: true}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.run(ctx, t.Context()) }()
		say := func(topic, payload string, i item) {
			i.Message = mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1}
			out.push(i)
			synctest.Wait()
		}
		say("data", "1", item{data: true})
		say("status", "online", item{only: "status"})
		say("status", "offline", item{only: "status"})
		say("event", "E1", item{data: true, keep: true})
		time.Sleep(500 * time.Millisecond)
		say("data", "2", item{data: true})
		time.Sleep(5 * time.Second)
		if got, want := b.payloads(), "1 online offline E1 2 offline E1"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		if out.givenUp() != 1 {
			t.Errorf("%d readings are counted as given up", out.givenUp())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
