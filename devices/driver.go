// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"cmp"
	"slices"
	"time"
)

// Driver is one entry of the catalogue: what `edged drivers NAME` shows, and how to make its decoder and simulator. It
// is shared and never changed.
type Driver struct {
	Name     string        // in the configuration, [a-z0-9_-]+
	Title    string        // one line for people
	Model    string        // maker and product, for Home Assistant
	Also     []string      // other products that speak the same
	Class    string        // kind of device: "air", "text", …
	Serial   string        // the line's usual setting, "9600 8N1"
	Text     bool          // it speaks lines of text: the share of readable bytes (Counts) tells a wrong baud rate
	Event    bool          // it speaks only when something happens: online at opening, never stale
	Every    time.Duration // how often it is asked unless `every` says so; 0: it speaks by itself and is asked only when `every` is set
	Notes    string        // what a user has to know besides; "" nothing
	Readings []Info        // in the order they are printed; nil: they depend on the options or on what comes
	Commands []CommandInfo
	Options  []OptionInfo

	// New makes a decoder. It may also be a Commander, an Asker, a Hearer. Errors are Faults where they concern an option.
	// It is nil for a Sensor that gives values rather than bytes.
	New func(Options) (Decoder, error)
	// Simulate makes the device's side of the wire; the same seed gives the same values. It is nil for a Sensor.
	Simulate func(o Options, seed uint64) (Simulator, error)
	// Sensor is how a device is opened that sends no bytes to a port; nil: there is a port.
	Sensor *Opening
	// Expects tells, where Readings is nil, which readings these options name; nil where they don't say. It is nil when
	// options never name readings.
	Expects func(Options) []Info
	// Takes tells, where Commands depend on the options, which these options leave; nil: all of Commands.
	Takes func(Options) []CommandInfo
}

// Opening is how a Sensor comes about.
type Opening struct {
	// Open opens the device. Errors are Faults where they concern an option, and a Trouble where they concern the device.
	Open func(o Options, m Machine) (Sensor, error)
	// Check finds what is wrong with options that are right each for itself; nil: nothing can be.
	Check func(o Options) error
	// Pretend puts such a device on a machine, for the port "sim"; the same seed gives the same values.
	Pretend func(o Options, seed uint64, m Machine) Machine
	// Place names what the device is on, such as "i2c-1:0x76"; no two devices can be at one place, but at "".
	Place func(o Options) string
	// Tell describes a reading by its name, where readings show only as they come; nil: the driver names them all.
	Tell func(name string) Info
}

// Info describes one reading, as in `meta`.
type Info struct {
	Name  string
	Unit  string   // "": none
	Class string   // Home Assistant's device class; "": none
	Total bool     // it only grows (state class total_increasing)
	Min   *float64 // what the sensor can give; nil: unknown
	Max   *float64
	Text  string // one line for people
	Kind  Kind   // of its values; None: it shows as they come

	Optional bool // not every device has it, or not every sample
}

// Kinds of what a command or an option takes.
const (
	KindBool    = "bool"    // true or false
	KindNumber  = "number"  // within Min and Max
	KindEnum    = "enum"    // one of Values
	KindHex     = "hex"     // a string of hexadecimal digits
	KindText    = "text"    // any string
	KindTrigger = "trigger" // true, and nothing else
)

// CommandInfo describes one command, as in `meta`: the name is a key of the JSON published on `set`.
type CommandInfo struct {
	Name     string
	Kind     string   // one of the kinds above
	Values   []string // of KindEnum
	Min, Max *float64 // of KindNumber
	Unit     string
	Answered bool   // the device tells the value back, for some values at least
	Text     string // one line for people
}

// OptionInfo describes one key that the driver adds to the device's table.
type OptionInfo struct {
	Name     string
	Kind     string   // one of the kinds above but KindTrigger
	Values   []string // of KindEnum
	Default  string   // as one would write it; "": none
	Required bool
	Bytes    int      // of KindHex: exactly so many; 0: any number
	Min, Max *float64 // of KindNumber; nil: any
	Whole    bool     // of KindNumber: without digits behind the point
	Text     string
}

// ReadingsFor gives the readings that a device with these options has, in the order they are printed; nil when they
// are known only as they come.
func (d *Driver) ReadingsFor(o Options) []Info {
	if d.Readings == nil && d.Expects != nil {
		return d.Expects(o)
	}
	return d.Readings
}

// For gives the driver as it is for a device with these options.
func (d *Driver) For(o Options) *Driver {
	if d.Takes == nil {
		return d
	}
	of := *d
	of.Commands = d.Takes(o)
	return &of
}

// Command finds a command by its name.
func (d *Driver) Command(name string) (CommandInfo, bool) {
	i := slices.IndexFunc(d.Commands, func(c CommandInfo) bool { return c.Name == name })
	if i < 0 {
		return CommandInfo{}, false
	}
	return d.Commands[i], true
}

// ByName orders drivers as they are listed.
func ByName(a, b *Driver) int { return cmp.Compare(a.Name, b.Name) }
