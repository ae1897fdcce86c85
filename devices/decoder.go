// SPDX-License-Identifier: Apache-2.0

// Package devices speaks the protocols of sensors and actuators, purely: bytes and their time go in, readings come
// out. It has no file, clock, goroutine or log; port, schedule and MQTT belong to the bridge.
package devices

import "time"

// Reading is one named value of a device. Its name is the driver's own, [a-z0-9_]+, which may be one that is reserved
// in `data`: see DataName.
type Reading struct {
	Name  string
	Value Value
}

// Sample is what one frame or line said. Its readings stand in the order of the driver's table, each name once. A
// valid frame that measured nothing (a sensor that warms up) gives a sample without readings: the device is alive,
// and there is nothing to publish.
type Sample struct {
	At       time.Time // when the first byte of the frame or line was read
	Answer   string    // name of the command whose answer this is, with the value read back; "": measured data
	Refusal  string    // why the device refuses what it was asked, for people; "": it does not
	Readings []Reading // valid until emit returns: copy what is kept
}

// Counts is what a decoder has seen since it was made. Every byte is in a frame, in a bad frame, garbage, an echo or
// pending.
type Counts struct {
	Bytes     uint64 // fed
	Frames    uint64 // valid frames, or lines that matched; answers to commands count too
	Bad       uint64 // whole frames with a wrong checksum or end, and lines that could not be used: unmatched, not UTF-8, too long
	Unmatched uint64 // those of Bad that are readable lines of another format (E107)
	Garbage   uint64 // bytes that belong to no frame, not even a bad one
	Echo      uint64 // bytes of requests that came back, on a line that hears what is written to it
	Readable  uint64 // printable ASCII, tab, CR and LF; counted by drivers of text only (Driver.Text)
	Pending   int    // bytes held that may begin a frame
}

// Decoder makes readings out of a device's bytes. It is used by one goroutine, for one opening of a port.
type Decoder interface {
	// Feed takes the next bytes, whose first was read at at, and calls emit for each whole valid frame in order. It
	// does not keep p. What it holds between calls is bounded.
	Feed(p []byte, at time.Time, emit func(Sample))
	// End says that no byte follows: the input has ended, or the line was silent for longer than any frame pauses.
	// Whole frames behind a false beginning are still found; the rest becomes garbage. Feed may be called again.
	End(emit func(Sample))
	// Counts gives what was seen so far.
	Counts() Counts
}

// Expect says what a device does once a request was written.
type Expect uint8

// The kinds of answers.
const (
	ExpectNothing Expect = iota // the device stays silent: written is done
	ExpectAnswer                // a Sample with Answer = Request.Command follows
	ExpectData                  // a Sample of measured data (Answer "") follows
)

// Request is bytes for the device and how their answer is recognised.
type Request struct {
	Bytes   []byte        // owned by the caller
	Command string        // the command's name; "" for one of Asker
	Expect  Expect        // what the device answers
	Within  time.Duration // how long it may take, from the last byte written; 0 with ExpectNothing
}

// Commander is a Decoder of a device that can be written to.
type Commander interface {
	// Command turns a value that was published on `set` into a request. Errors say what is wrong with name or value;
	// they are meant for the user.
	Command(name string, v Value) (Request, error)
}

// Confirmer is a Commander of a device that may not tell in its answer what it was set to, but can be asked.
type Confirmer interface {
	// Confirm gives the request whose answer, with that name, tells the value in the device; ok is false where the answer to
	// the command itself told it, or the device can't be asked.
	Confirm(name string) (r Request, ok bool)
}

// Asker is a Decoder of a device that can be asked for its readings. One round of asking is the requests 0, 1, 2, …,
// each written when the one before has been answered or has timed out.
type Asker interface {
	// Next gives request number step of a round; ok is false once the round is complete.
	Next(step int) (r Request, ok bool)
}

// Hearer is a Decoder whose frames mean something only after the request that they answer.
type Hearer interface {
	// Sent tells what was written to the device; it does not keep p.
	Sent(p []byte)
}

// Overhearer is a Decoder that can understand its device while another asks it.
type Overhearer interface {
	// Overhear has Feed expect both sides of the line: requests of another master, and the device's answers to them. It is
	// called before Feed.
	Overhear()
}

// Bystander is a Decoder that wants to know what is said on its line while nothing was asked of its device.
type Bystander interface {
	// Aside takes such bytes, which it does not keep.
	Aside(p []byte)
}

// Pacer is a Decoder of frames that a silence ends.
type Pacer interface {
	// Pause tells for how long the line must be silent before End is called; 0: as long as no frame pauses.
	Pause() time.Duration
}

// Simulator is the device's side of the wire. It is used by one goroutine; what it sends depends on its options, its
// seed and the times it is handed, on nothing else.
type Simulator interface {
	// Tick appends to out what the device sends by itself now, and says when to call it next; the zero time: only
	// after Receive. A call before that time sends nothing.
	Tick(now time.Time, out []byte) ([]byte, time.Time)
	// Receive takes bytes that were written to the device and appends what it answers. Tick is to be called after it,
	// since a command may change when the device speaks.
	Receive(p []byte, now time.Time, out []byte) []byte
}

// Readable counts the bytes that stand in a text: printable ASCII, tab, CR and LF.
func Readable(p []byte) (n uint64) {
	for _, x := range p {
		if ' ' <= x && x < 0x7f || x == '\t' || x == '\r' || x == '\n' {
			n++
		}
	}
	return n
}
