// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"edged/mqtt"
)

// patience is how long anything may take that mosquitto does at once.
const patience = 10 * time.Second

// mosquitto starts one on a free port of the loopback and returns its address.
func mosquitto(t *testing.T, config string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(file, []byte(fmt.Sprintf("listener %s 127.0.0.1\n%s\n", port, config)), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not in everybody's path
	}
	cmd := exec.Command(path, "-v", "-c", file)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("mosquitto is needed (apt-get install mosquitto): %v", err)
	}
	logged := make(chan string, 1)
	go func() {
		var last string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			last += lines.Text() + "\n"
		}
		logged <- last
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("kill mosquitto: %v", err)
		}
		log := <-logged
		if err := cmd.Wait(); err == nil {
			t.Error("mosquitto ended by itself")
		}
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", log)
		}
	})
	eventually(t, "mosquitto listens", func() bool {
		nc, err := net.Dial("tcp", addr)
		return err == nil && nc.Close() == nil
	})
	return addr
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// deaf is a connection that from some moment on brings nothing, while the peer goes on.
type deaf struct {
	net.Conn
	now  atomic.Bool
	gone chan struct{}
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.now.Load() {
		<-d.gone
		return 0, net.ErrClosed
	}
	return n, err
}

func (d *deaf) Close() error {
	close(d.gone)
	return d.Conn.Close()
}

func dial(t *testing.T, addr string, s *mqtt.Session, cfg mqtt.Config) (*mqtt.Client, mqtt.Connack, *deaf) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{Conn: nc, gone: make(chan struct{})}
	c, ack, err := mqtt.Connect(t.Context(), d, s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, ack, d
}

// listen subscribes a client of its own to "#" at QoS 2.
func listen(t *testing.T, addr string, version byte) inbox {
	t.Helper()
	in := make(inbox, 1000)
	c, _, _ := dial(t, addr, nil, mqtt.Config{ClientID: "listener", Version: version, Clean: true, OnMessage: in.put})
	if _, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "#", QoS: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Disconnect(context.Background()); err != nil {
			t.Errorf("listener: %v", err)
		}
	})
	return in
}

func (in inbox) next(t *testing.T) *mqtt.Delivery {
	t.Helper()
	select {
	case d := <-in:
		return d
	case <-time.After(patience):
		t.Fatalf("nothing was delivered within %v", patience)
		return nil
	}
}

func both(t *testing.T, f func(t *testing.T, version byte)) {
	for _, version := range []byte{4, 5} {
		t.Run(map[byte]string{4: "3.1.1", 5: "5"}[version], func(t *testing.T) { f(t, version) })
	}
}

func settled(t *testing.T, p *mqtt.Pending) {
	t.Helper()
	select {
	case <-p.Done():
		if p.Err() != nil {
			t.Error(p.Err())
		}
	case <-time.After(patience):
		t.Fatalf("not acknowledged within %v", patience)
	}
}

// Covers 4:7.0.0-1 5:7.0.0-1.
func TestMosquittoCarriesEveryQoSInOrder(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true\nmax_queued_messages 10000")
	both(t, func(t *testing.T, version byte) {
		in := listen(t, addr, version)
		c, ack, _ := dial(t, addr, nil, mqtt.Config{ClientID: "p", Version: version, Clean: true, KeepAlive: time.Minute, Window: 20})
		if ack.SessionPresent || version == 5 && ack.ReceiveMaximum != 20 {
			t.Errorf("CONNACK %+v", ack)
		}
		for qos := range byte(3) {
			var last *mqtt.Pending
			for i := range 300 {
				last = publish(t, c, mqtt.Message{Topic: "t/" + strconv.Itoa(int(qos)), Payload: []byte(strconv.Itoa(i)), QoS: qos})
			}
			for i := range 300 {
				if d := in.next(t); string(d.Payload) != strconv.Itoa(i) || d.QoS != qos || d.Dup || d.Retain {
					t.Fatalf("QoS %d: delivery %d is %s", qos, i, describe(d))
				}
			}
			settled(t, last)
		}
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMosquittoPublishesTheWill(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	both(t, func(t *testing.T, version byte) {
		in := listen(t, addr, version)
		cfg := mqtt.Config{ClientID: "w", Version: version, Clean: true, Will: &mqtt.Will{Message: mqtt.Message{Topic: "s", Payload: []byte("offline"), QoS: 1}}}
		c, _, _ := dial(t, addr, nil, cfg)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if d := in.next(t); d.Topic != "s" || string(d.Payload) != "offline" || d.QoS != 1 {
			t.Errorf("got %s", describe(d))
		}
		c, _, _ = dial(t, addr, nil, cfg)
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
		c, _, _ = dial(t, addr, nil, mqtt.Config{ClientID: "p", Version: version, Clean: true})
		publish(t, c, mqtt.Message{Topic: "after"})
		if d := in.next(t); d.Topic != "after" {
			t.Errorf("after an orderly end: got %s", describe(d))
		}
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The link goes deaf while messages are on their way: mosquitto has them, we do not know. On the next connection all are
// acknowledged; those of QoS 2 arrive once.
func TestMosquittoAfterACutConnection(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	both(t, func(t *testing.T, version byte) {
		in := listen(t, addr, version)
		s := mqtt.NewSession()
		cfg := mqtt.Config{ClientID: "cut-" + t.Name(), Version: version, SessionExpiry: time.Hour, Window: 10}
		c, ack, link := dial(t, addr, s, cfg)
		if ack.SessionPresent {
			t.Error("session present at first")
		}
		settled(t, publish(t, c, mqtt.Message{Topic: "t", Payload: []byte("first"), QoS: 2}))
		link.now.Store(true)
		var all []*mqtt.Pending
		for i := range 10 {
			all = append(all, publish(t, c, mqtt.Message{Topic: "t", Payload: []byte(strconv.Itoa(i)), QoS: byte(1 + i%2)}))
		}
		seen := map[string]int{}
		for seen["first"] == 0 || seen["8"] == 0 { // QoS 1 passes at once, QoS 2 waits for its PUBREL
			seen[string(in.next(t).Payload)]++
		}
		if s.Unacknowledged() != 10 {
			t.Errorf("%d are unacknowledged, want 10", s.Unacknowledged())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-c.Done()

		c, ack, _ = dial(t, addr, s, cfg)
		if !ack.SessionPresent {
			t.Error("the session is not present")
		}
		end := publish(t, c, mqtt.Message{Topic: "t", Payload: []byte("end"), QoS: 2})
		for _, p := range append(all, end) {
			settled(t, p)
		}
		for seen["end"] == 0 {
			seen[string(in.next(t).Payload)]++
		}
		for i := range 10 {
			if n := seen[strconv.Itoa(i)]; n == 0 || i%2 == 1 && n != 1 {
				t.Errorf("message %d at QoS %d arrived %d times", i, 1+i%2, n)
			}
		}
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What was not acknowledged comes again on the next connection, with DUP.
func TestMosquittoDeliversAgainWhatWasNotAcknowledged(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	both(t, func(t *testing.T, version byte) {
		for qos := byte(1); qos <= 2; qos++ {
			deliverAgain(t, addr, qos, mqtt.Config{ClientID: fmt.Sprint("m", version, qos), Version: version, SessionExpiry: time.Hour, ManualAck: true})
		}
	})
}

func deliverAgain(t *testing.T, addr string, qos byte, cfg mqtt.Config) {
	s := mqtt.NewSession()
	in := make(inbox, 100)
	cfg.OnMessage = in.put
	c, _, _ := dial(t, addr, s, cfg)
	if _, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: cfg.ClientID, QoS: qos}); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		publish(t, c, mqtt.Message{Topic: cfg.ClientID, Payload: []byte(strconv.Itoa(i)), QoS: qos})
	}
	for i := range 6 {
		if d := in.next(t); i < 2 {
			if err := d.Ack(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "u"}); err != nil { // so the acknowledgements were read
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-c.Done()
	c, ack, _ := dial(t, addr, s, cfg)
	if !ack.SessionPresent {
		t.Error("the session is not present")
	}
	for i := 2; i < 6; i++ {
		d := in.next(t)
		if string(d.Payload) != strconv.Itoa(i) || !d.Dup {
			t.Errorf("QoS %d, delivery %d: %s", qos, i, describe(d))
		}
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMosquittoRefuses(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous false")
	both(t, func(t *testing.T, version byte) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, ack, err := mqtt.Connect(t.Context(), nc, nil, mqtt.Config{ClientID: "x", Version: version})
		want := map[byte]byte{4: 5, 5: 0x87}[version]
		var refused *mqtt.RefusedError
		if !errors.As(err, &refused) || refused.Code != want || ack.Code != want {
			t.Errorf("got %+v, %v, want code %#x", ack, err, want)
		}
	})
}

// mosquitto 2.0.11 closes without a word, in MQTT 5 too.
func TestMosquittoTakesTheConnectionOver(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	both(t, func(t *testing.T, version byte) {
		cfg := mqtt.Config{ClientID: "one", Version: version, Clean: true}
		first, _, _ := dial(t, addr, nil, cfg)
		second, _, _ := dial(t, addr, nil, cfg)
		select {
		case <-first.Done():
		case <-time.After(patience):
			t.Fatal("the first client lives")
		}
		if err := first.Err(); err == nil || errors.Is(err, mqtt.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
		if err := second.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMosquittoAnswersPing(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	c, _, _ := dial(t, addr, nil, mqtt.Config{ClientID: "k", Version: 4, Clean: true})
	c.Ping()
	eventually(t, "PINGRESP", func() bool { return c.Progress().RoundTrip > 0 })
	if err := c.Unsubscribe(t.Context(), "never/subscribed"); err != nil {
		t.Error(err)
	}
	if err := c.Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
}
