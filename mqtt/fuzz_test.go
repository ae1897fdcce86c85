// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"edged/mqtt"
)

// script is a connection whose other end writes fixed bytes and takes all that comes.
type script struct {
	in    *bytes.Reader
	chunk int
	mu    sync.Mutex
	out   int
}

func (s *script) Read(b []byte) (int, error) {
	n, err := s.in.Read(b[:min(len(b), s.chunk)])
	return n, err
}

func (s *script) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out += len(b)
	return len(b), nil
}

func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// Whatever a server sends, the client ends with an error when it is over, never with a panic, and hands on nothing that
// is not a message.
func FuzzReader(f *testing.F) {
	f.Add(byte(0), []byte(connack4+"\x40\x02\x00\x01\x50\x02\x00\x02\x70\x02\x00\x02\xd0\x00"))
	f.Add(byte(0), []byte(present4+"\x32\x05\x00\x01t\x00\x01\x34\x05\x00\x01t\x00\x02\x62\x02\x00\x02\x30\x03\x00\x01t"))
	f.Add(byte(1), []byte(connack5+"\x30\x0e\x00\x01t\x09\x02\x00\x00\x00\x09\x0b\x01\x0b\x02x\xe0\x01\x8e"))
	f.Add(byte(3), []byte("\x20\x08\x01\x00\x05\x27\x00\x00\x00\x14\x90\x03\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, mode byte, b []byte) {
		var unacked []*mqtt.Delivery
		cfg := mqtt.Config{ClientID: "c", Version: 4 + mode&1, ManualAck: mode&2 != 0, MaximumPacketSize: 1000, ReceiveMaximum: 9, OnMessage: func(d *mqtt.Delivery) {
			if d.Topic == "" || len(d.Payload) > 1000 || d.QoS > 2 || (d.QoS > 0) != (d.ID > 0) {
				t.Errorf("delivered %+v", d)
			}
			if unacked = append(unacked, d); len(unacked) > 3 {
				if err := unacked[0].Ack(); err != nil {
					t.Errorf("acknowledge: %v", err)
				}
				unacked = unacked[1:]
			}
		}}
		s := mqtt.NewSession()
		nc := &script{in: bytes.NewReader(b), chunk: 1 + int(mode>>2)}
		c, _, err := mqtt.Connect(t.Context(), nc, s, cfg)
		if err != nil {
			return
		}
		for qos := range byte(3) {
			if _, err := c.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: qos}); err != nil {
				break
			}
		}
		<-c.Done()
		if c.Err() == nil || s.Unacknowledged() > 2 {
			t.Errorf("ended with %v, %d unacknowledged", c.Err(), s.Unacknowledged())
		}
		for _, d := range unacked {
			if err := d.Ack(); err == nil && cfg.ManualAck && d.QoS > 0 {
				t.Error("acknowledged after the end")
			}
		}
	})
}

// sink is a connection that takes everything and brings nothing after CONNACK.
type sink struct {
	script
	closed chan struct{}
}

func (s *sink) Read(b []byte) (int, error) {
	if s.in.Len() > 0 {
		return s.in.Read(b)
	}
	<-s.closed
	return 0, io.EOF
}

func (s *sink) Close() error {
	close(s.closed)
	return nil
}

func sunk(t testing.TB) *mqtt.Client {
	t.Helper()
	nc := &sink{script{in: bytes.NewReader([]byte(connack4))}, make(chan struct{})}
	c, _, err := mqtt.Connect(t.Context(), nc, nil, mqtt.Config{ClientID: "c", Version: 4, Window: 65535})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-c.Done()
	})
	return c
}

func TestPublishOfQoS0DoesNotAllocate(t *testing.T) {
	c := sunk(t)
	m := mqtt.Message{Topic: "edged/gw/dev/air/data", Payload: make([]byte, 100)}
	ctx := t.Context()
	n := testing.AllocsPerRun(2000, func() {
		if _, err := c.Publish(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func BenchmarkPublishQoS0(b *testing.B) {
	c := sunk(b)
	m := mqtt.Message{Topic: "edged/gw/dev/air/data", Payload: make([]byte, 100)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
