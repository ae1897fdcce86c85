// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mosquitto is a broker that the project did not write; here it plays the cloud.
type mosquitto struct {
	*process
	port int
	conf string
}

func newMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	dir, err := os.MkdirTemp("", "mosquitto") // not t.TempDir: mosquitto leaves root for a user that can't enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m := &mosquitto{port: freePort(t), conf: filepath.Join(dir, "mosquitto.conf")}
	conf := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\n"+
		"persistence true\npersistence_location %s/\nlog_type error\nlog_type warning\n", m.port, dir)
	if err := os.WriteFile(m.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	return m
}

func (m *mosquitto) start(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
	}
	m.process = start(t, exec.Command(path, "-c", m.conf))
	eventually(t, 10*time.Second, "mosquitto answers", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// stop ends mosquitto in order, so that it keeps what it holds.
func (m *mosquitto) stop(t *testing.T) {
	t.Helper()
	m.signal(syscall.SIGTERM)
	m.wait(t, 10*time.Second)
}

// message is one that a subscriber got.
type message struct {
	topic, payload string
	retained       bool
	at             time.Time
}

// subscriber is a mosquitto_sub.
type subscriber struct {
	*process
	mu  sync.Mutex
	got []message
}

// subscribe starts mosquitto_sub at QoS 1 and waits until it has subscribed.
func subscribe(t *testing.T, port int, id, filter string, options ...string) *subscriber {
	t.Helper()
	return subscribeWithin(t, 10*time.Second, port, id, filter, options...)
}

func subscribeWithin(t *testing.T, d time.Duration, port int, id, filter string, options ...string) *subscriber {
	t.Helper()
	s := &subscriber{}
	ready := "e2e/ready/" + id
	args := []string{"-h", "127.0.0.1", "-p", fmt.Sprint(port), "-q", "1", "-i", id, "-F", "%r %t %p", "-t", ready, "-t", filter}
	cmd := exec.Command("mosquitto_sub", append(args, options...)...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	s.process = start(t, cmd)
	closed(t, w.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(r)
	}()
	t.Cleanup(func() {
		s.kill()
		<-read
		closed(t, r.Close())
	})
	eventually(t, d, "mosquitto_sub has subscribed", func() bool {
		publish(t, port, ready, "x")
		return len(s.on(ready)) > 0
	})
	return s
}

func (s *subscriber) read(r *os.File) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.SplitN(lines.Text(), " ", 3)
		if len(f) == 3 {
			s.mu.Lock()
			s.got = append(s.got, message{topic: f[1], payload: f[2], retained: f[0] == "1", at: time.Now()})
			s.mu.Unlock()
		}
	}
}

// on returns what came on one topic, in order.
func (s *subscriber) on(topic string) []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var some []message
	for _, m := range s.got {
		if m.topic == topic {
			some = append(some, m)
		}
	}
	return some
}

// last returns the newest payload of a topic.
func (s *subscriber) last(topic string) string {
	all := s.on(topic)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].payload
}

// publish sends one message with mosquitto_pub.
func publish(t *testing.T, port int, topic, payload string, more ...string) {
	t.Helper()
	args := append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(port), "-q", "1", "-t", topic, "-m", payload}, more...)
	if out, err := exec.Command("mosquitto_pub", args...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v\n%s", err, out)
	}
}

// datum is what the tests look at in a device's data.
type datum struct {
	Time time.Time `json:"time"`
	Seq  uint64    `json:"seq"`
	N    *int      `json:"n"`
	PM25 *float64  `json:"pm25"`
	T    *float64  `json:"t"`
}

func data(t *testing.T, m message) datum {
	t.Helper()
	var d datum
	if err := json.Unmarshal([]byte(m.payload), &d); err != nil {
		t.Fatalf("%s: %q: %v", m.topic, m.payload, err)
	}
	return d
}
