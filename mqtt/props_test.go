// SPDX-License-Identifier: Apache-2.0

package mqtt_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"edged/mqtt"
)

// What travels with a message arrives as it was sent, by mosquitto too, and can be sent on as it came; 3.1.1 leaves it
// out. A will has it as well.
func TestPropertiesTravel(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	props := mqtt.Properties{
		IsText: true, ContentType: "application/json", ResponseTopic: "reply/here", CorrelationData: []byte{0, 1, 255},
		User: []mqtt.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}},
	}
	both(t, func(t *testing.T, version byte) {
		in := listen(t, addr, 5)
		m := mqtt.Message{Topic: "t", Payload: []byte("{}"), Props: props.Append(nil)}
		c, _, _ := dial(t, addr, nil, mqtt.Config{ClientID: "p", Version: version, Clean: true, KeepAlive: time.Minute, Will: &mqtt.Will{Message: m}})
		for m.QoS = range byte(3) {
			publish(t, c, m)
			d := in.next(t)
			got, ok := mqtt.ReadProperties(d.Props)
			if want := (version == 5); !ok || want != reflect.DeepEqual(got, props) || !want && len(d.Props) > 0 {
				t.Errorf("QoS %d: got %+v, %t", m.QoS, got, ok)
			}
			d.Message.Topic = "on"
			publish(t, c, d.Message)
			if on := in.next(t); version == 5 && string(on.Props) != string(d.Props) {
				t.Errorf("QoS %d: % x was sent on as % x", m.QoS, d.Props, on.Props)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if got, _ := mqtt.ReadProperties(in.next(t).Props); version == 5 && !reflect.DeepEqual(got, props) {
			t.Errorf("the will's are %+v", got)
		}
	})
}

func TestPropertiesThatAreNotValidAreNotSent(t *testing.T) {
	addr := mosquitto(t, "allow_anonymous true")
	c, _, _ := dial(t, addr, nil, mqtt.Config{ClientID: "p", Version: 5, Clean: true})
	for _, props := range []string{"\x03\x00\x09cut", "\x23\x00\x01", "\x08\x00\x01#"} {
		if _, err := c.Publish(t.Context(), mqtt.Message{Topic: "t", Props: []byte(props)}); !errors.Is(err, mqtt.ErrUnsendable) {
			t.Errorf("% x: %v", props, err)
		}
	}
	if err := c.Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
}
