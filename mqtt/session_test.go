// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

// leaveBehind publishes QoS 1, 2, 2 and 1 as identifiers 1 to 4; the third gets its PUBREC. Then the connection is cut.
func leaveBehind(t *testing.T, s *mqtt.Session) (all []*mqtt.Pending) {
	t.Helper()
	c, srv := link(t, s, mqtt.Config{}, connack4)
	for i, qos := range []byte{1, 2, 2, 1} {
		all = append(all, publish(t, c, mqtt.Message{Topic: "t", Payload: []byte{'a' + byte(i)}, QoS: qos}))
	}
	srv.expect("\x32\x06\x00\x01t\x00\x01a\x34\x06\x00\x01t\x00\x02b\x34\x06\x00\x01t\x00\x03c\x32\x06\x00\x01t\x00\x04d")
	srv.send("\x50\x02\x00\x03")
	srv.expect("\x62\x02\x00\x03")
	if err := srv.nc.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	return all
}

func TestResendWhenTheSessionIsPresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		all := leaveBehind(t, s)
		c, srv := link(t, s, mqtt.Config{}, present4)
		publish(t, c, mqtt.Message{Topic: "n", QoS: 1})
		srv.expect("\x3a\x06\x00\x01t\x00\x01a\x3c\x06\x00\x01t\x00\x02b\x62\x02\x00\x03\x3a\x06\x00\x01t\x00\x04d\x32\x05\x00\x01n\x00\x05")
		srv.send("\x40\x02\x00\x01\x50\x02\x00\x02\x70\x02\x00\x03\x40\x02\x00\x04")
		srv.expect("\x62\x02\x00\x02")
		srv.send("\x70\x02\x00\x02")
		for _, p := range all {
			<-p.Done()
		}
		drop(t, c)
	})
}

func TestResendWhenTheSessionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		all := leaveBehind(t, s)
		c, srv := link(t, s, mqtt.Config{}, connack4)
		srv.expect("\x32\x06\x00\x01t\x00\x05a\x34\x06\x00\x01t\x00\x06b\x34\x06\x00\x01t\x00\x07c\x32\x06\x00\x01t\x00\x08d")
		srv.send("\x40\x02\x00\x05\x40\x02\x00\x08\x50\x02\x00\x06\x50\x02\x00\x07")
		srv.expect("\x62\x02\x00\x06\x62\x02\x00\x07")
		srv.send("\x70\x02\x00\x06\x70\x02\x00\x07")
		for _, p := range all {
			<-p.Done()
		}
		drop(t, c)
	})
}

func TestAChosenIdentifierSurvivesALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		c, srv := link(t, s, mqtt.Config{}, connack4)
		if _, err := c.PublishAs(t.Context(), 77, mqtt.Message{Topic: "t", QoS: 1}, false); err != nil {
			t.Fatal(err)
		}
		srv.expect("\x32\x05\x00\x01t\x00\x4d")
		drop(t, c)
		c, srv = link(t, s, mqtt.Config{}, connack4)
		srv.expect("\x32\x05\x00\x01t\x00\x4d")
		drop(t, c)
	})
}

// The server's Receive Maximum has become 1: the rest waits, and a new message waits behind it, at QoS 0 too. PUBREL
// needs no place.
func TestResendKeepsToASmallerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		leaveBehind(t, s)
		c, srv := link(t, s, mqtt.Config{Version: 5}, "\x20\x06\x01\x00\x03\x21\x00\x01")
		go publish(t, c, mqtt.Message{Topic: "n"})
		srv.expect("\x3a\x07\x00\x01t\x00\x01\x00a")
		srv.silent(time.Second)
		srv.send("\x40\x02\x00\x01")
		srv.expect("\x3c\x07\x00\x01t\x00\x02\x00b\x62\x02\x00\x03")
		srv.silent(time.Second)
		srv.send("\x70\x02\x00\x03")
		srv.silent(time.Second)
		srv.send("\x50\x02\x00\x02")
		srv.expect("\x62\x02\x00\x02")
		srv.silent(time.Second)
		srv.send("\x70\x02\x00\x02")
		srv.expect("\x3a\x07\x00\x01t\x00\x04\x00d\x30\x04\x00\x01n\x00")
		drop(t, c)
	})
}

func TestAnAcknowledgementOfWhatIsNotOnTheWireDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		all := leaveBehind(t, s)
		c, srv := link(t, s, mqtt.Config{Window: 1}, present4)
		srv.expect("\x3a\x06\x00\x01t\x00\x01a")
		srv.send("\x40\x02\x00\x04")
		srv.silent(time.Second)
		if isDone(all[3]) || s.Unacknowledged() != 4 {
			t.Errorf("settled: %t, %d unacknowledged", isDone(all[3]), s.Unacknowledged())
		}
		drop(t, c)
	})
}

func TestResendLeavesOutWhatTheServerNoLongerTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		all := leaveBehind(t, s)
		c, srv := link(t, s, mqtt.Config{Version: 5}, "\x20\x05\x00\x00\x02\x24\x01") // QoS 1 at most, session lost
		srv.expect("\x32\x07\x00\x01t\x00\x05\x00a\x32\x07\x00\x01t\x00\x08\x00d")
		for i, p := range all {
			if i == 1 || i == 2 {
				if <-p.Done(); !errors.Is(p.Err(), mqtt.ErrUnsendable) {
					t.Errorf("message %d: %v", i, p.Err())
				}
			} else if isDone(p) {
				t.Errorf("message %d is settled: %v", i, p.Err())
			}
		}
		drop(t, c)
	})
}

// Expiry runs on while there is no connection, and a message that was sent once is sent again even when it is over.
func TestExpiryGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		c, srv := link(t, s, mqtt.Config{Version: 5}, connack5)
		publish(t, c, mqtt.Message{Topic: "t", QoS: 1, Expiry: 10 * time.Second})
		srv.expect("\x32\x0b\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x0a")
		drop(t, c)
		time.Sleep(4 * time.Second)
		c, srv = link(t, s, mqtt.Config{Version: 5}, present5)
		srv.expect("\x3a\x0b\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x06")
		drop(t, c)
		time.Sleep(time.Hour)
		c, srv = link(t, s, mqtt.Config{Version: 5}, present5)
		srv.expect("\x3a\x0b\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x01")
		drop(t, c)
	})
}

// Identifiers go round and leave out those in use.
func TestIdentifiersAreNotUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		p := publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		srv.expect("\x32\x05\x00\x01t\x00\x01")
		for id := 2; id <= 65535; id++ {
			publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
			srv.expect("\x32\x05\x00\x01t" + string([]byte{byte(id >> 8), byte(id)}))
			srv.send("\x40\x02" + string([]byte{byte(id >> 8), byte(id)}))
			synctest.Wait()
		}
		publish(t, c, mqtt.Message{Topic: "t", QoS: 1})
		srv.expect("\x32\x05\x00\x01t\x00\x02")
		srv.send("\x40\x02\x00\x01")
		<-p.Done()
		drop(t, c)
	})
}

func TestTheSessionIsFreeOnceDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		for i := range 5 {
			c, srv := link(t, s, mqtt.Config{}, connack4)
			if i%2 == 0 {
				drop(t, c)
				continue
			}
			if err := srv.nc.Close(); err != nil {
				t.Error(err)
			}
			<-c.Done()
			if err := c.Err(); err == nil || !strings.Contains(err.Error(), "EOF") {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestADeliveryThatWasHandedOverAsTheConnectionEndedIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		got := 0
		var c *mqtt.Client
		ended := mqtt.Config{OnMessage: func(*mqtt.Delivery) {
			got++
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}}
		var srv *server
		c, srv = link(t, s, ended, connack4)
		srv.send("\x34\x06\x00\x01t\x00\x07a")
		<-c.Done()
		again, srv := link(t, s, mqtt.Config{OnMessage: func(*mqtt.Delivery) { got++ }}, present4)
		srv.send("\x3c\x06\x00\x01t\x00\x07a")
		srv.expect("\x50\x02\x00\x07")
		srv.send("\x62\x02\x00\x07")
		srv.expect("\x70\x02\x00\x07")
		if got != 1 {
			t.Errorf("the application got the message %d times, want once", got)
		}
		drop(t, again)
	})
}
