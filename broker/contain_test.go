// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"

	"edged/broker/session"
	"edged/mqtt/wire"
)

// evil panics when it is read from.
type evil struct{ net.Conn }

func (evil) Read([]byte) (int, error) { panic("evil bytes") }

// A panic in the handling of one connection ends that connection, with its will; the log has the stack, and the broker
// goes on.
//
// Covers 4:4.8.0-2.
func TestPanicIsContained(t *testing.T) {
	var log bytes.Buffer
	cfg := Defaults()
	b, err := Open(cfg, t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := newPipe()
	who := b.auth.Admit(Identity{})
	c := newConn(b, evil{ours}, &who, nil)
	done := make(chan struct{})
	go func() { defer close(done); b.serve(t.Context(), c) }()
	<-done
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection: %v", err)
	}
	if !strings.Contains(log.String(), "evil bytes") || !strings.Contains(log.String(), "contain_test.go") {
		t.Errorf("log: %s", log.String())
	}
	if len(b.conns) != 0 || b.silent != 0 {
		t.Errorf("%d connections, %d silent", len(b.conns), b.silent)
	}
	b.workers.Wait()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// A message that is owed to more sessions than fit into one record takes several; the publisher's identifier is in the last.
func TestRecordIsSplit(t *testing.T) {
	b, err := Open(Defaults(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := publication{record: session.Record{Message: wire.Message{Topic: "t", Payload: []byte("x"), QoS: 2}, Origin: 7, ID: 9}}
	ids := make([]uint32, 1000)
	for i := range ids {
		ids[i] = 1 << 27
	}
	for i := range 1000 {
		p.record.Owed = append(p.record.Owed, session.Share{Num: uint32(i + 1), Owed: session.Owed{N: 1, QoS: 2, SubIDs: ids}})
	}
	last := b.append(&p)
	if len(p.pos) != 1000 || p.pos[0] == last || p.pos[999] != last {
		t.Errorf("%d places, first %d, last %d of %d", len(p.pos), p.pos[0], p.pos[999], last)
	}
	for i := 1; i < len(p.pos); i++ {
		if p.pos[i] < p.pos[i-1] {
			t.Fatalf("place %d is before its predecessor", i)
		}
	}
}

// A client that connects while the broker stops is told: 3, in MQTT 5 0x88.
func TestConnectWhileStopping(t *testing.T) {
	b, err := Open(Defaults(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for version, want := range map[byte]string{4: "\x20\x02\x00\x03", 5: "\x20\x03\x00\x88\x00"} {
		nc, err := b.Dial(Identity{ClientID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		for silent := false; !silent; { // its reader has not come in yet
			b.mu.Lock()
			silent = len(b.conns) > 0
			b.mu.Unlock()
			runtime.Gosched()
		}
		b.mu.Lock()
		b.stopping = true
		b.mu.Unlock()
		if _, err := nc.Write(wire.AppendConnect(nil, &wire.ConnectPacket{Level: version, Clean: true, ClientID: "c"})); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(nc); err != nil || string(got) != want {
			t.Errorf("version %d: got % x, %v; want % x", version, got, err, want)
		}
		b.workers.Wait()
		b.mu.Lock()
		b.stopping = false
		b.mu.Unlock()
	}
}
