// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"io"
	"net"
	"testing"
	"time"

	"edged/mqtt"
)

// server is the other end of a pipe, played by the test byte for byte.
type server struct {
	t  *testing.T
	nc net.Conn
}

// expect reads exactly want. It may be called from any goroutine; a mismatch ends the connection.
func (s *server) expect(want string) {
	s.t.Helper()
	b := make([]byte, len(want))
	n, err := io.ReadFull(s.nc, b)
	if err != nil || string(b) != want {
		s.t.Errorf("the client wrote\n% x (%v), want\n% x", b[:n], err, want)
		if err := s.nc.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// send writes all of b. It may be called from any goroutine.
func (s *server) send(b string) {
	s.t.Helper()
	if _, err := io.WriteString(s.nc, b); err != nil {
		s.t.Errorf("write % x to the client: %v", b, err)
	}
}

// silent fails if the client writes anything for d.
func (s *server) silent(d time.Duration) {
	s.t.Helper()
	s.deadline(time.Now().Add(d))
	b := make([]byte, 64)
	if n, err := s.nc.Read(b); err == nil {
		s.t.Fatalf("the client wrote % x, want nothing for %v", b[:n], d)
	}
	s.deadline(time.Time{})
}

// gone reads until the client closes, and returns what came.
func (s *server) gone() string {
	s.t.Helper()
	b, err := io.ReadAll(s.nc)
	if err != nil {
		s.t.Fatalf("the client did not close: % x, %v", b, err)
	}
	return string(b)
}

func (s *server) deadline(at time.Time) {
	s.t.Helper()
	if err := s.nc.SetReadDeadline(at); err != nil {
		s.t.Fatal(err)
	}
}

const (
	connect4 = "\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01c"
	connack4 = "\x20\x02\x00\x00"
	present4 = "\x20\x02\x01\x00"
	connect5 = "\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x27\x00\x10\x00\x00\x00\x01c"
	connack5 = "\x20\x03\x00\x00\x00"
	present5 = "\x20\x03\x01\x00\x00"
)

// link connects a client "c" to a server that answers CONNECT with connack. Without a version it is 3.1.1.
func link(t *testing.T, s *mqtt.Session, cfg mqtt.Config, connack string) (*mqtt.Client, *server) {
	t.Helper()
	here, there := net.Pipe()
	srv := &server{t, there}
	cfg.ClientID = "c"
	if cfg.Version == 0 {
		cfg.Version = 4
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b := make([]byte, 1024)
		if _, err := there.Read(b); err != nil {
			t.Errorf("read CONNECT: %v", err)
		}
		if _, err := io.WriteString(there, connack); err != nil {
			t.Errorf("write CONNACK: %v", err)
		}
	}()
	c, _, err := mqtt.Connect(t.Context(), here, s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	<-answered
	return c, srv
}

// drop ends a client from our side and waits for it.
func drop(t *testing.T, c *mqtt.Client) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	<-c.Done()
}

func publish(t *testing.T, c *mqtt.Client, m mqtt.Message) *mqtt.Pending {
	t.Helper()
	p, err := c.Publish(t.Context(), m)
	if err != nil {
		t.Error(err)
	}
	return p
}

func isDone(p *mqtt.Pending) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}
