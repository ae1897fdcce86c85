// SPDX-License-Identifier: Apache-2.0

package dialect

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// thingsBoard is ThingsBoard's gateway API (thingsboard.io/docs/reference/gateway-mqtt-api): a gateway speaks for its
// devices on topics below v1/gateway/, and for itself on those below v1/devices/me/. Its user name is the access token.
// A message has at most 65,536 bytes (NETTY_MAX_PAYLOAD_SIZE in its configuration); QoS 0 and 1 are spoken.
func thingsBoard() *Dialect {
	return &Dialect{
		title: "ThingsBoard", qos: 1, payload: 65536, spelling: thingsSpelling{},
		check: func(s *Settings, report func(key, problem string)) {
			if s.Username == "" && !s.HasCert {
				report("username", "ThingsBoard wants the gateway's access token here, or its client id, user and password, or cert and key")
			}
			for i, f := range s.Send {
				if levels := strings.Split(f, "/"); len(levels) < 3 || levels[0] != "edged" {
					report(indexed("send", i), "ThingsBoard takes what edged's own topics carry, nothing else")
				}
			}
			for i, f := range s.Receive {
				if levels := strings.Split(f, "/"); len(levels) != 5 || strings.Join(levels[2:], "/") != "dev/+/set" {
					report(indexed("receive", i), "ThingsBoard sends commands to devices, nothing else: leave this out")
				}
			}
		},
	}
}

func indexed(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

type thingsSpelling struct{}

const thingsRPC = "v1/gateway/rpc"

func (thingsSpelling) filters(*Settings) []string { return []string{thingsRPC} }

// out translates:
//
//	dev/D/data                   v1/gateway/telemetry      {"D":[{"ts":…,"values":{…}}]}
//	dev/D/status                 v1/gateway/connect or …/disconnect
//	dev/D/meta, dev/D/health     v1/gateway/attributes     {"D":{"meta":…}}
//	dev/D/result                 v1/gateway/rpc            {"device":"D","id":…,"data":…}
//	health, event                v1/devices/me/telemetry
//	info, status                 v1/devices/me/attributes
func (t thingsSpelling) out(s *Settings, m Message) (Message, bool) {
	rest, ok := strings.CutPrefix(m.Topic, "edged/"+s.Gateway+"/")
	if !ok {
		return Message{}, false
	}
	if below, ok := strings.CutPrefix(rest, "dev/"); ok {
		device, leaf, ok := strings.Cut(below, "/")
		return t.ofDevice(device, leaf, m.Payload, ok)
	}
	switch rest {
	case "health":
		return object("v1/devices/me/telemetry", m.Payload)
	case "event":
		return nested("v1/devices/me/telemetry", m.Payload, "event")
	case "info":
		return object("v1/devices/me/attributes", m.Payload)
	case "status":
		return wrapped("v1/devices/me/attributes", map[string]any{"status": string(m.Payload)})
	}
	return Message{}, false
}

func (thingsSpelling) ofDevice(device, leaf string, payload []byte, ok bool) (Message, bool) {
	switch {
	case !ok:
		return Message{}, false
	case leaf == "data":
		return telemetry(device, payload)
	case leaf == "status" && string(payload) == "online":
		return wrapped("v1/gateway/connect", map[string]any{"device": device})
	case leaf == "status":
		return wrapped("v1/gateway/disconnect", map[string]any{"device": device})
	case leaf == "meta", leaf == "health":
		return nested("v1/gateway/attributes", payload, device, leaf)
	case leaf == "result":
		var r struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(payload, &r) != nil {
			return Message{}, false
		}
		n, _, ok := strings.Cut(strings.TrimPrefix(r.ID, "rpc-"), "-")
		if !ok || !json.Valid([]byte(n)) {
			return Message{}, false // an answer to somebody else
		}
		return wrapped(thingsRPC, map[string]any{"device": device, "id": json.RawMessage(n), "data": json.RawMessage(payload)})
	}
	return Message{}, false
}

// telemetry is a device's readings; their time is theirs only where the clock was believed.
func telemetry(device string, payload []byte) (Message, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return Message{}, false
	}
	sample := map[string]any{}
	var stamp string
	if json.Unmarshal(fields["time"], &stamp) == nil && fields["clock"] == nil {
		if at, err := time.Parse(time.RFC3339, stamp); err == nil {
			sample["ts"] = at.UnixMilli()
		}
	}
	for _, name := range []string{"time", "clock", "uptime_ms"} {
		delete(fields, name)
	}
	sample["values"] = fields
	return wrapped("v1/gateway/telemetry", map[string]any{device: []any{sample}})
}

// in is a command: {"device":"D","data":{"id":7,"method":"…","params":{…}}}. The parameters are those of `set`. The
// number of a request is used again by later ones, so it is not what tells a command from others; a time is added.
func (thingsSpelling) in(s *Settings, m Message) (Message, bool) {
	var c struct {
		Device string `json:"device"`
		Data   struct {
			ID     *int64                     `json:"id"`
			Params map[string]json.RawMessage `json:"params"`
		} `json:"data"`
	}
	if m.Topic != thingsRPC || json.Unmarshal(m.Payload, &c) != nil || c.Device == "" || strings.ContainsAny(c.Device, "/+#") || c.Data.ID == nil || c.Data.Params == nil {
		return Message{}, false
	}
	set := map[string]any{}
	for name, value := range c.Data.Params {
		set[name] = value
	}
	set["id"] = "rpc-" + strconv.FormatInt(*c.Data.ID, 10) + "-" + strconv.FormatInt(time.Now().UnixMicro(), 10)
	return wrapped("edged/"+s.Gateway+"/dev/"+c.Device+"/set", set)
}

// wrapped is a message with a JSON payload.
func wrapped(topic string, v any) (Message, bool) {
	b, err := json.Marshal(v)
	return Message{Topic: topic, Payload: b}, err == nil
}

// object is a message whose payload is an object already.
func object(topic string, payload []byte) (Message, bool) {
	var fields map[string]json.RawMessage
	return Message{Topic: topic, Payload: payload}, json.Unmarshal(payload, &fields) == nil
}

// nested puts a payload under names.
func nested(topic string, payload []byte, names ...string) (Message, bool) {
	if !json.Valid(payload) {
		return Message{}, false
	}
	var v any = json.RawMessage(payload)
	for i := len(names) - 1; i >= 0; i-- {
		v = map[string]any{names[i]: v}
	}
	return wrapped(topic, v)
}
