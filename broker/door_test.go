// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

// connectOf is a CONNECT of bytes: the protocol's name and level, flags, and what follows the keep-alive.
func connectOf(name string, level, flags byte, rest string) []byte {
	body := string([]byte{0, byte(len(name))}) + name + string([]byte{level, flags, 0, 60}) + rest
	return append(wire.AppendLength([]byte{wire.Connect << 4}, len(body)), body...)
}

// Covers 4:3.1.2-2 4:3.1.3-8 4:3.1.3-9 4:3.2.2-4 4:3.2.2-5 5:3.1.2-2 5:3.1.3-8 5:3.1.4-2 5:3.2.2-6 5:3.2.2-7
// 5:3.2.2-8 5:3.14.0-1 5:4.12.0-1 5:4.12.0-4 5:4.13.2-1.
func TestConnackCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Clients = 1 })
	holder := s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "one"}, false)
	for _, c := range []struct {
		name string
		send []byte
		want string // the CONNACK, "" for none
	}{
		{"level 6", connectOf("MQTT", 6, 2, "\x00\x01a"), "\x20\x02\x00\x01"},
		{"level 0", connectOf("MQTT", 0, 2, "\x00\x01a"), "\x20\x02\x00\x01"},
		{"3.1 with the name of 3.1.1", connectOf("MQTT", 3, 2, "\x00\x01a"), "\x20\x02\x00\x01"},
		{"no ClientId for a session that is to be kept", connectOf("MQTT", 4, 0, "\x00\x00"), "\x20\x02\x00\x02"},
		{"no ClientId in 3.1", connectOf("MQIsdp", 3, 2, "\x00\x00"), "\x20\x02\x00\x02"},
		{"too many clients", connectOf("MQTT", 4, 2, "\x00\x01a"), "\x20\x02\x00\x03"},
		{"too many clients, MQTT 5", connectOf("MQTT", 5, 2, "\x00\x00\x01a"), "\x20\x03\x00\x89\x00"},
		{"a ClientId of ours", connectOf("MQTT", 4, 2, "\x00\x0cedged-uplink"), "\x20\x02\x00\x05"},
		{"a ClientId of ours, MQTT 5", connectOf("MQTT", 5, 2, "\x00\x00\x0cedged-uplink"), "\x20\x03\x00\x87\x00"},
		{"enhanced authentication", connectOf("MQTT", 5, 2, "\x04\x15\x00\x01x\x00\x01a"), "\x20\x03\x00\x8c\x00"},
		{"another protocol", connectOf("HTTP", 4, 2, "\x00\x01a"), ""},
		{"reserved flag", connectOf("MQTT", 4, 3, "\x00\x01a"), ""},
	} {
		p := s.dial()
		p.send(c.send)
		var got []byte
		buf := make([]byte, 100)
		for {
			if err := p.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			n, err := p.nc.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: not closed", c.name)
				}
				break
			}
		}
		if string(got) != c.want {
			t.Errorf("%s: got % x, want % x", c.name, got, c.want)
		}
	}
	holder.quiet()
	s.clean("one") // taking over needs no place
}

// A client identifier of ours stays with whoever holds it.
func TestOursAreNotTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	nc, err := s.Dial(broker.Identity{ClientID: "edged-dev-air", Publish: []string{"d/#"}})
	if err != nil {
		t.Fatal(err)
	}
	ours := newPeer(t, nc)
	ours.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "edged-dev-air"})
	thief := s.dial()
	if ack := thief.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "edged-dev-air"}); ack.Code != wire.NotAuthorized {
		t.Errorf("code 0x%02x", ack.Code)
	}
	ours.quiet()
	nc, err = s.Dial(broker.Identity{ClientID: "edged-dev-air"})
	if err != nil {
		t.Fatal(err)
	}
	other := newPeer(t, nc)
	if ack := other.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "edged-dev-water"}); ack.Code != wire.NotAuthorized {
		t.Errorf("another's identifier from inside: code 0x%02x", ack.Code)
	}
}

func TestConnackOfMQTT5TellsTheLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.SessionExpiry = time.Hour })
	c := s.dial()
	ack := c.connect(wire.ConnectPacket{Level: 5, SessionExpiry: 1 << 31})
	if !strings.HasPrefix(ack.AssignedClientID, "auto-") || ack.MaximumPacketSize != 256<<10 || ack.TopicAliasMaximum == 0 ||
		ack.ReceiveMaximum == 0 || ack.SessionExpiry == nil || *ack.SessionExpiry != 3600 {
		t.Errorf("got %+v", ack)
	}
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.ConnectTimeout = 200 * time.Millisecond })
	silent, slow := s.dial(), s.dial()
	slow.send([]byte{0x10})
	for _, c := range []*peer{silent, slow} {
		if reason := c.wantEnd(); reason != 0 {
			t.Errorf("reason 0x%02x", reason)
		}
	}
	c := s.clean("c")
	if _, _, err := c.packet(400 * time.Millisecond); isEnd(err) {
		t.Error("the deadline of CONNECT ended a client that had connected")
	}
}

// When connections that say nothing crowd the door for long, the oldest go; one that has connected stays.
func TestCrowdAtTheDoor(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.cfg.Limits.Preauth, s.cfg.Limits.ConnectTimeout = 5, time.Minute })
	good := s.clean("good")
	var silent []*peer
	for range 30 {
		silent = append(silent, s.dial())
	}
	for _, c := range silent[:25] {
		c.wantEnd()
	}
	for _, c := range silent[25:] {
		c.connect(wire.ConnectPacket{Level: 4, Clean: true})
	}
	good.quiet()
}

func TestManyConnectsOfOneClientLeaveOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, p := range []wire.ConnectPacket{{Level: 4, Clean: true, ClientID: "same"}, {Level: 4, ClientID: "kept"}} {
		var wg sync.WaitGroup
		peers := make([]*peer, 200)
		for i := range peers {
			peers[i] = s.dial()
		}
		for _, c := range peers {
			wg.Go(func() { c.send(wire.AppendConnect(nil, &p)) })
		}
		wg.Wait()
		for _, c := range peers {
			if h, body, err := c.packet(patience); err != nil || h>>4 != wire.Connack || body[1] != 0 {
				t.Fatalf("first packet %x % x, %v", h, body, err)
			}
		}
		eventually(t, "exactly one is connected", func() bool { return s.Status().Clients == 1 })
		alive := 0
		for _, c := range peers {
			if _, _, err := c.packet(100 * time.Millisecond); !isEnd(err) {
				alive++
				c.quiet()
			}
			c.drop()
		}
		if alive != 1 {
			t.Errorf("%d are alive", alive)
		}
		eventually(t, "none is connected", func() bool { return s.Status().Clients == 0 })
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	cfg := broker.Defaults()
	cfg.Listen = []string{"127.0.0.1:0", s.addr}
	b, err := broker.Open(cfg, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.Listen(t.Context())
	if !errors.Is(err, broker.ErrAddressInUse) || !strings.Contains(err.Error(), s.addr) || !strings.Contains(err.Error(), "E401") {
		t.Errorf("got %v", err)
	}
	if n := len(b.Addrs()); n != 0 {
		t.Errorf("%d listeners are left", n)
	}
}

// No goroutine, descriptor or session is left of connections, however they end.
func TestNothingIsLeftOfConnections(t *testing.T) {
	s := newSite(t, nil)
	round := func(n int) {
		for i := range n {
			c := s.dial()
			switch i % 4 {
			case 0:
				c.drop()
				continue
			case 1:
				c.send([]byte("nonsense"))
				c.drop()
				continue
			}
			c.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "c", Will: will("w", "x", 0, false)})
			c.subscribe(1, 1, "#")
			if i%4 == 2 {
				c.disconnect()
			} else {
				c.reset()
			}
		}
		eventually(t, "all have gone", func() bool { st := s.Status(); return st.Clients == 0 && st.Sessions == 0 })
	}
	round(100)
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	round(1000)
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= files+2 })
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Who comes while there are no descriptors is served when there are again, within a second.
func TestAcceptSurvivesLackOfDescriptors(t *testing.T) {
	failed := make(chan struct{}, 1)
	s := newSite(t, func(s *site) {
		s.log = slog.New(slog.NewTextHandler(writeFunc(func(p []byte) {
			if bytes.Contains(p, []byte("could not be accepted")) {
				failed <- struct{}{}
			}
		}), nil))
	})
	early, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0) // the only one that does not fail below
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(early) //nolint:errcheck // it holds nothing
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = uint64(descriptors(t) + 20)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var held []*os.File
	for f, err := os.Open(os.DevNull); err == nil; f, err = os.Open(os.DevNull) {
		held = append(held, f)
	}
	at := s.Addrs()[0].(*net.TCPAddr)
	err = syscall.Connect(early, &syscall.SockaddrInet4{Port: at.Port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		select {
		case <-failed:
		case <-time.After(patience):
			err = errors.New("nothing failed to be accepted")
		}
	}
	for _, f := range held {
		f.Close() //nolint:errcheck // it holds nothing
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.clean("after").quiet()
	if took := time.Since(start); took > time.Second {
		t.Errorf("a client waited %v", took)
	}
}

// writeFunc is an [io.Writer].
type writeFunc func(p []byte)

func (f writeFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestStopSaysGoodbye(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	five, four := s.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "5"}, false), s.clean("4")
	s.dial() // says nothing
	s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "w", Will: will("last", "words", 0, false)}, false)
	five.subscribe(1, 0, "last")
	s.stop()
	five.wantPayload("words")
	if reason := five.wantEnd(); reason != wire.ServerShuttingDown {
		t.Errorf("reason 0x%02x", reason)
	}
	if _, body, err := four.packet(patience); !isEnd(err) {
		t.Errorf("3.1.1 got % x", body)
	}
	if _, err := s.Dial(broker.Identity{}); !errors.Is(err, broker.ErrStopping) {
		t.Errorf("dial after the stop: %v", err)
	}
}
