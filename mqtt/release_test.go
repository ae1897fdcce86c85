// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
)

func TestAReleaseThatWaits(t *testing.T) {
	const (
		first, again   = "\x34\x05\x00\x01t\x00\x09", "\x3c\x05\x00\x01t\x00\x09"
		pubrec, pubrel = "\x50\x02\x00\x09", "\x62\x02\x00\x09"
		pubcomp        = "\x70\x02\x00\x09"
		connack        = connack4
	)
	isTaken := func(p *mqtt.Pending) bool {
		select {
		case <-p.Taken():
			return true
		default:
			return false
		}
	}
	cfg := mqtt.Config{ManualRelease: true, PingAfter: time.Hour}
	begin := func(t *testing.T, s *mqtt.Session) (*mqtt.Client, *server, *mqtt.Pending) {
		c, srv := link(t, s, cfg, connack)
		p, err := c.PublishAs(t.Context(), 9, mqtt.Message{Topic: "t", QoS: 2}, false)
		if err != nil {
			t.Fatal(err)
		}
		srv.expect(first)
		return c, srv, p
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, s *mqtt.Session)
	}{
		{"until the caller has noted it", func(t *testing.T, s *mqtt.Session) {
			c, srv, p := begin(t, s)
			if isTaken(p) {
				t.Error("taken before PUBREC")
			}
			srv.send(pubrec)
			srv.silent(time.Minute)
			if !isTaken(p) || isDone(p) || !c.Progress().OldestUnacked.IsZero() {
				t.Error("PUBREC came: it is taken, not done, and the server owes nothing")
			}
			p.Release()
			srv.expect(pubrel)
			srv.send(pubcomp)
			<-p.Done()
			drop(t, c)
		}},
		{"which comes before PUBREC", func(t *testing.T, s *mqtt.Session) {
			c, srv, p := begin(t, s)
			p.Release()
			srv.silent(time.Minute)
			srv.send(pubrec)
			srv.expect(pubrel)
			drop(t, c)
		}},
		{"over a connection", func(t *testing.T, s *mqtt.Session) {
			c, srv, p := begin(t, s)
			srv.send(pubrec)
			<-p.Taken()
			drop(t, c)
			c, srv = link(t, s, cfg, present4)
			srv.silent(time.Minute)
			p.Release()
			srv.expect(pubrel)
			srv.send(pubcomp)
			<-p.Done()
			drop(t, c)
		}},
		{"between connections", func(t *testing.T, s *mqtt.Session) {
			c, srv, p := begin(t, s)
			srv.send(pubrec)
			<-p.Taken()
			drop(t, c)
			p.Release()
			c, srv = link(t, s, cfg, present4)
			srv.expect(pubrel)
			drop(t, c)
		}},
		{"of a server that forgot it", func(t *testing.T, s *mqtt.Session) {
			c, srv, p := begin(t, s)
			srv.send(pubrec)
			<-p.Taken()
			drop(t, c)
			c, srv = link(t, s, cfg, connack4)
			srv.expect(first)
			srv.send(pubrec)
			srv.silent(time.Minute)
			p.Release()
			srv.expect(pubrel)
			drop(t, c)
		}},
		{"of a message that was cut off", func(t *testing.T, s *mqtt.Session) {
			c, _, p := begin(t, s)
			drop(t, c)
			c, srv := link(t, s, cfg, present4)
			srv.expect(again)
			srv.send(pubrec + pubrec)
			srv.silent(time.Minute)
			p.Release()
			srv.expect(pubrel)
			drop(t, c)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.do(t, mqtt.NewSession()) })
		})
	}
}
