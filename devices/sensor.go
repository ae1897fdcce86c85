// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"io/fs"
	"time"
)

// Sensor is an opened device that sends no bytes to a port: a chip on a bus, a line, files of the kernel. It is used by
// one goroutine, but for Next of a Listener. It has no clock and no files of its own: what it may use is its Machine.
type Sensor interface {
	// Read measures, and calls emit for what came of it. An error means that the device is to be opened again; a
	// [Trouble] among its causes says why, for people.
	Read(emit func(Sample)) error
	// Close leaves the device as it shall be left, and ends a Next that waits.
	Close() error
}

// Setter is a Sensor that takes commands.
type Setter interface {
	// Set carries out a command and gives what was read back. An error that is no [Trouble] says what is wrong with name
	// or value; after it the device is still open.
	Set(name string, v Value) ([]Reading, error)
}

// Listener is a Sensor whose device tells by itself that something happened.
type Listener interface {
	// Next waits for the next edge. It is called by a goroutine of its own.
	Next() (Edge, error)
	// Edge takes what Next gave.
	Edge(e Edge, emit func(Sample))
}

// Edge is a change of a line.
type Edge struct {
	At     time.Time     // of the change, by the kernel
	Clock  time.Duration // the same on a clock that is never set; only differences mean something
	Active bool          // it became active
	Lost   int           // edges before it that nobody took in time
}

// Machine is what a Sensor may use of the machine that it runs on. What a driver does not use may be nil.
type Machine struct {
	Files Files
	// Bus opens an I²C bus by its name, "i2c-1".
	Bus func(name string) (Bus, error)
	// Line takes a GPIO line for itself.
	Line func(LineConfig) (Line, error)
	// Usage tells how large the file system is that edged keeps its state on, and how much of it is free.
	Usage func() (free, total uint64, err error)
	Store Store
	Now   func() time.Time
	// Wait waits; its error means that the device is being stopped.
	Wait func(time.Duration) error
}

// Files are the kernel's, named without the first slash: "sys/bus/w1/devices".
type Files interface {
	fs.FS
	// WriteFile writes to a file that is there.
	WriteFile(name, text string) error
}

// Bus is an I²C bus, as periph.io's i2c.Bus.
type Bus interface {
	// Tx writes w to the chip at addr, then reads len(r) bytes from it, in one transaction.
	Tx(addr uint16, w, r []byte) error
}

// LineConfig says which GPIO line, and how it is to be used.
type LineConfig struct {
	Name     string        // "GPIO17", "gpiochip0:17" or "J8-11"
	Output   bool          // else an input, whose edges are told
	Low      bool          // it is active while its level is low
	Pull     string        // "up", "down", "off"; "": as it is
	Drive    string        // "open-drain", "open-source"; "": push and pull
	Debounce time.Duration // in the kernel
	Initial  bool          // of an output: active from the first moment
	Rising   bool          // only its becoming active is told
	Edges    int           // that may wait to be taken; 0: as many as the kernel likes
}

// Line is a GPIO line that was taken.
type Line interface {
	// Active reads it.
	Active() (bool, error)
	// Set makes an output active or inactive.
	Set(active bool) error
	// Next waits for the next edge.
	Next() (Edge, error)
	// Close gives the line back, and ends a Next that waits.
	Close() error
}

// Store keeps a few bytes of one device for its next life.
type Store interface {
	// Load gives what was saved last; nil: nothing.
	Load() ([]byte, error)
	// Save survives the end of the process at once, and a power cut within a minute. It does not keep p.
	Save(p []byte) error
}

// Codes of what a sensor can't be read for.
const (
	Absent     = "E101" // the bus, line or file is not there
	Forbidden  = "E102" // no permission
	Busy       = "E103" // another program or driver has it
	Unreadable = "E105" // what comes is damaged: a wrong checksum
	Silent     = "E106" // nothing answers
	Strange    = "E107" // something answers that is not this device
)

// Trouble is why a sensor can't be read.
type Trouble struct {
	Code string // one of the above
	Text string // what is wrong
	Do   string // what to do about it; may be ""
	Err  error  // the cause; may be nil
}

// Error tells it in one line.
func (t *Trouble) Error() string {
	s := t.Text
	if t.Err != nil {
		s += ": " + t.Err.Error()
	}
	if t.Do != "" {
		s += ": " + t.Do
	}
	return s
}

// Unwrap gives the cause.
func (t *Trouble) Unwrap() error { return t.Err }
