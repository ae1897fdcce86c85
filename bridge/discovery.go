// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"edged/devices"
)

// Topics of Home Assistant's MQTT discovery (home-assistant.io/integrations/mqtt, "device discovery").
const (
	homeAssistantStatus = "homeassistant/status"
	discoveryFilter     = "homeassistant/device/+/config"
)

func discoveryTopic(gateway, device string) string {
	return "homeassistant/device/" + discoveryID(gateway, device) + "/config"
}

func discoveryID(gateway, device string) string { return "edged_" + gateway + "_" + device }

// discovery is the message that announces one device to Home Assistant. Key names are the long ones: which
// abbreviations there are depends on its version.
type discovery struct {
	Device struct {
		Identifiers []string `json:"identifiers"`
		Name        string   `json:"name"`
		Model       string   `json:"model,omitempty"`
	} `json:"device"`
	Origin struct {
		Name    string `json:"name"`
		Version string `json:"sw_version,omitempty"`
	} `json:"origin"`
	Availability     []availability       `json:"availability"`
	AvailabilityMode string               `json:"availability_mode"`
	StateTopic       string               `json:"state_topic"`
	QoS              int                  `json:"qos"`
	Components       map[string]component `json:"components"`
}

type availability struct {
	Topic string `json:"topic"`
}

// component is one entity. What a platform does not have stays out.
type component struct {
	Platform    string   `json:"platform"`
	UniqueID    string   `json:"unique_id"`
	Name        string   `json:"name"`
	DeviceClass string   `json:"device_class,omitempty"`
	Unit        string   `json:"unit_of_measurement,omitempty"`
	StateClass  string   `json:"state_class,omitempty"`
	Precision   *int     `json:"suggested_display_precision,omitempty"`
	Expire      int      `json:"expire_after,omitempty"` // seconds
	StateTopic  string   `json:"state_topic,omitempty"`
	Template    string   `json:"value_template,omitempty"`
	Command     string   `json:"command_topic,omitempty"`
	CommandTmpl string   `json:"command_template,omitempty"`
	PayloadOn   string   `json:"payload_on,omitempty"`
	PayloadOff  string   `json:"payload_off,omitempty"`
	StateOn     string   `json:"state_on,omitempty"`
	StateOff    string   `json:"state_off,omitempty"`
	Press       string   `json:"payload_press,omitempty"`
	Options     []string `json:"options,omitempty"`
	Min         *float64 `json:"min,omitempty"`
	Max         *float64 `json:"max,omitempty"`
	Step        any      `json:"step,omitempty"`
	Optimistic  bool     `json:"optimistic,omitempty"`
	Category    string   `json:"entity_category,omitempty"`
}

// discovery writes the message for this device.
func (b *Bridge) discovery(version string) ([]byte, error) {
	id := discoveryID(b.deps.Gateway, b.cfg.Name)
	var d discovery
	d.Device.Identifiers, d.Device.Name, d.Device.Model = []string{id}, b.cfg.Name, b.drv.Model
	d.Origin.Name, d.Origin.Version = "edged", version
	d.Availability = []availability{{"edged/" + b.deps.Gateway + "/status"}, {b.topics.of("status")}}
	d.AvailabilityMode = "all"
	d.StateTopic, d.QoS = b.topics.of("data"), 1
	d.Components = map[string]component{}
	steered := b.steered()
	for _, r := range b.known() {
		if _, ok := steered[r.Name]; ok && r.kind == devices.Bool {
			continue // its switch shows it
		}
		c := b.sensor(r)
		c.UniqueID, c.Name = id+"_"+r.Name, title(r.Name)
		d.Components[r.Name] = c
	}
	for _, info := range b.drv.Commands {
		c := b.control(info)
		if r, ok := steered[info.Name]; ok {
			b.follow(&c, r)
		}
		c.UniqueID, c.Name = id+"_set_"+info.Name, title(info.Name)
		d.Components["set_"+info.Name] = c
	}
	out, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("announce device %s: %w", b.cfg.Name, err)
	}
	return out, nil
}

// sensor is the entity of a reading.
func (b *Bridge) sensor(r shown) component {
	value := member("value_json", r.Name)
	if r.kind == devices.Bool {
		return component{
			Platform: "binary_sensor", DeviceClass: r.Class,
			Template:  b.present(r, value, fmt.Sprintf("{{ 'ON' if %s else 'OFF' }}", value)),
			PayloadOn: "ON", PayloadOff: "OFF", Expire: b.expiry(),
		}
	}
	c := component{
		Platform: "sensor", DeviceClass: r.Class, Unit: r.Unit, Precision: r.precision, Expire: b.expiry(),
		Template: b.present(r, value, "{{ "+value+" }}"),
	}
	switch {
	case r.kind == devices.String || r.kind == devices.None && r.Unit == "":
	case r.Total:
		c.StateClass = "total_increasing"
	default:
		c.StateClass = "measurement"
	}
	return c
}

// present makes a template leave the state alone where a message does not have the reading. Home Assistant ignores an
// empty result, except where any text is a state.
func (b *Bridge) present(r shown, value, template string) string {
	if r.driven && b.cfg.Readings[r.Name].Min == nil && b.cfg.Readings[r.Name].Max == nil {
		return template
	}
	return ifDefined(value, template, r.kind == devices.String || r.kind == devices.None && r.Unit == "")
}

func ifDefined(value, template string, text bool) string {
	keep := ""
	if text {
		keep = "{% else %}{{ this.state }}"
	}
	return "{% if " + value + " is defined %}" + template + keep + "{% endif %}"
}

// expiry is after how many seconds without a message Home Assistant shows no value; 0: never, also where messages
// need not come while all is well.
func (b *Bridge) expiry() int {
	w := newWatchdog(b.cfg, b.drv)
	if w.never || w.fixed == 0 || b.cfg.Publish.OnChange {
		return 0
	}
	for _, r := range b.cfg.Readings {
		if r.Deadband > 0 {
			return 0
		}
	}
	return int((w.fixed + 999_999_999) / 1_000_000_000)
}

// control is the entity of a command.
func (b *Bridge) control(i devices.CommandInfo) component {
	c := component{Command: b.topics.of("set"), Category: "config"}
	key, err := json.Marshal(i.Name)
	if err != nil {
		key = []byte(`""`)
	}
	quoted := "{" + string(key) + `:{{ value | tojson }}}`
	switch i.Kind {
	case devices.KindBool:
		c.Platform = "switch"
		c.PayloadOn, c.PayloadOff = "{"+string(key)+":true}", "{"+string(key)+":false}"
	case devices.KindTrigger:
		c.Platform, c.Press, c.Category = "button", "{"+string(key)+":true}", ""
		return c // it has no state
	case devices.KindEnum:
		c.Platform, c.Options, c.CommandTmpl = "select", slices.Clone(i.Values), quoted
	case devices.KindNumber:
		c.Platform, c.Min, c.Max, c.Unit = "number", i.Min, i.Max, i.Unit
		c.CommandTmpl = "{" + string(key) + ":{{ value }}}"
		if !whole(i.Min) || !whole(i.Max) {
			c.Step = "any"
		}
	default:
		c.Platform, c.CommandTmpl = "text", quoted
	}
	if !i.Answered {
		c.Optimistic = true
		return c
	}
	value := member("value_json.readings", i.Name)
	c.StateTopic = b.topics.of("result")
	shows := "{{ " + value + " }}"
	if c.Platform == "switch" {
		c.StateOn, c.StateOff = "ON", "OFF"
		shows = fmt.Sprintf("{{ 'ON' if %s else 'OFF' }}", value)
	}
	c.Template = ifDefined("value_json.readings is defined and "+value, shows, c.Platform == "text")
	return c
}

// steered are the readings of a sensor that a command of the same name sets: a relay's state, a lamp's brightness.
func (b *Bridge) steered() map[string]shown {
	all := map[string]shown{}
	for _, r := range b.known() {
		i, ok := b.drv.Command(r.Name)
		if ok && b.drv.Sensor != nil && (i.Kind == devices.KindBool && r.kind == devices.Bool || i.Kind == devices.KindNumber && r.kind == devices.Number) {
			all[r.Name] = r
		}
	}
	return all
}

// follow makes a control show the reading that it sets, which is retained, rather than the result of the last command.
func (b *Bridge) follow(c *component, r shown) {
	c.StateTopic, c.Category, c.Optimistic = "", "", false
	value := member("value_json", r.Name)
	shows := "{{ " + value + " }}"
	if c.Platform == "switch" {
		c.StateOn, c.StateOff = "ON", "OFF"
		shows = fmt.Sprintf("{{ 'ON' if %s else 'OFF' }}", value)
	}
	c.Template = b.present(r, value, shows)
}

func whole(x *float64) bool { return x != nil && *x == float64(int64(*x)) }

// member writes the access to a member in a Jinja template, where a name that begins with a digit needs brackets.
func member(of, name string) string {
	if name[0] >= '0' && name[0] <= '9' {
		return of + "['" + name + "']"
	}
	return of + "." + name
}

// title makes a name for people out of one for programs: "pm25_cf1" is "Pm25 cf1".
func title(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}
