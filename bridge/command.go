// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/devices"
	"edged/mqtt"
)

const (
	commandsWaiting = 16          // commands that wait for the line; more are refused at once
	commandLife     = time.Minute // how long a command without "expires" is worth executing
	commandBytes    = 16 << 10
	commandNames    = 64
)

// Codes of commands that are refused.
const (
	RetainedCommand = "E406"
	ExpiredCommand  = "E407"
)

// setting is one name and value of a command.
type setting struct {
	name  string
	value devices.Value
}

// command is what was published on `set`.
type command struct {
	id       json.RawMessage // nil: it has none
	settings []setting
	until    time.Time // after this it is refused
	explicit bool      // until was in the message
}

// result is the answer on `result`.
type result struct {
	ID       json.RawMessage `json:"id"`
	OK       bool            `json:"ok"`
	Code     string          `json:"code,omitempty"`
	Text     string          `json:"text,omitempty"`
	Readings json.RawMessage `json:"readings,omitempty"`
}

// receive takes a message on `set`; age is how long it may have waited, negative: nobody knows.
func (b *Bridge) receive(m mqtt.Message, age time.Duration) {
	now := time.Now()
	age = older(age, m.Props)
	c, err := parseCommand(m.Payload, now)
	switch {
	case err != nil:
		b.answer(c.id, refusal{text: err.Error()}, nil)
		return
	case m.Retain:
		b.answer(c.id, refusal{RetainedCommand, "a command must not be retained: it would be executed again and again"}, nil)
		return
	case !c.explicit && age < 0:
		b.answer(c.id, refusal{ExpiredCommand, `the command waited from before edged was started, nobody knows how long; send it with "expires" or again`}, nil)
		return
	case !c.explicit:
		c.until = now.Add(commandLife - age)
	}
	if err := b.check(c, now); err != nil {
		b.answer(c.id, err, nil)
		return
	}
	select {
	case b.commands <- c:
		if seat := b.seat.Load(); seat != nil {
			seat.Wake()
		}
	default:
		b.answer(c.id, refusal{text: fmt.Sprintf("%d commands wait already", commandsWaiting)}, nil)
	}
}

// waitedName is the user property in which the uplink tells how many seconds a command may have waited in the cloud.
const waitedName = "edged-waited"

// older adds to the age of a message what its properties tell.
func older(age time.Duration, props []byte) time.Duration {
	p, _ := mqtt.ReadProperties(props)
	for _, u := range p.User {
		if u.Name != waitedName {
			continue
		}
		s, err := strconv.ParseUint(u.Value, 10, 31)
		if err != nil || age < 0 {
			return -1
		}
		age += time.Duration(s) * time.Second
	}
	return age
}

// refusal is why a command was not executed.
type refusal struct{ code, text string }

// Error tells it.
func (r refusal) Error() string { return r.text }

// answer publishes the result of a command.
func (b *Bridge) answer(id json.RawMessage, err error, readings []devices.Reading) {
	r := result{ID: id, OK: err == nil}
	if id == nil {
		r.ID = json.RawMessage("null")
	}
	if err != nil {
		r.Text = err.Error()
		if f := (refusal{}); errors.As(err, &f) {
			r.Code = f.code
		}
	}
	if len(readings) > 0 {
		r.Readings = devices.AppendObject(nil, readings)
	}
	payload, err := json.Marshal(r)
	if err != nil {
		b.deps.Log.Error("result cannot be written", "err", err)
		return
	}
	b.out.push(item{Message: mqtt.Message{Topic: b.topics.of("result"), Payload: payload, QoS: 1}})
}

// parseCommand reads {name: value, …, "id"?: …, "expires"?: RFC 3339}. What it could read of the id is there even
// with an error.
func parseCommand(p []byte, now time.Time) (command, error) {
	var c command
	if len(p) > commandBytes {
		return c, fmt.Errorf("the command has %d bytes, %d are the most", len(p), commandBytes)
	}
	d := json.NewDecoder(bytes.NewReader(p))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return c, errors.New(`a command is a JSON object such as {"sleep":true}`)
	}
	seen := map[string]bool{}
	var first error
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return c, fmt.Errorf("the command is not JSON: %w", err)
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return c, fmt.Errorf("the command is not JSON: %w", err)
		}
		if seen[name] {
			return c, fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		if err := c.take(name, raw, now); err != nil && first == nil {
			first = err
		}
	}
	if _, err := d.Token(); err != nil {
		return c, fmt.Errorf("the command is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return c, errors.New("something follows the JSON object")
	}
	switch {
	case first != nil:
		return c, first
	case len(c.settings) == 0:
		return c, errors.New(`the command names nothing to set, such as {"sleep":true}`)
	case len(c.settings) > commandNames:
		return c, fmt.Errorf("the command names %d things, %d are the most", len(c.settings), commandNames)
	}
	return c, nil
}

// take reads one name and value of the object.
func (c *command) take(name string, raw json.RawMessage, now time.Time) error {
	switch name {
	case "id":
		c.id = raw
		return nil
	case "expires":
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return errors.New(`"expires" is a time such as "2026-11-22T14:05:09Z"`)
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return fmt.Errorf("%q is no time such as %q", s, "2026-11-22T14:05:09Z")
		}
		c.until, c.explicit = now.Add(t.Sub(now)), true // with the monotonic clock: a wall clock that is set later does not matter
		return nil
	}
	var x any
	if err := json.Unmarshal(raw, &x); err != nil {
		return fmt.Errorf("the command is not JSON: %w", err)
	}
	v, ok := devices.ValueOf(x)
	if !ok {
		return fmt.Errorf("%q: a value is a number, true, false or a string", name)
	}
	c.settings = append(c.settings, setting{name, v})
	return nil
}

// check says what is wrong with a command before anything of it is executed.
func (b *Bridge) check(c command, now time.Time) error {
	if now.After(c.until) {
		return expired(c.until, now)
	}
	for _, s := range c.settings {
		info, ok := b.drv.Command(s.name)
		if !ok {
			if len(b.drv.Commands) == 0 {
				return refusal{text: "this device takes no commands"}
			}
			var names []string
			for _, c := range b.drv.Commands {
				names = append(names, c.Name)
			}
			return refusal{text: fmt.Sprintf("there is no command %q, but %s", s.name, strings.Join(names, ", "))}
		}
		if problem := wrong(info, s.value); problem != "" {
			return refusal{text: s.name + ": " + problem}
		}
	}
	return nil
}

func expired(until, now time.Time) error {
	return refusal{ExpiredCommand, fmt.Sprintf("the command expired %v ago", now.Sub(until).Round(time.Millisecond))}
}

// wrong says what is wrong with a value for a command; "" nothing.
func wrong(c devices.CommandInfo, v devices.Value) string {
	text, isText := v.Text()
	switch c.Kind {
	case devices.KindBool:
		if _, ok := v.Truth(); !ok {
			return "must be true or false"
		}
	case devices.KindTrigger:
		if on, ok := v.Truth(); !ok || !on {
			return "must be true"
		}
	case devices.KindNumber:
		x, ok := v.Float()
		switch {
		case !ok:
			return "must be a number"
		case c.Min != nil && x < *c.Min || c.Max != nil && x > *c.Max:
			return fmt.Sprintf("%v is not in %s to %s", v, bound(c.Min), bound(c.Max))
		}
	case devices.KindEnum:
		if !isText || !slices.Contains(c.Values, text) {
			return fmt.Sprintf("%v is not one of %s", v, strings.Join(c.Values, ", "))
		}
	case devices.KindHex:
		if _, err := hex.DecodeString(text); !isText || err != nil {
			return fmt.Sprintf("%v is not a string of hexadecimal digits", v)
		}
	default:
		if !isText {
			return "must be a string"
		}
	}
	return ""
}

func bound(x *float64) string {
	if x == nil {
		return "anything"
	}
	return strconv.FormatFloat(*x, 'f', -1, 64)
}
