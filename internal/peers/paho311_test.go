// SPDX-License-Identifier: Apache-2.0

package peers_test

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// dialed remembers the connection of a client, so that a test can cut it.
type dialed struct {
	mqtt.Client
	nc  net.Conn
	all chan got
}

// connect311 connects a client of MQTT 3.1.1.
func connect311(t *testing.T, addr, id string, change func(o *mqtt.ClientOptions)) *dialed {
	t.Helper()
	c := &dialed{all: make(chan got, 1000)}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(patience)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		nc, err := net.Dial("tcp", addr)
		c.nc = nc
		return nc, err
	})
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		c.all <- got{m.Topic(), string(m.Payload()), m.Qos(), m.Retained()}
	})
	if change != nil {
		change(o)
	}
	c.Client = mqtt.NewClient(o)
	done(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

func done(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

// A session of paho.mqtt.golang is owed what was published while it was away, in order and once, at each QoS.
//
// Covers 4:7.0.0-2 4:4.2.0-1.
func TestPaho311Sessions(t *testing.T) {
	addr := serve(t)
	kept := func(o *mqtt.ClientOptions) { o.SetCleanSession(false).SetResumeSubs(false) }
	for qos := byte(1); qos <= 2; qos++ {
		id, topic := fmt.Sprint("sub", qos), fmt.Sprint("t/", qos)
		sub := connect311(t, addr, id, kept)
		done(t, sub.Subscribe(topic, qos, nil))
		sub.Disconnect(250)
		pub := connect311(t, addr, "pub", nil)
		for i := range 200 {
			done(t, pub.Publish(topic, qos, false, fmt.Sprint(i)))
		}
		sub = connect311(t, addr, id, kept)
		for i := range 200 {
			want(t, sub.all, got{topic, fmt.Sprint(i), qos, false})
		}
		done(t, sub.Subscribe("probe", 0, nil))
		quiet(t, sub.all, func(p string) { done(t, pub.Publish("probe", 0, false, p)) }, "probe")
		pub.Disconnect(250)
	}
}

// Retained messages, overlapping subscriptions, UNSUBSCRIBE, and a will when the connection is cut.
func TestPaho311(t *testing.T) {
	addr := serve(t)
	pub := connect311(t, addr, "pub", nil)
	done(t, pub.Publish("kept/a", 1, true, "a"))
	sub := connect311(t, addr, "sub", nil)
	done(t, sub.SubscribeMultiple(map[string]byte{"kept/#": 1, "kept/+": 0, "will": 2}, nil))
	// Each of the two filters asks for what is retained.
	seen := map[byte]bool{}
	for range 2 {
		select {
		case m := <-sub.all:
			seen[m.qos] = m.retain && m.payload == "a"
		case <-time.After(patience):
			t.Fatal("nothing is retained")
		}
	}
	if !seen[0] || !seen[1] {
		t.Errorf("got %v", seen)
	}
	done(t, pub.Publish("kept/b", 2, false, "b"))
	want(t, sub.all, got{"kept/b", "b", 1, false})
	done(t, sub.Unsubscribe("kept/#", "kept/+"))
	done(t, pub.Publish("kept/b", 2, false, "late"))
	dying := connect311(t, addr, "dying", func(o *mqtt.ClientOptions) { o.SetWill("will", "gone", 2, false) })
	if err := dying.nc.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, sub.all, got{"will", "gone", 2, false})
	leaving := connect311(t, addr, "leaving", func(o *mqtt.ClientOptions) { o.SetWill("will", "gone", 0, false) })
	leaving.Disconnect(100)
	quiet(t, sub.all, func(p string) { done(t, pub.Publish("will", 0, false, p)) }, "will")
}
