// SPDX-License-Identifier: Apache-2.0

// Package peers tries the broker with MQTT clients that others wrote for Go. It is a module of its own, so that what they
// need is no dependency of edged. mosquitto's clients are tried in broker.
package peers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// serve runs a broker on a disk in memory, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	cfg := broker.Defaults()
	cfg.Listen = []string{"127.0.0.1:0"}
	b, err := broker.Open(cfg, "state", nil, broker.Options{FS: journaltest.New()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := b.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	return b.Addrs()[0].String()
}

// got is what a client received.
type got struct {
	topic, payload string
	qos            byte
	retain         bool
}

// want reads what comes next, which must be that.
func want(t *testing.T, from <-chan got, x got) {
	t.Helper()
	select {
	case m := <-from:
		if m != x {
			t.Fatalf("got %+v, want %+v", m, x)
		}
	case <-time.After(patience):
		t.Fatalf("nothing came, want %+v", x)
	}
}

// quiet fails the test if anything comes that was published before probe was called: what probe publishes must be next.
func quiet(t *testing.T, from <-chan got, probe func(payload string), topic string) {
	t.Helper()
	payload := fmt.Sprint("probe ", time.Now().UnixNano())
	probe(payload)
	want(t, from, got{topic: topic, payload: payload})
}
