// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

func TestPublishBytesAndAnswers(t *testing.T) {
	for _, c := range []struct {
		name     string
		version  byte
		m        mqtt.Message
		exchange []string // the client's and the server's, by turns
		code     byte     // of the ReasonError
	}{
		{"QoS 0", 4, mqtt.Message{Topic: "t", Payload: []byte("x")}, []string{"\x30\x04\x00\x01tx"}, 0},
		{"QoS 0 of 5 with expiry", 5, mqtt.Message{Topic: "t", Payload: []byte("x"), Expiry: 1500 * time.Millisecond}, []string{"\x30\x0a\x00\x01t\x05\x02\x00\x00\x00\x02x"}, 0},
		{"expiry is of 5", 4, mqtt.Message{Topic: "t", Retain: true, Expiry: time.Second}, []string{"\x31\x03\x00\x01t"}, 0},
		{"QoS 1", 4, mqtt.Message{Topic: "t", Payload: []byte("x"), QoS: 1}, []string{"\x32\x06\x00\x01t\x00\x01x", "\x40\x02\x00\x01"}, 0},
		{"QoS 1 of 5, nobody listens", 5, mqtt.Message{Topic: "t", QoS: 1}, []string{"\x32\x06\x00\x01t\x00\x01\x00", "\x40\x03\x00\x01\x10"}, 0},
		{"QoS 1 of 5, refused", 5, mqtt.Message{Topic: "t", QoS: 1}, []string{"\x32\x06\x00\x01t\x00\x01\x00", "\x40\x03\x00\x01\x87"}, 0x87},
		{"QoS 2", 4, mqtt.Message{Topic: "t", QoS: 2, Retain: true}, []string{"\x35\x05\x00\x01t\x00\x01", "\x50\x02\x00\x01", "\x62\x02\x00\x01", "\x70\x02\x00\x01"}, 0},
		{"QoS 2, PUBREC twice", 4, mqtt.Message{Topic: "t", QoS: 2}, []string{"\x34\x05\x00\x01t\x00\x01", "\x50\x02\x00\x01", "\x62\x02\x00\x01", "\x50\x02\x00\x01", "\x62\x02\x00\x01", "\x70\x02\x00\x01"}, 0},
		{"QoS 2 of 5, refused", 5, mqtt.Message{Topic: "t", QoS: 2}, []string{"\x34\x06\x00\x01t\x00\x01\x00", "\x50\x03\x00\x01\x97"}, 0x97},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connack := connack4
				if c.version == 5 {
					connack = connack5
				}
				s := mqtt.NewSession()
				cl, srv := link(t, s, mqtt.Config{Version: c.version}, connack)
				p := publish(t, cl, c.m)
				for i, b := range c.exchange {
					if i%2 == 0 {
						srv.expect(b)
						continue
					}
					if isDone(p) || s.Unacknowledged() != 1 {
						t.Errorf("acknowledged before its time: %t, %d", isDone(p), s.Unacknowledged())
					}
					srv.send(b)
				}
				<-p.Done()
				var refused *mqtt.ReasonError
				if errors.As(p.Err(), &refused) != (c.code != 0) || c.code != 0 && refused.Code != c.code {
					t.Errorf("outcome %v", p.Err())
				}
				srv.silent(time.Second)
				if s.Unacknowledged() != 0 {
					t.Errorf("%d unacknowledged", s.Unacknowledged())
				}
				drop(t, cl)
			})
		})
	}
}

func TestPublishThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{Version: 5}, "\x20\x0c\x00\x00\x09\x24\x01\x25\x00\x27\x00\x00\x00\x14") // QoS 1, no retain, 20 bytes
		for name, m := range map[string]mqtt.Message{
			"wildcard":     {Topic: "a/+"},
			"empty topic":  {},
			"U+0000":       {Topic: "a\x00"},
			"QoS 3":        {Topic: "a", QoS: 3},
			"QoS 2":        {Topic: "a", QoS: 2},
			"retain":       {Topic: "a", Retain: true},
			"21 bytes":     {Topic: "a", Payload: make([]byte, 15)},
			"with expiry":  {Topic: "a", Payload: make([]byte, 10), Expiry: time.Second},
			"at QoS 1 too": {Topic: "a", QoS: 1, Payload: make([]byte, 13)},
		} {
			if _, err := c.Publish(t.Context(), m); !errors.Is(err, mqtt.ErrUnsendable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		srv.silent(time.Second)
		publish(t, c, mqtt.Message{Topic: "a", Payload: []byte("0123456789abcd")})
		srv.expect("\x30\x12\x00\x01a\x000123456789abcd")
		drop(t, c)
	})
}

func TestTheWindowBoundsWhatIsUnacknowledged(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     mqtt.Config
		connack string
	}{
		{"ours", mqtt.Config{Version: 5, Window: 2}, connack5},
		{"the server's Receive Maximum", mqtt.Config{Version: 5, Window: 9}, "\x20\x06\x00\x00\x03\x21\x00\x02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, srv := link(t, nil, c.cfg, c.connack)
				m := mqtt.Message{Topic: "t", QoS: 1}
				publish(t, cl, m)
				publish(t, cl, m)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := cl.Publish(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a third: %v", err)
				}
				// QoS 0 needs no place; those that wait come in the order of their calls.
				for _, topic := range []string{"a", "b", "c"} {
					go publish(t, cl, mqtt.Message{Topic: topic, QoS: 1})
					synctest.Wait()
				}
				srv.expect("\x32\x06\x00\x01t\x00\x01\x00\x32\x06\x00\x01t\x00\x02\x00")
				srv.silent(time.Second)
				srv.send("\x40\x02\x00\x02") // the second first
				srv.expect("\x32\x06\x00\x01a\x00\x03\x00")
				srv.silent(time.Second)
				srv.send("\x40\x02\x00\x01\x40\x02\x00\x03")
				srv.expect("\x32\x06\x00\x01b\x00\x04\x00\x32\x06\x00\x01c\x00\x05\x00")
				drop(t, cl)
			})
		})
	}
}

func TestAPublisherThatWaitsLearnsOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		c, srv := link(t, s, mqtt.Config{Window: 1}, connack4)
		first := publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := c.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: 1})
				ended <- err
			}()
		}
		srv.expect("\x32\x05\x00\x01t\x00\x01")
		synctest.Wait()
		if err := srv.nc.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; err == nil || !strings.Contains(err.Error(), "EOF") {
				t.Errorf("got %v", err)
			}
		}
		<-c.Done()
		if isDone(first) || first.Err() != nil || s.Unacknowledged() != 1 {
			t.Errorf("the first is settled: %v", first.Err())
		}
		if _, err := c.Publish(t.Context(), mqtt.Message{Topic: "t"}); err == nil {
			t.Error("published on an ended connection")
		}
	})
}

func TestThePayloadIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		c, srv := link(t, s, mqtt.Config{}, connack4)
		b := []byte("x")
		p := publish(t, c, mqtt.Message{Topic: "t", Payload: b, QoS: 1})
		b[0] = 'y'
		srv.expect("\x32\x06\x00\x01t\x00\x01x")
		drop(t, c)
		c, srv = link(t, s, mqtt.Config{}, present4)
		srv.expect("\x3a\x06\x00\x01t\x00\x01x")
		srv.send("\x40\x02\x00\x01")
		<-p.Done()
		drop(t, c)
	})
}

func TestPublishAs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		m := mqtt.Message{Topic: "t", QoS: 1}
		for _, bad := range []struct {
			id  uint16
			qos byte
		}{{0, 1}, {1, 0}} {
			if _, err := c.PublishAs(t.Context(), bad.id, mqtt.Message{Topic: "t", QoS: bad.qos}, false); err == nil {
				t.Errorf("identifier %d at QoS %d: accepted", bad.id, bad.qos)
			}
		}
		if _, err := c.PublishAs(t.Context(), 7, m, true); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PublishAs(t.Context(), 7, m, false); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("an identifier twice: %v", err)
		}
		srv.expect("\x3a\x05\x00\x01t\x00\x07")

		// An identifier that a SUBSCRIBE has is waited for.
		subscribed := make(chan error, 1)
		go func() {
			_, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "a"})
			subscribed <- err
		}()
		srv.expect("\x82\x06\xff\xff\x00\x01a\x00")
		go func() {
			if _, err := c.PublishAs(t.Context(), 65535, m, false); err != nil {
				t.Error(err)
			}
		}()
		srv.silent(time.Second)
		srv.send("\x90\x03\xff\xff\x00")
		srv.expect("\x32\x05\x00\x01t\xff\xff")
		if err := <-subscribed; err != nil {
			t.Error(err)
		}
		drop(t, c)
	})
}

func TestAnswersThatWereNotDue(t *testing.T) {
	for name, c := range map[string]struct {
		qos   byte
		bytes string
		ends  bool
	}{
		"PUBACK for QoS 2":               {2, "\x40\x02\x00\x01", true},
		"PUBREC for QoS 1":               {1, "\x50\x02\x00\x01", true},
		"PUBCOMP before PUBREC":          {2, "\x70\x02\x00\x01", true},
		"PUBACK for an unknown message":  {1, "\x40\x02\x00\x09", false},
		"PUBCOMP for an unknown message": {1, "\x70\x02\x00\x09", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := mqtt.NewSession()
				cl, srv := link(t, s, mqtt.Config{}, connack4)
				publish(t, cl, mqtt.Message{Topic: "t", QoS: c.qos})
				srv.expect(string([]byte{0x30 | c.qos<<1}) + "\x05\x00\x01t\x00\x01")
				srv.send(c.bytes)
				if c.ends {
					<-cl.Done()
				} else {
					srv.silent(time.Second)
					drop(t, cl)
				}
				if s.Unacknowledged() != 1 {
					t.Errorf("the message is taken as acknowledged")
				}
			})
		})
	}
}

func TestAPubrecOfNothingIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{Version: 5}, connack5)
		srv.send("\x50\x02\x00\x09")
		srv.expect("\x62\x03\x00\x09\x92")
		drop(t, c)
	})
}
