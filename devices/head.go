// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Head is what every description has, whatever its device speaks, with the file's keys.
type Head struct {
	Name     string   `toml:"driver"` // the driver's name
	Title    string   `toml:"title"`
	Model    string   `toml:"model"`
	Also     []string `toml:"also"`
	Class    string   `toml:"class"`
	Protocol string   `toml:"protocol"`
	Serial   string   `toml:"serial"`
	Source   string   `toml:"source"` // where the protocol is documented
	Notes    string   `toml:"notes"`
	Every    string   `toml:"every"` // how often it is asked; absent: it speaks by itself
	Event    bool     `toml:"event"` // it speaks only when something happens

	Test []TestDescription `toml:"test"`
}

// TestDescription is a known answer: bytes and their readings, bytes that are refused, bytes and the value read back,
// or a command and its bytes.
type TestDescription struct {
	Name     string         `toml:"name"`
	Options  map[string]any `toml:"options"`
	Request  string         `toml:"request"`  // what had been sent to it
	Bytes    string         `toml:"bytes"`    // what the device sends
	Readings map[string]any `toml:"readings"` // all readings of the one sample that they give; others must be absent
	Answer   string         `toml:"answer"`   // name of the command that they answer
	Reject   string         `toml:"reject"`   // why they give nothing
	Command  map[string]any `toml:"command"`  // one name = value
	Send     string         `toml:"send"`     // bytes that edged sends for it
}

// Driver begins a driver with what the head says.
func (h *Head) Driver(faults *Faults) *Driver {
	if strings.Trim(h.Name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || h.Name == "" {
		faults.Add("driver", "%q is not a name: lower-case letters, digits, _ and -", h.Name)
	}
	if h.Title == "" {
		faults.Add("title", "must say what the device is")
	}
	return &Driver{
		Name: h.Name, Title: h.Title, Model: h.Model, Also: h.Also, Class: h.Class, Serial: h.Serial, Notes: h.Notes,
		Event: h.Event, Every: ParseDuration("every", h.Every, 0, faults),
	}
}

// ParseDuration reads a duration that is longer than 0; or where s is empty.
func ParseDuration(key, s string, or time.Duration, faults *Faults) time.Duration {
	if s == "" {
		return or
	}
	t, err := time.ParseDuration(s)
	if err != nil || t <= 0 {
		faults.Add(key, "%q is not a duration such as \"500ms\" or \"10s\"", s)
	}
	return t
}

// ParseHex reads bytes written in hexadecimal, with blanks and line ends between them as one likes.
func ParseHex(s string) ([]byte, error) {
	raw, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return nil, fmt.Errorf("%q is not bytes in hexadecimal, such as \"42 4d\"", s)
	}
	return raw, nil
}
