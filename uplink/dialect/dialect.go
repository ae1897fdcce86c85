// SPDX-License-Identifier: Apache-2.0

// Package dialect knows what well-known clouds can carry and how they spell it: tables of limits, checked before anything
// is sent, and fixed topics where a cloud has these.
package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The names of the clouds.
const (
	Generic     = "generic"
	AWS         = "aws"
	Azure       = "azure"
	HiveMQ      = "hivemq"
	ThingsBoard = "thingsboard"
)

// Names are all of them.
func Names() []string { return []string{Generic, AWS, Azure, HiveMQ, ThingsBoard} }

// Dialect is one cloud. A limit of 0 is none.
type Dialect struct {
	title         string
	versions      []byte // of MQTT; nil: every one
	qos           byte   // highest
	retain        bool   // it keeps the last message of a topic
	payload       int    // bytes of a message
	topic         int    // bytes of a topic or filter
	slashes       int    // in a topic or filter
	clientID      int    // bytes
	keepAlive     time.Duration
	inflight      int
	rate          int // messages a second
	asks          int // filters in one SUBSCRIBE
	subscriptions int
	encrypted     bool // it speaks TLS only
	free          bool // topics are as they are here
	check         func(s *Settings, report func(key, problem string))
	spelling      spelling
}

// spelling is how a cloud with fixed topics has what is on topics of ours.
type spelling interface {
	// out returns a message as the cloud has it; false: it has no place for it.
	out(s *Settings, m Message) (Message, bool)
	// in returns a message of the cloud as we have it; false: it is none for us.
	in(s *Settings, m Message) (Message, bool)
	// filters are what is to be subscribed to.
	filters(s *Settings) []string
}

// Message is a topic and what is published to it.
type Message struct {
	Topic   string
	Payload []byte
}

// Server is one address of the cloud.
type Server struct {
	Host      string
	Port      uint16
	Encrypted bool
	WebSocket bool
}

// Settings is what a dialect judges, and what its spelling needs.
type Settings struct {
	Gateway     string // the gateway's id
	Version     byte   // 4 or 5
	QoS         byte
	ClientID    string
	Username    string
	HasPassword bool
	HasCert     bool
	ALPN        string
	Prefix      string
	KeepAlive   time.Duration
	Inflight    int
	Send        []string
	Receive     []string
	Servers     []Server
}

// For returns a dialect by its name; nil: there is none.
func For(name string) *Dialect {
	switch name {
	case Generic, "":
		return &Dialect{title: "this cloud", qos: 2, retain: true, free: true}
	case AWS:
		return aws()
	case Azure:
		return azure()
	case HiveMQ:
		return hiveMQ()
	case ThingsBoard:
		return thingsBoard()
	}
	return nil
}

// aws is AWS IoT Core. The limits are those of docs.aws.amazon.com/general/latest/gr/iot-core.html ("Message broker and
// protocol limits") and docs.aws.amazon.com/iot/latest/developerguide/mqtt.html. It does retain messages, but only for
// clients with a right of its own, and one a second for a topic, so nothing is sent so.
func aws() *Dialect {
	return &Dialect{
		title: "AWS IoT Core", qos: 1, payload: 128 << 10, topic: 256, slashes: 7, clientID: 128, keepAlive: 1200 * time.Second,
		inflight: 100, rate: 100, asks: 8, subscriptions: 50, encrypted: true, free: true,
		check: func(s *Settings, report func(key, problem string)) {
			for _, v := range s.Servers {
				if v.Port == 443 && !v.WebSocket && s.ALPN == "" {
					report("alpn", `is needed on port 443: "x-amzn-mqtt-ca" with a client certificate, "mqtt" with a custom authorizer`)
				}
				if v.Port == 8883 && !s.HasCert {
					report("cert", "is needed on port 8883: there AWS IoT Core knows devices by their certificate")
				}
			}
		},
	}
}

// hiveMQ is a HiveMQ broker, whose limits are those of its configuration (docs.hivemq.com, "MQTT Specific
// Configuration": 268,435,460 bytes a packet, topics and client ids of 65,535 bytes), or HiveMQ Cloud, which lets nobody
// in without TLS, user and password (docs.hivemq.com/hivemq-cloud).
func hiveMQ() *Dialect {
	return &Dialect{
		title: "HiveMQ", qos: 2, retain: true, free: true,
		check: func(s *Settings, report func(key, problem string)) {
			for _, v := range s.Servers {
				if !strings.HasSuffix(v.Host, ".hivemq.cloud") {
					continue
				}
				if !v.Encrypted {
					report("url", "HiveMQ Cloud speaks TLS only: write mqtts://HOST:8883 or wss://HOST:8884/mqtt")
				}
				if s.Username == "" || !s.HasPassword {
					report("username", "HiveMQ Cloud wants a user and a password: set username and password")
				}
			}
		},
	}
}

// Validate reports what of the settings this cloud cannot carry, with the key below [uplink].
func (d *Dialect) Validate(s *Settings, report func(key, problem string)) {
	no := func(key, format string, args ...any) { report(key, d.title+" "+fmt.Sprintf(format, args...)) }
	if d.versions != nil && !slices.Contains(d.versions, s.Version) {
		no("version", `speaks MQTT 3.1.1 only: write "3.1.1"`)
	}
	if s.QoS > d.qos && s.QoS <= 2 {
		no("qos", "has no QoS %d; %d is the highest", s.QoS, d.qos)
	}
	if d.clientID > 0 && len(s.ClientID) > d.clientID {
		no("client_id", "takes at most %d bytes", d.clientID)
	}
	if d.keepAlive > 0 && s.KeepAlive > d.keepAlive {
		no("keepalive", "takes at most %d s", int(d.keepAlive.Seconds()))
	}
	if d.inflight > 0 && s.Inflight > d.inflight {
		no("inflight", "takes at most %d unacknowledged messages", d.inflight)
	}
	if d.subscriptions > 0 && len(s.Receive) > d.subscriptions {
		no("receive", "takes at most %d filters", d.subscriptions)
	}
	for _, v := range s.Servers {
		if d.encrypted && !v.Encrypted {
			no("url", "speaks TLS only: write mqtts:// or wss://")
		}
	}
	if d.free {
		for _, list := range []struct {
			key     string
			filters []string
		}{{"send", s.Send}, {"receive", s.Receive}} {
			for i, f := range list.filters {
				if err := d.place(s.Prefix + f); err != nil {
					report(fmt.Sprintf("%s[%d]", list.key, i), err.Error())
				}
			}
		}
	} else if s.Prefix != "" {
		no("prefix", "has topics of its own, before which nothing can stand")
	}
	if d.check != nil {
		d.check(s, report)
	}
}

// ErrLimit is wrapped by the error of a message that a cloud does not carry.
var ErrLimit = errors.New("beyond a limit of the cloud")

// place judges a topic or a filter.
func (d *Dialect) place(topic string) error {
	if d.topic > 0 && len(topic) > d.topic {
		return fmt.Errorf("%w: %s takes topics of at most %d bytes, %q has %d", ErrLimit, d.title, d.topic, topic, len(topic))
	}
	if n := strings.Count(topic, "/"); d.slashes > 0 && n > d.slashes {
		return fmt.Errorf("%w: %s takes topics with at most %d slashes, %q has %d", ErrLimit, d.title, d.slashes, topic, n)
	}
	return nil
}

// Permits judges a message as it would go out.
func (d *Dialect) Permits(topic string, payload int) error {
	if d.payload > 0 && payload > d.payload {
		return fmt.Errorf("%w: %s takes messages of at most %d bytes, this has %d", ErrLimit, d.title, d.payload, payload)
	}
	return d.place(topic)
}

// QoS is the highest that there is.
func (d *Dialect) QoS() byte { return d.qos }

// Retains says whether the cloud may be asked to keep the last message of a topic.
func (d *Dialect) Retains() bool { return d.retain }

// Rate is how many messages it takes a second; 0: as many as come.
func (d *Dialect) Rate() int { return d.rate }

// KeepAlive is the longest that the cloud lets a client ask for; 0: any.
func (d *Dialect) KeepAlive() time.Duration { return d.keepAlive }

// Batch is how many filters may stand in one SUBSCRIBE; 0: all.
func (d *Dialect) Batch() int { return d.asks }

// Fixed says whether the cloud has topics of its own, to which messages are translated by Out and In.
func (d *Dialect) Fixed() bool { return d.spelling != nil }

// Out returns a message as the cloud has it; false: it has no place for it.
func (d *Dialect) Out(s *Settings, m Message) (Message, bool) { return d.spelling.out(s, m) }

// In returns a message of the cloud as we have it; false: it is none for us.
func (d *Dialect) In(s *Settings, m Message) (Message, bool) { return d.spelling.in(s, m) }

// Filters are what is to be subscribed to in a cloud with topics of its own.
func (d *Dialect) Filters(s *Settings) []string { return d.spelling.filters(s) }
