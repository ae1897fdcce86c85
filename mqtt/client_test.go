// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

func TestDisconnect(t *testing.T) {
	for _, version := range []byte{4, 5} {
		synctest.Test(t, func(t *testing.T) {
			connack, disconnect := connack4, "\x30\x03\x00\x01t\xe0\x00"
			if version == 5 {
				connack, disconnect = connack5, "\x30\x04\x00\x01t\x00\xe0\x02\x00\x00"
			}
			seen := 0
			c, srv := link(t, nil, mqtt.Config{Version: version, OnMessage: func(*mqtt.Delivery) { seen++ }}, connack)
			publish(t, c, mqtt.Message{Topic: "t"})
			go func() {
				srv.expect(disconnect)
				srv.send("\x32\x05\x00\x01t\x00\x01"[:4]) // it was writing when it read that, and closes in its own time
				srv.send("\x01t\x00\x01"[:3])
				if err := srv.nc.Close(); err != nil {
					t.Error(err)
				}
			}()
			start := time.Now()
			if err := c.Disconnect(t.Context()); err != nil {
				t.Errorf("version %d: %v", version, err)
			}
			at(t, start, 0)
			if c.Err() != mqtt.ErrClosed || seen != 0 {
				t.Errorf("version %d: ended with %v, %d deliveries", version, c.Err(), seen)
			}
			if err := c.Disconnect(t.Context()); err != nil {
				t.Errorf("version %d: a second time: %v", version, err)
			}
			if _, err := c.Publish(t.Context(), mqtt.Message{Topic: "t"}); !errors.Is(err, mqtt.ErrClosed) {
				t.Errorf("version %d: publish after it: %v", version, err)
			}
		})
	}
}

func TestDisconnectFromAServerThat(t *testing.T) {
	t.Run("does not close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, srv := link(t, nil, mqtt.Config{}, connack4)
			go srv.expect("\xe0\x00")
			start := time.Now()
			if err := c.Disconnect(t.Context()); err != nil {
				t.Error(err)
			}
			at(t, start, time.Second)
		})
	})
	t.Run("does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := link(t, nil, mqtt.Config{}, connack4)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			start := time.Now()
			if err := c.Disconnect(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			at(t, start, 2*time.Second)
			<-c.Done()
		})
	})
	t.Run("has gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, srv := link(t, nil, mqtt.Config{}, connack4)
			if err := srv.nc.Close(); err != nil {
				t.Error(err)
			}
			<-c.Done()
			if err := c.Disconnect(t.Context()); err == nil || errors.Is(err, mqtt.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestTheServerSaysWhyItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{Version: 5}, connack5)
		srv.send("\xe0\x05\x8e\x03\x1f\x00\x00")
		srv.gone()
		<-c.Done()
		var said *mqtt.ReasonError
		if err := c.Err(); !errors.As(err, &said) || said.Code != 0x8e || err.Error() != "disconnected by the server: session taken over (0x8e)" {
			t.Errorf("ended with %v", err)
		}
	})
}

// The server says why and closes while we are writing: its word counts, not our failed write.
func TestTheServersReasonIsWorthMoreThanAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		srv := &server{t, there}
		go func() {
			b := make([]byte, 100)
			if _, err := there.Read(b); err != nil {
				t.Error(err)
			}
			srv.send(connack5)
		}()
		slow := &stuck{Conn: here, release: make(chan struct{})}
		c, _, err := mqtt.Connect(t.Context(), slow, nil, mqtt.Config{ClientID: "c", Version: 5})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, c, mqtt.Message{Topic: "t"})
		synctest.Wait() // the write has failed
		srv.send("\xe0\x01\x8e")
		<-c.Done()
		var said *mqtt.ReasonError
		if !errors.As(c.Err(), &said) || said.Code != 0x8e {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

// stuck is a connection whose second write fails.
type stuck struct {
	net.Conn
	writes  int
	release chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	if s.writes++; s.writes > 1 {
		return 0, errors.New("broken pipe")
	}
	return s.Conn.Write(b)
}

func TestHostileServer(t *testing.T) {
	for _, c := range []struct {
		name    string
		version byte
		bytes   string
		answer  string // DISCONNECT of 5
		err     string
	}{
		{"a packet of 256 MiB", 4, "\x30\xff\xff\xff\x7f", "", "longer than we take"},
		{"a packet of 256 MiB in 5", 5, "\x30\xff\xff\xff\x7f", "\xe0\x02\x95\x00", "longer than we take"},
		{"endless length", 4, "\x30\xff\xff\xff\xff", "", "remaining length"},
		{"type 0", 5, "\x00\x00", "\xe0\x02\x82\x00", "does not send"},
		{"a second CONNACK", 4, "\x20\x02\x00\x00", "", "out of place"},
		{"CONNECT", 4, "\x10\x00", "", "does not send"},
		{"SUBSCRIBE", 4, "\x82\x06\x00\x01\x00\x01a\x00", "", "does not send"},
		{"wildcard in a topic", 5, "\x30\x04\x00\x01+\x00", "\xe0\x02\x90\x00", "topic name"},
		{"surrogate in a topic", 5, "\x30\x06\x00\x03\xed\xa0\x80\x00", "\xe0\x02\x81\x00", "not UTF-8"},
		{"a topic alias", 5, "\x30\x07\x00\x01t\x03\x23\x00\x01", "\xe0\x02\x94\x00", "alias"},
		{"AUTH", 5, "\xf0\x06\x18\x04\x15\x00\x01m", "\xe0\x02\x82\x00", "out of place"},
		{"DISCONNECT of 3.1.1", 4, "\xe0\x00", "", "before MQTT 5"},
		{"an identifier in use", 4, "\x34\x05\x00\x01t\x00\x01\x62\x02\x00\x02\x34\x05\x00\x01t\x00\x02\x32\x05\x00\x01t\x00\x02", "\x50\x02\x00\x01\x70\x02\x00\x02\x50\x02\x00\x02", "in use"},
		{"half a packet", 4, "\x30\x05\x00", "", "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, srv := link(t, nil, mqtt.Config{Version: c.version}, map[byte]string{4: connack4, 5: connack5}[c.version])
				go func() {
					srv.send(c.bytes)
					if c.err == "EOF" {
						if err := srv.nc.Close(); err != nil {
							t.Error(err)
						}
					}
				}()
				if c.err != "EOF" {
					if got := srv.gone(); got != c.answer && !strings.HasPrefix(c.answer, got) {
						t.Errorf("the client wrote % x, want % x", got, c.answer)
					}
				}
				<-cl.Done()
				if err := cl.Err(); err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("ended with %v, want %q", err, c.err)
				}
			})
		})
	}
}

// One goroutine that reads and writes by turns, as a simple server does, and publishers at the other end of a pipe
// without any buffer.
func TestNoDeadlockOnAnUnbufferedPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		c, srv := link(t, nil, mqtt.Config{Window: 10, OnMessage: func(*mqtt.Delivery) { got++ }}, connack4)
		const publishers, each = 4, 200
		served := make(chan struct{})
		go func() {
			defer close(served)
			b := make([]byte, 9)
			for range publishers * each {
				for {
					if _, err := io.ReadFull(srv.nc, b[:4]); err != nil {
						t.Error(err)
						return
					}
					if b[0] == 0x32 {
						break
					} // else a PUBACK for what is sent below
				}
				if _, err := io.ReadFull(srv.nc, b[4:]); err != nil {
					t.Error(err)
					return
				}
				srv.send("\x40\x02" + string(b[5:7]))
				srv.send("\x32\x07\x00\x01t" + string(b[5:7]) + "xy")
			}
			for range publishers * each { // let the rest of the PUBACKs go
				srv.deadline(time.Now().Add(time.Second))
				if _, err := io.ReadFull(srv.nc, b[:4]); err != nil {
					return
				}
			}
		}()
		var all sync.WaitGroup
		for range publishers {
			all.Go(func() {
				for range each {
					publish(t, c, mqtt.Message{Topic: "t", Payload: []byte("ab"), QoS: 1})
				}
			})
		}
		all.Wait()
		<-served
		drop(t, c)
		if got != publishers*each {
			t.Errorf("%d deliveries, want %d", got, publishers*each)
		}
	})
}

func TestOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"cloud"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		here, there := net.Pipe()
		srv := &server{t, tls.Server(there, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})}
		served := make(chan struct{})
		go func() {
			defer close(served)
			srv.expect(connect4)
			srv.send(connack4)
			srv.expect("\x32\x05\x00\x01t\x00\x01")
			srv.send("\x40\x02\x00\x01")
			srv.expect("\xe0\x00")
			if err := srv.nc.Close(); err != nil {
				t.Error(err)
			}
		}()
		c, _, err := mqtt.Connect(t.Context(), tls.Client(here, &tls.Config{RootCAs: roots, ServerName: "cloud"}), nil, mqtt.Config{ClientID: "c", Version: 4})
		if err != nil {
			t.Fatal(err)
		}
		<-publish(t, c, mqtt.Message{Topic: "t", QoS: 1}).Done()
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
	})
}

func TestMatches(t *testing.T) {
	if !mqtt.Matches("edged/+/dev/+/set", "edged/gw/dev/air/set") || mqtt.Matches("#", "$SYS/a") {
		t.Error("filters do not match as they should")
	}
}
