// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

// handshake plays a server that expects connect and answers with connack.
func handshake(t *testing.T, ctx context.Context, cfg mqtt.Config, connect, connack string) (*mqtt.Client, mqtt.Connack, error) {
	t.Helper()
	here, there := net.Pipe()
	go func() {
		b := make([]byte, len(connect))
		if n, err := io.ReadFull(there, b); connect != "" && (err != nil || string(b) != connect) {
			t.Errorf("the client wrote\n% x (%v), want\n% x", b[:n], err, connect)
		}
		if connack == "" {
			return
		}
		if _, err := io.WriteString(there, connack); err != nil {
			t.Errorf("write CONNACK: %v", err)
		}
		if _, err := io.Copy(io.Discard, there); err != nil {
			t.Errorf("read after CONNACK: %v", err)
		}
	}()
	return mqtt.Connect(ctx, here, nil, cfg)
}

func TestConnect(t *testing.T) {
	limits := mqtt.Connack{ClientID: "c", ReceiveMaximum: 65535, MaximumQoS: 2, RetainAvailable: true, MaximumPacketSize: 268435460}
	with := func(change func(*mqtt.Connack)) mqtt.Connack {
		a := limits
		change(&a)
		return a
	}
	will := &mqtt.Will{Message: mqtt.Message{Topic: "s", Payload: []byte("offline"), QoS: 1, Retain: true, Expiry: time.Minute}, Delay: 1500 * time.Millisecond}
	for _, c := range []struct {
		name             string
		cfg              mqtt.Config
		connect, connack string
		want             mqtt.Connack
	}{
		{"3.1.1", mqtt.Config{ClientID: "c", Version: 4}, connect4, connack4, limits},
		{
			"3.1.1 in full",
			mqtt.Config{ClientID: "c", Version: 4, Clean: true, KeepAlive: 1500 * time.Millisecond, Username: "u", Password: []byte("p"), Will: will},
			"\x10\x1f\x00\x04MQTT\x04\xee\x00\x02\x00\x01c\x00\x01s\x00\x07offline\x00\x01u\x00\x01p", connack4, with(func(a *mqtt.Connack) { a.KeepAlive = 2 * time.Second }),
		},
		{"session present", mqtt.Config{ClientID: "c", Version: 4}, connect4, present4, with(func(a *mqtt.Connack) { a.SessionPresent = true })},
		{"5", mqtt.Config{ClientID: "c", Version: 5}, connect5, connack5, limits},
		{
			"5 in full",
			mqtt.Config{ClientID: "c", Version: 5, SessionExpiry: time.Hour, ReceiveMaximum: 20, MaximumPacketSize: 1000, KeepAlive: time.Minute, Will: will},
			"\x10\x32\x00\x04MQTT\x05\x2c\x00\x3c\x0d\x11\x00\x00\x0e\x10\x21\x00\x14\x27\x00\x00\x03\xe8\x00\x01c\x0a\x02\x00\x00\x00\x3c\x18\x00\x00\x00\x02\x00\x01s\x00\x07offline",
			"\x20\x14\x00\x00\x11\x11\x00\x00\x00\x09\x13\x00\x05\x21\x00\x03\x24\x01\x25\x00\x2a\x00",
			mqtt.Connack{ClientID: "c", SessionExpiry: 9 * time.Second, KeepAlive: 5 * time.Second, ReceiveMaximum: 3, MaximumQoS: 1, NoShared: true, RetainAvailable: false, MaximumPacketSize: 268435460},
		},
		{
			"5, identifier assigned, packet size",
			mqtt.Config{Version: 5, KeepAlive: time.Second},
			"\x10\x12\x00\x04MQTT\x05\x00\x00\x01\x05\x27\x00\x10\x00\x00\x00\x00",
			"\x20\x0d\x00\x00\x0a\x12\x00\x02me\x27\x00\x00\x00\x64", with(func(a *mqtt.Connack) { a.ClientID, a.MaximumPacketSize, a.KeepAlive = "me", 100, time.Second }),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, ack, err := handshake(t, t.Context(), c.cfg, c.connect, c.connack)
				if err != nil || ack != c.want {
					t.Fatalf("got %+v, %v, want %+v", ack, err, c.want)
				}
				drop(t, cl)
				if cl.Err() != mqtt.ErrClosed {
					t.Errorf("ended with %v", cl.Err())
				}
			})
		})
	}
}

func TestConnectIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		version byte
		connack string
		code    byte
		text    string
	}{
		{"user or password", 4, "\x20\x02\x00\x04", 4, "connect: connection refused by the server: bad user name or password (CONNACK 4)"},
		{"reserved code", 4, "\x20\x02\x00\x80", 0x80, "connect: connection refused by the server: code 128 (CONNACK 128)"},
		{"5", 5, "\x20\x07\x00\x87\x04\x1f\x00\x01n", 0x87, `connect: connection refused by the server: not authorized (CONNACK 0x87): "n"`},
		{"5 at a server of 3.1.1", 5, "\x20\x02\x00\x01", 0x84, "connect: connection refused by the server: unsupported protocol version (CONNACK 0x84)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connect := connect4
				if c.version == 5 {
					connect = connect5
				}
				cl, ack, err := handshake(t, t.Context(), mqtt.Config{ClientID: "c", Version: c.version}, connect, c.connack)
				var refused *mqtt.RefusedError
				if cl != nil || !errors.As(err, &refused) || refused.Code != c.code || refused.Version != c.version || ack.Code != c.code || err.Error() != c.text {
					t.Errorf("got %+v, %q", ack, err)
				}
			})
		})
	}
}

func TestConnectFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     mqtt.Config
		connack string
		want    string
	}{
		{"not CONNACK first", mqtt.Config{}, "\x30\x03\x00\x01a", "type 3, not CONNACK"},
		{"malformed", mqtt.Config{}, "\x20\x02\x02\x00", "reserved connect acknowledge flags"},
		{"length", mqtt.Config{}, "\x20\xff\xff\xff\xff\x01", "remaining length"},
		{"claims more than we take", mqtt.Config{MaximumPacketSize: 100}, "\x20\xff\xff\xff\x7f", "longer than we take"},
		{"session where none was to be", mqtt.Config{Clean: true}, present4, "session although none"},
		{"silence", mqtt.Config{}, "", "no answer from the server in 10s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.ClientID, c.cfg.Version = "c", 4
				connect := connect4
				if c.cfg.Clean {
					connect = strings.Replace(connect4, "\x04\x00", "\x04\x02", 1)
				}
				_, _, err := handshake(t, t.Context(), c.cfg, connect, c.connack)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if c.connack == "" && !errors.Is(err, mqtt.ErrNoAnswer) {
					t.Errorf("%v is not ErrNoAnswer", err)
				}
			})
		})
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		_, _, err := handshake(t, ctx, mqtt.Config{ClientID: "c", Version: 4}, connect4, "")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Second {
			t.Errorf("after %v: %v", time.Since(before), err)
		}
	})
}

func TestConnectRefusesABadConfiguration(t *testing.T) {
	for name, cfg := range map[string]mqtt.Config{
		"version":                  {ClientID: "c", Version: 3},
		"no identifier, not clean": {Version: 4},
		"identifier":               {ClientID: "a\x00", Version: 4},
		"long identifier":          {ClientID: strings.Repeat("a", 65536), Version: 4},
		"user":                     {ClientID: "c", Version: 4, Username: "\xff"},
		"password without user":    {ClientID: "c", Version: 4, Password: []byte{}},
		"long password":            {ClientID: "c", Version: 5, Password: make([]byte, 65536)},
		"keep-alive":               {ClientID: "c", Version: 4, KeepAlive: 65536 * time.Second},
		"window":                   {ClientID: "c", Version: 4, Window: 65536},
		"will topic":               {ClientID: "c", Version: 4, Will: &mqtt.Will{Message: mqtt.Message{Topic: "a/#"}}},
		"will QoS":                 {ClientID: "c", Version: 4, Will: &mqtt.Will{Message: mqtt.Message{Topic: "a", QoS: 3}}},
	} {
		here, there := net.Pipe()
		if _, _, err := mqtt.Connect(t.Context(), here, nil, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := there.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection was not closed: %v", name, err)
		}
	}
}

func TestASessionServesOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		c, srv := link(t, s, mqtt.Config{}, connack4)
		here, there := net.Pipe()
		go func() {
			b := make([]byte, len(connect4))
			if _, err := io.ReadFull(there, b); err != nil {
				t.Error(err)
			}
			if _, err := io.WriteString(there, connack4); err != nil {
				t.Error(err)
			}
		}()
		if _, _, err := mqtt.Connect(t.Context(), here, s, mqtt.Config{ClientID: "c", Version: 4}); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second client: %v", err)
		}
		drop(t, c)
		srv.gone()
		c, _ = link(t, s, mqtt.Config{}, connack4)
		drop(t, c)
	})
}
