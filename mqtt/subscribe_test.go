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

func TestSubscribe(t *testing.T) {
	for _, c := range []struct {
		name            string
		version         byte
		id              uint32
		subs            []mqtt.Subscription
		request, answer string
		codes           string
		refused         byte
	}{
		{
			"3.1.1", 4, 9,
			[]mqtt.Subscription{{Filter: "a/#", QoS: 1, NoLocal: true}, {Filter: "b", QoS: 2}},
			"\x82\x0c\xff\xff\x00\x03a/#\x01\x00\x01b\x02", "\x90\x04\xff\xff\x01\x00", "\x01\x00", 0,
		},
		{
			"5", 5, 300,
			[]mqtt.Subscription{{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 1}},
			"\x82\x0a\xff\xff\x03\x0b\xac\x02\x00\x01a\x1d", "\x90\x04\xff\xff\x00\x01", "\x01", 0,
		},
		{"one refused", 4, 0, []mqtt.Subscription{{Filter: "a"}, {Filter: "b"}}, "\x82\x0a\xff\xff\x00\x01a\x00\x00\x01b\x00", "\x90\x04\xff\xff\x00\x80", "\x00\x80", 0x80},
		{"refused in 5", 5, 0, []mqtt.Subscription{{Filter: "a"}}, "\x82\x07\xff\xff\x00\x00\x01a\x00", "\x90\x04\xff\xff\x00\x87", "\x87", 0x87},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connack := connack4
				if c.version == 5 {
					connack = connack5
				}
				cl, srv := link(t, nil, mqtt.Config{Version: c.version}, connack)
				go func() {
					srv.expect(c.request)
					srv.send(c.answer)
				}()
				codes, err := cl.Subscribe(t.Context(), c.id, c.subs...)
				var refused *mqtt.ReasonError
				if string(codes) != c.codes || errors.As(err, &refused) != (c.refused > 0) || c.refused > 0 && refused.Code != c.refused {
					t.Errorf("got % x, %v", codes, err)
				}
				drop(t, cl)
			})
		})
	}
}

func TestUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{Version: 5}, connack5)
		go func() {
			srv.expect("\xa2\x08\xff\xff\x00\x00\x03a/#")
			srv.send("\xb0\x04\xff\xff\x00\x11")
			srv.expect("\xa2\x06\xff\xfe\x00\x00\x01b")
			srv.send("\xb0\x04\xff\xfe\x00\x87")
		}()
		if err := c.Unsubscribe(t.Context(), "a/#"); err != nil {
			t.Error(err)
		}
		if err := c.Unsubscribe(t.Context(), "b"); err == nil || err.Error() != `UNSUBSCRIBE refused by the server: not authorized (0x87): "b"` {
			t.Errorf("got %v", err)
		}
		drop(t, c)
	})
}

func TestSubscribeRefusesWhatIsNotValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{Version: 5}, "\x20\x08\x00\x00\x05\x27\x00\x00\x00\x14")
		for name, subs := range map[string][]mqtt.Subscription{
			"nothing":         {},
			"filter":          {{Filter: "a#"}},
			"QoS":             {{Filter: "a", QoS: 3}},
			"retain handling": {{Filter: "a", RetainHandling: 3}},
			"too long":        {{Filter: "0123456789abcd"}},
		} {
			if _, err := c.Subscribe(t.Context(), 0, subs...); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if _, err := c.Subscribe(t.Context(), 1<<28, mqtt.Subscription{Filter: "a"}); err == nil {
			t.Error("identifier: accepted")
		}
		if err := c.Unsubscribe(t.Context()); err == nil {
			t.Error("unsubscribe from nothing: accepted")
		}
		srv.silent(time.Second)
		drop(t, c)
	})
}

func TestSubscribeWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		_, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "a"})
		if !errors.Is(err, mqtt.ErrNoAnswer) {
			t.Errorf("got %v", err)
		}
		drop(t, c)
		srv.gone()
	})
	synctest.Test(t, func(t *testing.T) {
		c, srv := link(t, nil, mqtt.Config{}, connack4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Subscribe(ctx, 0, mqtt.Subscription{Filter: "a"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		srv.expect("\x82\x06\xff\xff\x00\x01a\x00")
		srv.send("\x90\x03\xff\xff\x00") // late; the connection lives
		go srv.expect("\x82\x06\xff\xfe\x00\x01a\x00")
		ended := make(chan error)
		go func() {
			_, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "a"})
			ended <- err
		}()
		time.Sleep(time.Second)
		drop(t, c)
		if err := <-ended; !errors.Is(err, mqtt.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnAnswerToNoRequestEndsTheConnection(t *testing.T) {
	for name, answer := range map[string]string{
		"unknown identifier": "\x90\x03\x00\x01\x00",
		"UNSUBACK":           "\xb0\x02\xff\xff",
		"too many codes":     "\x90\x04\xff\xff\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, srv := link(t, nil, mqtt.Config{}, connack4)
				go func() {
					srv.expect("\x82\x06\xff\xff\x00\x01a\x00")
					srv.send(answer)
				}()
				if _, err := c.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: "a"}); err == nil || !strings.Contains(err.Error(), "does not belong to a request") {
					t.Errorf("got %v", err)
				}
				<-c.Done()
			})
		})
	}
}
