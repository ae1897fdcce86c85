// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"net"
	"testing"

	"edged/broker/authority"
	"edged/broker/journal/journaltest"
)

// opened is a broker on a disk in memory that Run is not called for: nothing is swept or committed but by the test.
func opened(t *testing.T, change ...func(*Config)) *Broker {
	t.Helper()
	cfg := Defaults()
	for _, f := range change {
		f(&cfg)
	}
	b, err := Open(cfg, "state", nil, Options{FS: journaltest.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// pair gives a connection that nobody reads from, as one of a client in this process, and its other end.
func pair(t *testing.T, b *Broker) (c *conn, theirs net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	return newConn(b, ours, &authority.Client{}, nil), theirs
}
