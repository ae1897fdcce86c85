// SPDX-License-Identifier: Apache-2.0

package peers_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// five is a client of MQTT 5.
type five struct {
	*paho.Client
	nc   net.Conn
	all  chan got
	raw  chan *paho.Publish
	ack  *paho.Connack
	over chan *paho.Disconnect
}

// connect5 connects a client of MQTT 5.
func connect5(t *testing.T, addr string, p *paho.Connect) *five {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &five{nc: nc, all: make(chan got, 1000), raw: make(chan *paho.Publish, 1000), over: make(chan *paho.Disconnect, 1)}
	c.Client = paho.NewClient(paho.ClientConfig{
		ClientID: p.ClientID, Conn: nc, PacketTimeout: patience,
		OnServerDisconnect: func(d *paho.Disconnect) { c.over <- d },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			c.all <- got{m.Packet.Topic, string(m.Packet.Payload), m.Packet.QoS, m.Packet.Retain}
			c.raw <- m.Packet
			return true, nil
		}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if c.ack, err = c.Connect(ctx, p); err != nil {
		t.Fatalf("connect %q: %v, %v", p.ClientID, c.ack, err)
	}
	t.Cleanup(func() { nc.Close() })
	return c
}

func (c *five) subscribe(t *testing.T, id int, subs ...paho.SubscribeOptions) {
	t.Helper()
	p := &paho.Subscribe{Subscriptions: subs}
	if id > 0 {
		p.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	if _, err := c.Subscribe(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func (c *five) publish(t *testing.T, p *paho.Publish) *paho.PublishResponse {
	t.Helper()
	r, err := c.Publish(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (c *five) leave(t *testing.T) {
	t.Helper()
	if err := c.Disconnect(&paho.Disconnect{}); err != nil {
		t.Error(err)
	}
}

func ptr[T any](v T) *T { return &v }

// A session of paho.golang is owed what was published while it was away, within its Receive Maximum.
//
// Covers 5:7.0.0-2 5:4.2.0-1.
func TestPaho5Sessions(t *testing.T) {
	addr := serve(t)
	for qos := byte(1); qos <= 2; qos++ {
		topic := fmt.Sprint("t/", qos)
		session := &paho.Connect{ClientID: fmt.Sprint("sub", qos), KeepAlive: 300, Properties: &paho.ConnectProperties{
			SessionExpiryInterval: ptr(uint32(100)), ReceiveMaximum: ptr(uint16(3)), RequestProblemInfo: true,
		}}
		sub := connect5(t, addr, session)
		if sub.ack.SessionPresent || *sub.ack.Properties.ServerKeepAlive != 60 {
			t.Errorf("CONNACK %+v", sub.ack.Properties)
		}
		sub.subscribe(t, 0, paho.SubscribeOptions{Topic: topic, QoS: qos}, paho.SubscribeOptions{Topic: "probe", QoS: qos})
		sub.leave(t)
		pub := connect5(t, addr, &paho.Connect{ClientID: "pub", CleanStart: true})
		for i := range 200 {
			if r := pub.publish(t, &paho.Publish{Topic: topic, QoS: qos, Payload: fmt.Append(nil, i)}); r.ReasonCode != 0 {
				t.Errorf("reason 0x%02x", r.ReasonCode)
			}
		}
		sub = connect5(t, addr, session)
		if !sub.ack.SessionPresent {
			t.Error("session present is 0")
		}
		for i := range 200 {
			want(t, sub.all, got{topic, fmt.Sprint(i), qos, false})
		}
		quiet(t, sub.all, func(p string) { pub.publish(t, &paho.Publish{Topic: "probe", Payload: []byte(p)}) }, "probe")
		sub.leave(t)
		pub.leave(t)
	}
}

// Properties go through; requests are answered; options, shared subscriptions, wills with a delay, and take-overs.
func TestPaho5(t *testing.T) {
	addr := serve(t)
	asks := connect5(t, addr, &paho.Connect{ClientID: "asks", CleanStart: true, Properties: &paho.ConnectProperties{RequestResponseInfo: true, RequestProblemInfo: true}})
	answers := connect5(t, addr, &paho.Connect{ClientID: "answers", CleanStart: true})
	reply := asks.ack.Properties.ResponseInfo + "/one"
	asks.subscribe(t, 0, paho.SubscribeOptions{Topic: reply, QoS: 1})
	answers.subscribe(t, 7, paho.SubscribeOptions{Topic: "ask", QoS: 2, NoLocal: true})
	user := paho.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}}
	asks.publish(t, &paho.Publish{Topic: "ask", QoS: 2, Payload: []byte("?"), Properties: &paho.PublishProperties{
		ResponseTopic: reply, CorrelationData: []byte{0, 1, 255}, ContentType: "text/plain", PayloadFormat: ptr(byte(1)), MessageExpiry: ptr(uint32(60)), User: user,
	}})
	want(t, answers.all, got{"ask", "?", 2, false})
	p := (<-answers.raw).Properties
	if p.ResponseTopic != reply || string(p.CorrelationData) != "\x00\x01\xff" || p.ContentType != "text/plain" || *p.PayloadFormat != 1 ||
		*p.MessageExpiry > 60 || *p.SubscriptionIdentifier != 7 || fmt.Sprint(p.User) != fmt.Sprint(user) {
		t.Errorf("properties %+v", p)
	}
	answers.publish(t, &paho.Publish{Topic: p.ResponseTopic, QoS: 1, Payload: []byte("!"), Properties: &paho.PublishProperties{CorrelationData: p.CorrelationData}})
	want(t, asks.all, got{reply, "!", 1, false})

	answers.publish(t, &paho.Publish{Topic: "ask", QoS: 1, Payload: []byte("own")}) // No Local
	if r := answers.publish(t, &paho.Publish{Topic: "nobody", QoS: 1}); r.ReasonCode != 0x10 {
		t.Errorf("reason 0x%02x", r.ReasonCode)
	}
	quiet(t, answers.all, func(p string) { asks.publish(t, &paho.Publish{Topic: "ask", Payload: []byte(p)}) }, "ask")

	asks.subscribe(t, 0, paho.SubscribeOptions{Topic: "$share/g/work", QoS: 1})
	answers.subscribe(t, 0, paho.SubscribeOptions{Topic: "$share/g/work", QoS: 1})
	for i := range 4 {
		asks.publish(t, &paho.Publish{Topic: "work", QoS: 1, Payload: fmt.Append(nil, i)})
		want(t, []chan got{asks.all, answers.all}[i%2], got{"work", fmt.Sprint(i), 1, false})
	}

	asks.subscribe(t, 0, paho.SubscribeOptions{Topic: "will", QoS: 1, RetainAsPublished: true})
	w := &paho.Connect{
		ClientID: "dying", CleanStart: true, WillMessage: &paho.WillMessage{Topic: "will", Payload: []byte("gone"), QoS: 1, Retain: true},
		WillProperties: &paho.WillProperties{WillDelayInterval: ptr(uint32(1))}, Properties: &paho.ConnectProperties{SessionExpiryInterval: ptr(uint32(100))},
	}
	dying, began := connect5(t, addr, w), time.Now()
	if err := dying.nc.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, asks.all, got{"will", "gone", 1, true})
	if d := time.Since(began); d < 900*time.Millisecond {
		t.Errorf("the will came after %v", d)
	}

	connect5(t, addr, &paho.Connect{ClientID: "answers", CleanStart: true})
	select {
	case d := <-answers.over:
		if d.ReasonCode != 0x8e {
			t.Errorf("reason 0x%02x", d.ReasonCode)
		}
	case <-time.After(patience):
		t.Error("nothing was said to who was taken over")
	}
}
