// SPDX-License-Identifier: Apache-2.0

package gpio

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"edged/devices"
)

// Pin is a line as periph.io's drivers of chips want it, for the pins by which a chip asks for attention or is reset. It
// is not taken before In or Out.
type Pin struct {
	chips  *Chips
	name   string
	line   *Line // nil: not taken
	config devices.LineConfig
}

var _ gpio.PinIO = (*Pin)(nil)

// Pin gives the line of a name.
func (c *Chips) Pin(name string) *Pin { return &Pin{chips: c, name: name} }

// String is the line's name.
func (p *Pin) String() string { return p.name }

// Name is the line's name.
func (p *Pin) Name() string { return p.name }

// Number is not known: lines of several chips have the same.
func (p *Pin) Number() int { return -1 }

// Function tells whether it is an input or an output.
func (p *Pin) Function() string {
	switch {
	case p.line == nil:
		return ""
	case p.config.Output:
		return "Out"
	}
	return "In"
}

// Halt gives the line back.
func (p *Pin) Halt() error {
	if p.line == nil {
		return nil
	}
	l := p.line
	p.line = nil
	return l.Close()
}

// take gives back what was taken, and takes the line for another use.
func (p *Pin) take(c devices.LineConfig) error {
	if err := p.Halt(); err != nil {
		return err
	}
	c.Name = p.name
	l, err := p.chips.Line(c)
	if err != nil {
		return err
	}
	p.line, p.config = l, c
	return nil
}

// In makes it an input. The kernel tells all edges, or those that rise; falling ones alone are those of the inverted
// line, which would turn Read round, so that they come with the others.
func (p *Pin) In(pull gpio.Pull, edge gpio.Edge) error {
	c := devices.LineConfig{Rising: edge == gpio.RisingEdge}
	switch pull {
	case gpio.PullUp:
		c.Pull = "up"
	case gpio.PullDown:
		c.Pull = "down"
	case gpio.Float:
		c.Pull = "off"
	}
	return p.take(c)
}

// Read tells the level; Low, too, when it can't be read: whoever has to know takes a Line.
func (p *Pin) Read() gpio.Level {
	if p.line == nil {
		return gpio.Low
	}
	active, err := p.line.Active()
	return gpio.Level(active && err == nil)
}

// WaitForEdge waits for the next edge; a negative timeout: for ever. False: none came, or the line is gone.
func (p *Pin) WaitForEdge(timeout time.Duration) bool {
	if p.line == nil {
		return false
	}
	var until time.Time
	if timeout >= 0 {
		until = time.Now().Add(timeout)
	}
	if err := p.line.file.SetReadDeadline(until); err != nil {
		return false
	}
	_, err := p.line.Next()
	return err == nil
}

// Pull is what In asked for.
func (p *Pin) Pull() gpio.Pull {
	switch p.config.Pull {
	case "up":
		return gpio.PullUp
	case "down":
		return gpio.PullDown
	case "off":
		return gpio.Float
	}
	return gpio.PullNoChange
}

// DefaultPull is not known.
func (p *Pin) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// Out makes it an output, or sets it where it is one.
func (p *Pin) Out(l gpio.Level) error {
	if p.line == nil || !p.config.Output {
		return p.take(devices.LineConfig{Output: true, Initial: bool(l)})
	}
	return p.line.Set(bool(l))
}

// PWM is not what a line of the character device can do.
func (p *Pin) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("line %s: %w", p.name, errors.ErrUnsupported)
}
