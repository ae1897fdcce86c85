// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// Faults that other brokers were found to have. docs/conformance.md lists them, with the tests that hold each.

// Coming back for a queue does not write the queue again, so that it is not lost half-way.
func TestReconnectionDoesNotRewriteTheQueue(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	sub := s.connect(kept(), false)
	sub.subscribe(1, 1, "t")
	sub.disconnectAfterPing()
	pub := s.clean("pub")
	big := strings.Repeat("x", 10000)
	for i := range 500 { // 5 MB
		pub.publish("t", big, 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	var written atomic.Int64
	s.disk.SetFault(func(op journaltest.Op) error {
		if op.Kind == "write" {
			written.Add(int64(op.Len))
		}
		return nil
	})
	for range 20 {
		sub = s.connect(kept(), true)
		for range 10 {
			sub.wantPayload0(big)
		}
		sub.reset()
		eventually(t, "it is gone", func() bool { st, _ := s.Session("p"); return !st.Connected })
	}
	if n := written.Load(); n == 0 || n > 1<<20 {
		t.Errorf("%d bytes were written", n)
	}
}

// What has no expiry is there after days, retained or queued.
func TestNothingExpiresByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.Open(broker.Defaults(), "state", nil, broker.Options{FS: journaltest.New()})
		if err != nil {
			t.Fatal(err)
		}
		stop := runInBubble(t, b)
		defer stop()
		dial := func(id string, clean bool) *peer {
			nc, err := b.Dial(broker.Identity{ClientID: id, Publish: []string{"#"}, Subscribe: []string{"#"}})
			if err != nil {
				t.Fatal(err)
			}
			c := &peer{t: t, nc: nc, version: 4}
			c.connect(wire.ConnectPacket{Level: 4, Clean: clean, ClientID: id})
			return c
		}
		sub := dial("sub", false)
		sub.subscribe(1, 1, "t")
		sub.disconnectAfterPing()
		pub := dial("pub", true)
		pub.retain("t", "old", 1)
		pub.disconnect()
		time.Sleep(50 * time.Hour)
		sub = dial("sub", false)
		sub.wantPayload("old")
		sub.disconnect()
		if n := len(b.Retained("t")); n != 1 {
			t.Errorf("%d retained", n)
		}
	})
}

// A subscription that was refused is in force neither then nor after a restart.
func TestRefusedSubscriptionsAreForgotten(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SubscriptionsPerClient = 1 })
	c := s.connect(kept(), false)
	if codes := c.subscribe(1, 1, "a", "b"); string(codes) != "\x01\x80" {
		t.Fatalf("SUBACK % x", codes)
	}
	for range 2 {
		pub := s.clean("pub")
		publishAll(pub, "b", 0, 1)
		publishAll(pub, "a", 1, 1)
		c.wantPayload("1")
		c.quiet()
		c.drop()
		s.cfg.Limits.SubscriptionsPerClient = 10
		s.restart()
		c = s.connect(kept(), true)
	}
}

// Neither a password nor a payload is ever in the log, whatever is wrong with the packet around it.
func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newSite(t, func(s *site) {
		s.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const secret = "hunter2"
	login := wire.ConnectPacket{Level: 5, Clean: true, ClientID: "edged-x", HasUser: true, User: "u", HasPassword: true, Password: []byte(secret)}
	refused := s.dial()
	if ack := refused.connect(login); ack.Code == 0 {
		t.Error("a ClientId of ours was let in")
	}
	for _, send := range [][]byte{
		wire.AppendConnect(nil, &login), // a second CONNECT
		[]byte("\x36\x0d\x00\x01a\x00\x01\x00" + secret),
		[]byte("\x30\x0e\x00\x01a\x02\x01\x01" + secret + "\xff"),
		[]byte("\x30\x0f\x00\x05$SYS/\x00" + secret),
		[]byte("\x00\x07" + secret),
	} {
		c := s.connect(five("c"), false)
		c.send(send)
		c.send([]byte{wire.Disconnect << 4, 0})
		c.wantEnd()
		c.drop()
	}
	s.stop()
	if text := log.String(); strings.Contains(text, secret) || text == "" {
		t.Errorf("log: %s", text)
	}
}

// The broker stops although in-process clients are still there.
func TestStopWithInProcessClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for i := range 3 {
		nc, err := s.Dial(broker.Identity{ClientID: fmt.Sprint("edged-dev-", i), Subscribe: []string{"#"}})
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, nc)
		c.connect(wire.ConnectPacket{Level: byte(4 + i%2), ClientID: "edged-dev-" + strconv.Itoa(i)})
		defer c.wantEnd()
	}
	s.stop()
}
