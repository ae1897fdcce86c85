// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"testing"
	"testing/synctest"

	"edged/mqtt"
)

func TestTopicAliases(t *testing.T) {
	const offers = "\x20\x06\x00\x00\x03\x22\x00\x02" // Topic Alias Maximum 2
	synctest.Test(t, func(t *testing.T) {
		s := mqtt.NewSession()
		c, srv := link(t, s, mqtt.Config{Version: 5, TopicAliases: 10}, offers)
		for _, step := range []struct {
			m    mqtt.Message
			want string
		}{
			{mqtt.Message{Topic: "aaaa", QoS: 1}, "\x32\x0c\x00\x04aaaa\x00\x01\x03\x23\x00\x01"},
			{mqtt.Message{Topic: "aaaa", QoS: 1}, "\x32\x08\x00\x00\x00\x02\x03\x23\x00\x01"},
			{mqtt.Message{Topic: "bbb"}, "\x30\x06\x00\x03bbb\x00"}, // too short to gain anything
			{mqtt.Message{Topic: "cccc"}, "\x30\x0a\x00\x04cccc\x03\x23\x00\x02"},
			{mqtt.Message{Topic: "dddd"}, "\x30\x07\x00\x04dddd\x00"}, // the server takes two
			{mqtt.Message{Topic: "cccc"}, "\x30\x06\x00\x00\x03\x23\x00\x02"},
		} {
			publish(t, c, step.m)
			srv.expect(step.want)
		}
		drop(t, c)
		// What an alias stands for is of one connection: the repeat names its topic.
		c, srv = link(t, s, mqtt.Config{Version: 5, TopicAliases: 10}, "\x20\x06\x01\x00\x03\x22\x00\x02")
		srv.expect("\x3a\x0c\x00\x04aaaa\x00\x01\x03\x23\x00\x01" + "\x3a\x08\x00\x00\x00\x02\x03\x23\x00\x01")
		drop(t, c)
		for _, refuses := range []struct {
			cfg     mqtt.Config
			connack string
		}{{mqtt.Config{Version: 5, TopicAliases: 10}, connack5}, {mqtt.Config{Version: 5}, offers}} {
			c, srv = link(t, nil, refuses.cfg, refuses.connack)
			publish(t, c, mqtt.Message{Topic: "aaaa"})
			srv.expect("\x30\x07\x00\x04aaaa\x00")
			drop(t, c)
		}
	})
}

func TestAnAliasDoesNotMakeAPacketTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Topic Alias Maximum 2, Maximum Packet Size 12
		c, srv := link(t, nil, mqtt.Config{Version: 5, TopicAliases: 10}, "\x20\x0b\x00\x00\x08\x22\x00\x02\x27\x00\x00\x00\x0c")
		publish(t, c, mqtt.Message{Topic: "aaaa", Payload: []byte("xyz")})
		srv.expect("\x30\x0a\x00\x04aaaa\x00xyz")
		drop(t, c)
	})
}
