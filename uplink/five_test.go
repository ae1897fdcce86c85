// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
	"edged/mqtt/wire"
	"edged/uplink"
)

// five is the configuration of a link that speaks MQTT 5.
func five() uplink.Config {
	c := config()
	c.Version = 5
	return c
}

func connack5(p wire.ConnackPacket) string { return string(wire.AppendConnack(nil, &p, 5)) }

func ack5(kind byte, id uint16, reason byte) string {
	return string(wire.AppendAck(nil, kind, id, reason, 5))
}

// published wants the next PUBLISH.
func (a *actor) published() wire.Inbound {
	a.t.Helper()
	p, f := publishOf(a.want(wire.Publish), 5)
	if f != nil {
		a.t.Fatal(f)
	}
	return p
}

// open5 plays the opening of a session of MQTT 5 as far as the acknowledged presence.
func (a *actor) open5(p wire.ConnackPacket) {
	a.t.Helper()
	a.want(wire.Connect)
	a.send(connack5(p))
	if !p.SessionPresent {
		a.want(wire.Subscribe)
		a.send("\x90\x04\xff\xff\x00\x01")
	}
	m := a.published()
	if m.Message.Topic != status || string(m.Payload) != "online" {
		a.t.Errorf("first came %+v", m)
	}
	if m.QoS > 0 {
		a.send(ack5(wire.Puback, m.ID, 0))
	}
}

func TestConnectOfFive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t)
		r := start(t, five(), &localBroker{}, th.dial)
		a := th.accept()
		raw := a.want(wire.Connect)
		p, f := wire.DecodeConnect(split(raw))
		if f != nil {
			t.Fatal(f)
		}
		if p.Level != 5 || p.Clean || p.SessionExpiry != 0xffffffff || p.ReceiveMaximum != 100 || p.KeepAlive != 60 || p.Will == nil || !p.Will.Retain || p.Will.QoS != 1 {
			t.Errorf("CONNECT %+v", p)
		}
		a.send(connack5(wire.ConnackPacket{ServerKeepAlive: new(uint16(20))}))
		subs, f := wire.DecodeSubscribe(a.want(wire.Subscribe)[2:], 5)
		if f != nil || len(subs.Filters) != 1 || !subs.Filters[0].NoLocal || subs.Filters[0].RetainHandling != 1 {
			t.Errorf("SUBSCRIBE %+v, %v", subs, f)
		}
		a.send("\x90\x04\xff\xff\x00\x01")
		a.send(ack5(wire.Puback, a.published().ID, 0))
		began := time.Now()
		a.want(wire.Pingreq)
		if d := time.Since(began); d != 15*time.Second {
			t.Errorf("PINGREQ after %v, the server's keep alive is 20 s", d)
		}
		a.close()
		a = th.accept()
		a.open5(wire.ConnackPacket{SessionPresent: true, ServerKeepAlive: new(uint16(1000))})
		began = time.Now()
		a.want(wire.Pingreq)
		if d := time.Since(began); d != 45*time.Second {
			t.Errorf("PINGREQ after %v, ours is 60 s", d)
		}
		a.close()
		r.end()
	})
}

func TestConnackCodesOfFive(t *testing.T) {
	const now, slow = 500 * time.Millisecond, time.Minute
	for _, c := range []struct {
		connack wire.ConnackPacket
		code    string
		from    time.Duration // of the next try
		says    string
	}{
		{wire.ConnackPacket{Code: 0x80}, "", now, "unspecified"},
		{wire.ConnackPacket{Code: 0x84}, "E310", slow, `"3.1.1"`},
		{wire.ConnackPacket{Code: 0x85}, "E314", slow, "0x85"},
		{wire.ConnackPacket{Code: 0x86, Reason: "no such user"}, "E311", slow, "no such user"},
		{wire.ConnackPacket{Code: 0x87}, "E312", slow, "0x87"},
		{wire.ConnackPacket{Code: 0x88}, "E315", now, "0x88"},
		{wire.ConnackPacket{Code: 0x89}, "E315", now, "0x89"},
		{wire.ConnackPacket{Code: 0x8a}, "E312", slow, "0x8A"},
		{wire.ConnackPacket{Code: 0x8c}, "E311", slow, "0x8C"},
		{wire.ConnackPacket{Code: 0x90}, "E320", slow, status},
		{wire.ConnackPacket{Code: 0x97}, "E315", now, "0x97"},
		{wire.ConnackPacket{Code: 0x9c, Server: "b.example.com"}, "E315", now, "b.example.com"},
		{wire.ConnackPacket{Code: 0x9f}, "E315", now, "0x9F"},
	} {
		synctest.Test(t, func(t *testing.T) {
			th := newTheatre(t)
			var events []string
			r := startWith(t, five(), &localBroker{}, th.dial, func(d *uplink.Deps) {
				d.Event = func(code, _ string) { events = append(events, code) }
			})
			a := th.accept()
			a.want(wire.Connect)
			a.send(connack5(c.connack))
			began := time.Now()
			synctest.Wait()
			state := uplink.Down
			if c.from == slow {
				state = uplink.Refused
			}
			if s := r.up.Status(); s.State != state || s.Code != c.code || !strings.Contains(s.Text, c.says) {
				t.Errorf("%#x: status %+v, want %s %s with %q", c.connack.Code, s, state, c.code, c.says)
			}
			if want := []string{c.code}; c.code != "" && !slices.Equal(events, want) {
				t.Errorf("%#x: events %q, want %q", c.connack.Code, events, want)
			}
			a = th.accept()
			if d := time.Since(began); d < c.from || d > max(4*time.Second, 3*c.from/2) {
				t.Errorf("%#x: tried again after %v", c.connack.Code, d)
			}
			a.close()
			r.end()
		})
	}
}

func TestAServerWithoutRetainOrQoS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		r := start(t, five(), local, th.dial)
		for _, code := range []byte{0x9a, 0x9b} {
			a := th.accept()
			a.want(wire.Connect)
			a.send(connack5(wire.ConnackPacket{Code: code}))
		}
		a := th.accept()
		if p, f := wire.DecodeConnect(split(a.want(wire.Connect))); f != nil || p.Will.Retain || p.Will.QoS != 0 {
			t.Errorf("CONNECT with the will %+v, %v", p.Will, f)
		}
		a.send(connack5(wire.ConnackPacket{NoRetain: true, MaximumQoS: new(byte(0))}))
		a.want(wire.Subscribe)
		a.send("\x90\x04\xff\xff\x00\x01")
		if p := a.published(); p.QoS != 0 || p.Retain {
			t.Errorf("presence %+v", p)
		}
		local.publish(dataA, "x", 1, true)
		if p := a.published(); p.QoS != 0 || p.Retain || string(p.Payload) != "x" {
			t.Errorf("a reading %+v", p)
		}
		synctest.Wait()
		go func() {
			a.published()
			a.want(wire.Disconnect)
			a.close()
		}()
		if took := r.end(); took > time.Second {
			t.Errorf("stopping took %v", took)
		}
		r.check(t, []string{"x"})
	})
}

func TestReceiveMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		r := start(t, five(), local, th.dial)
		a := th.accept()
		a.open5(wire.ConnackPacket{ReceiveMaximum: 2})
		for _, payload := range []string{"0", "1", "2"} {
			local.publish(dataA, payload, 1, false)
		}
		first, second := a.published(), a.published()
		a.silence(time.Second)
		a.send(ack5(wire.Puback, first.ID, 0))
		third := a.published()
		a.send(ack5(wire.Puback, second.ID, 0x10) + ack5(wire.Puback, third.ID, 0))
		synctest.Wait()
		a.close()
		r.end()
		r.check(t, []string{"0", "1", "2"})
	})
}

func TestAMessageThatIsTooLargeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		var given []string
		r := startWith(t, five(), local, th.dial, func(d *uplink.Deps) {
			d.GaveUp = func(topic string, payload []byte) { given = append(given, topic+" "+string(payload[:4])) }
		})
		a := th.accept()
		a.open5(wire.ConnackPacket{MaximumPacketSize: 60})
		large := "long" + strings.Repeat("x", 60)
		local.publish(dataA, large, 1, false)
		local.publish(dataA, "y", 1, false)
		p := a.published()
		if string(p.Payload) != "y" {
			t.Errorf("got %q", p.Payload)
		}
		a.send(ack5(wire.Puback, p.ID, 0))
		synctest.Wait()
		if s := r.up.Status(); s.Unsendable != 1 || s.Inflight != 0 {
			t.Errorf("status %+v", s)
		}
		if want := []string{dataA + " long"}; !slices.Equal(given, want) {
			t.Errorf("given up %q, want %q", given, want)
		}
		a.close()
		r.end()
		r.check(t, []string{large, "y"})
	})
}

func TestARefusedMessageIsToldOnceForItsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		events := map[string]int{}
		r := startWith(t, five(), local, th.dial, func(d *uplink.Deps) {
			d.Event = func(code, _ string) { events[code]++ }
		})
		a := th.accept()
		a.open5(wire.ConnackPacket{})
		for _, payload := range []string{"0", "1"} {
			local.publish(dataA, payload, 1, false)
			a.send(ack5(wire.Puback, a.published().ID, 0x99))
		}
		synctest.Wait()
		if s := r.up.Status(); s.State != uplink.Up || s.Unsendable != 2 || events["E320"] != 1 {
			t.Errorf("status %+v, events %v", s, events)
		}
		a.close()
		r.end()
		r.check(t, []string{"0", "1"})
	})
}

func TestPropertiesTravelBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := five()
		cfg.Prefix = "p/"
		th, local := newTheatre(t), &localBroker{}
		r := start(t, cfg, local, th.dial)
		a := th.accept()
		a.want(wire.Connect)
		a.send(connack5(wire.ConnackPacket{TopicAliasMaximum: 5}))
		a.want(wire.Subscribe)
		a.send("\x90\x04\xff\xff\x00\x01")
		a.send(ack5(wire.Puback, a.published().ID, 0))
		props := mqtt.Properties{
			IsText: true, ContentType: "application/json", ResponseTopic: "answers/1", CorrelationData: []byte("c"),
			User: []mqtt.UserProperty{{Name: "n", Value: "v"}},
		}
		local.offer(wire.Message{Topic: dataA, Payload: []byte("x"), QoS: 1, Props: props.Append(nil), Expires: 60})
		time.Sleep(time.Second)
		p := a.published()
		got, ok := mqtt.ReadProperties(p.Props)
		want := props
		want.ResponseTopic = "p/answers/1"
		if !ok || !bytes.Equal(got.Append(nil), want.Append(nil)) || p.Expires < 58 || p.Expires > 60 || p.Alias == 0 {
			t.Errorf("in the cloud: %+v with %+v", p, got)
		}
		a.send(ack5(wire.Puback, p.ID, 0))
		m := wire.Message{Topic: "p/" + setA, Payload: []byte("{}"), QoS: 1, Props: want.Append(nil), Expires: 30}
		a.send(string(wire.AppendPublish(nil, &m, 5, 1, 9, false, false, nil, 0)))
		if got := string(a.want(wire.Puback)); got != ack5(wire.Puback, 9, 0) {
			t.Errorf("PUBACK %q", got)
		}
		_, _, here, _ := local.state()
		if len(here) != 1 || !bytes.Equal(here[0].Props, props.Append(nil)) || here[0].Expires < 29 || here[0].Expires > 30 {
			t.Errorf("on the local broker: %+v", here)
		}
		a.close()
		r.end()
	})
}

func TestAMessageWhoseTimeRanOutIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		r := start(t, config(), local, th.dial) // 3.1.1 cannot tell the cloud, so we judge
		synctest.Wait()
		local.offer(wire.Message{Topic: dataA, Payload: []byte("old"), QoS: 1, Expires: 10})
		local.offer(wire.Message{Topic: dataA, Payload: []byte("good"), QoS: 1, Expires: 100})
		time.Sleep(20 * time.Second)
		a := th.accept()
		a.welcome(anew, true)
		a.online(0x8000)
		a.exactly(pub(2, dataA, 2, "good"))
		a.send(ack(wire.Puback, 2))
		synctest.Wait()
		if s := r.up.Status(); s.Expired != 1 || s.Sent != 1 {
			t.Errorf("status %+v", s)
		}
		a.close()
		r.end()
		r.check(t, []string{"old", "good"})
	})
}

func TestTheServerEndsASessionWithAReason(t *testing.T) {
	for _, c := range []struct {
		reason byte
		code   string
		says   string
	}{
		{0x8b, "E315", "shutting down"},
		{0x89, "E315", "busy"},
		{0x9c, "E315", "b.example.com"},
		{0x9d, "E315", "b.example.com"},
		{0x8e, "E313", "client id"},
		{0x87, "E312", "not authorized"},
		{0x97, "E315", "quota"},
		{0x8d, "", "keep alive"},
	} {
		synctest.Test(t, func(t *testing.T) {
			th := newTheatre(t)
			r := start(t, five(), &localBroker{}, th.dial)
			a := th.accept()
			a.open5(wire.ConnackPacket{})
			time.Sleep(time.Minute / 2)
			p := wire.DisconnectPacket{Reason: c.reason}
			if c.says == "b.example.com" {
				p.Server = c.says
			}
			a.send(string(wire.AppendDisconnect(nil, &p, 5)))
			synctest.Wait()
			if s := r.up.Status(); s.State != uplink.Down || s.Code != c.code || !strings.Contains(s.Text, c.says) {
				t.Errorf("%#x: status %+v, want %s with %q", c.reason, s, c.code, c.says)
			}
			a = th.accept()
			a.open5(wire.ConnackPacket{SessionPresent: true})
			a.close()
			r.end()
		})
	}
}
