// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

// inbox collects deliveries.
type inbox chan *mqtt.Delivery

func (in inbox) put(d *mqtt.Delivery) { in <- d }

func TestDeliveries(t *testing.T) {
	for _, c := range []struct {
		name           string
		version        byte
		bytes, answers string
		want           []string // what the application sees
	}{
		{"QoS 0", 4, "\x31\x04\x00\x01tx", "", []string{`t "x" QoS 0 retained`}},
		{"QoS 1", 4, "\x32\x06\x00\x01t\x00\x07x", "\x40\x02\x00\x07", []string{`t "x" QoS 1`}},
		{"QoS 1, repeated after its acknowledgement", 4, "\x32\x05\x00\x01t\x00\x07\x3a\x05\x00\x01t\x00\x07", "\x40\x02\x00\x07\x40\x02\x00\x07", []string{`t "" QoS 1`, `t "" QoS 1 dup`}},
		{"QoS 2", 4, "\x34\x05\x00\x01t\x00\x07\x62\x02\x00\x07", "\x50\x02\x00\x07\x70\x02\x00\x07", []string{`t "" QoS 2`}},
		{
			"QoS 2, repeated", 4, "\x34\x05\x00\x01t\x00\x07\x3c\x05\x00\x01t\x00\x07\x62\x02\x00\x07\x62\x02\x00\x07",
			"\x50\x02\x00\x07\x50\x02\x00\x07\x70\x02\x00\x07\x70\x02\x00\x07",
			[]string{`t "" QoS 2`},
		},
		{"QoS 2, the identifier again", 4, "\x34\x05\x00\x01t\x00\x07\x62\x02\x00\x07\x34\x05\x00\x01u\x00\x07", "\x50\x02\x00\x07\x70\x02\x00\x07\x50\x02\x00\x07", []string{`t "" QoS 2`, `u "" QoS 2`}},
		{"PUBREL of nothing in 5", 5, "\x62\x02\x00\x07", "\x70\x03\x00\x07\x92", nil},
		{"properties of 5", 5, "\x30\x0e\x00\x01t\x09\x02\x00\x00\x00\x09\x0b\x01\x0b\x02x", "", []string{`t "x" QoS 0 9s [1 2]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connack := connack4
				if c.version == 5 {
					connack = connack5
				}
				var got []string
				cl, srv := link(t, nil, mqtt.Config{Version: c.version, OnMessage: func(d *mqtt.Delivery) { got = append(got, describe(d)) }}, connack)
				srv.send(c.bytes)
				srv.expect(c.answers)
				srv.silent(time.Second)
				drop(t, cl)
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

func describe(d *mqtt.Delivery) string {
	s := fmt.Sprintf("%s %q QoS %d", d.Topic, d.Payload, d.QoS)
	if d.Retain {
		s += " retained"
	}
	if d.Dup {
		s += " dup"
	}
	if d.Expiry > 0 {
		s += " " + d.Expiry.String()
	}
	if len(d.SubIDs) > 0 {
		s += fmt.Sprint(" ", d.SubIDs)
	}
	return s
}

func TestManualAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(inbox, 9)
		c, srv := link(t, nil, mqtt.Config{ManualAck: true, OnMessage: in.put}, connack4)
		srv.send("\x32\x05\x00\x01t\x00\x01\x34\x05\x00\x01t\x00\x02\x32\x05\x00\x01t\x00\x03\x30\x03\x00\x01t")
		first, second, third, fourth := <-in, <-in, <-in, <-in
		srv.silent(time.Second)
		srv.send("\x3a\x05\x00\x01t\x00\x01\x3c\x05\x00\x01t\x00\x02") // an impatient server; they are still with us
		srv.silent(time.Second)
		for _, d := range []*mqtt.Delivery{third, second, first, first, fourth} {
			if err := d.Ack(); err != nil {
				t.Error(err)
			}
		}
		srv.expect("\x40\x02\x00\x03\x50\x02\x00\x02\x40\x02\x00\x01")
		srv.silent(time.Second)
		srv.send("\x62\x02\x00\x02")
		srv.expect("\x70\x02\x00\x02")
		if len(in) != 0 {
			t.Errorf("%d deliveries too many", len(in))
		}
		drop(t, c)
	})
}

func TestAckAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		in := make(inbox, 9)
		cfg := mqtt.Config{ManualAck: true, OnMessage: in.put}
		c, srv := link(t, s, cfg, connack4)
		srv.send("\x32\x05\x00\x01t\x00\x01\x34\x05\x00\x01t\x00\x02\x34\x05\x00\x01t\x00\x03")
		one, two, three := <-in, <-in, <-in
		if err := three.Ack(); err != nil { // taken: shall not come again
			t.Error(err)
		}
		srv.expect("\x50\x02\x00\x03")
		if err := srv.nc.Close(); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		for _, d := range []*mqtt.Delivery{one, two} {
			if err := d.Ack(); err == nil {
				t.Error("Ack after the end: no error")
			}
		}
		c, srv = link(t, s, cfg, present4)
		srv.send("\x3a\x05\x00\x01t\x00\x01\x3c\x05\x00\x01t\x00\x02\x3c\x05\x00\x01t\x00\x03")
		srv.expect("\x50\x02\x00\x03")
		if err := one.Ack(); err == nil {
			t.Error("the old delivery was acknowledged on the new connection")
		}
		one, two = <-in, <-in
		if len(in) != 0 || !one.Dup || one.ID != 1 || two.ID != 2 {
			t.Errorf("delivered again: %+v, %+v and %d more", one, two, len(in))
		}
		srv.silent(time.Second)
		if err := errors.Join(one.Ack(), two.Ack()); err != nil {
			t.Error(err)
		}
		srv.expect("\x40\x02\x00\x01\x50\x02\x00\x02")
		drop(t, c)

		c, srv = link(t, s, cfg, connack4) // the server lost the session: its identifiers are new ones
		srv.send("\x34\x05\x00\x01t\x00\x03")
		if d := <-in; d.ID != 3 {
			t.Errorf("got %+v", d)
		}
		drop(t, c)
	})
}

func TestMoreDeliveriesThanReceiveMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(inbox, 9)
		c, srv := link(t, nil, mqtt.Config{Version: 5, ReceiveMaximum: 2, ManualAck: true, OnMessage: in.put}, connack5)
		srv.send("\x32\x06\x00\x01t\x00\x01\x00\x34\x06\x00\x01t\x00\x02\x00")
		if err := (<-in).Ack(); err != nil {
			t.Error(err)
		}
		srv.expect("\x40\x02\x00\x01")
		srv.send("\x34\x06\x00\x01t\x00\x03\x00") // two of QoS 2: PUBREC does not give the place back
		if err := (<-in).Ack(); err != nil {
			t.Error(err)
		}
		srv.expect("\x50\x02\x00\x02")
		srv.send("\x32\x06\x00\x01t\x00\x04\x00")
		srv.expect("\xe0\x02\x93\x00")
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "more deliveries than we take (0x93)") {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAnswersToOneReadGoOutInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		srv.send("\x32\x05\x00\x01t\x00\x01\x32\x05\x00\x01t\x00\x02\x34\x05\x00\x01t\x00\x03")
		b := make([]byte, 100)
		n, err := srv.nc.Read(b) // a pipe gives what one Write has
		if want := "\x40\x02\x00\x01\x40\x02\x00\x02\x50\x02\x00\x03"; err != nil || string(b[:n]) != want {
			t.Errorf("the first write was % x, %v, want % x", b[:n], err, want)
		}
		drop(t, c)
	})
}

func TestPublishesOfOneMomentGoOutInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		publish(t, c, mqtt.Message{Topic: "a"})
		synctest.Wait() // the writer is at the first, nobody reads
		publish(t, c, mqtt.Message{Topic: "b"})
		publish(t, c, mqtt.Message{Topic: "c"})
		srv.expect("\x30\x03\x00\x01a")
		b := make([]byte, 100)
		n, err := srv.nc.Read(b)
		if want := "\x30\x03\x00\x01b\x30\x03\x00\x01c"; err != nil || string(b[:n]) != want {
			t.Errorf("the second write was % x, %v, want % x", b[:n], err, want)
		}
		drop(t, c)
	})
}

func TestAPanicInOnMessageEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{OnMessage: func(*mqtt.Delivery) { panic("driver") }}, connack4)
		srv.send("\x32\x05\x00\x01t\x00\x01")
		if got := srv.gone(); got != "" {
			t.Errorf("the client wrote % x", got)
		}
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "panic in OnMessage: driver") || !strings.Contains(err.Error(), "deliver_test.go") {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestCloseAndPublishWithinOnMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *mqtt.Client
		ready := make(chan struct{})
		c, srv := link(t, nil, mqtt.Config{OnMessage: func(*mqtt.Delivery) {
			<-ready
			publish(t, c, mqtt.Message{Topic: "a"})
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}}, connack4)
		close(ready)
		srv.send("\x30\x03\x00\x01t")
		<-c.Done()
		if c.Err() != mqtt.ErrClosed {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

// A server that reads nothing but has much to be answered is held, then cut off; it does not fill our memory.
func TestAServerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		taken := 0
		for {
			n, err := io.WriteString(srv.nc, strings.Repeat("\x50\x02\x00\x09", 1000))
			if taken += n; err != nil {
				break
			}
		}
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "write to the server") {
			t.Errorf("ended with %v", err)
		}
		if taken > 256<<10 {
			t.Errorf("%d bytes were taken", taken)
		}
	})
}
