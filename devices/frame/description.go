// SPDX-License-Identifier: Apache-2.0

// Package frame makes drivers of devices that speak in frames of bytes, out of descriptions: where a frame begins and
// ends, how it is checked, what stands in it, and what the device can be told.
package frame

import (
	"edged/devices"
	"edged/devices/field"
)

// Description is a driver as a file tells it, with the file's keys. Bytes are written in hexadecimal, blanks between
// them as one likes; offsets count from the frame's first byte, negative ones from its end.
type Description struct {
	devices.Head
	Stuffing *StuffingDescription `toml:"stuffing"` // frames between delimiters, which are escaped in them
	Gap      string               `toml:"gap"`      // a silence that ends a frame, where nothing else does
	Simulate SimulateDescription  `toml:"simulate"` // the pretended device
	Send     SendDescription      `toml:"send"`     // what all requests share
	Option   []OptionDescription  `toml:"option"`
	Frame    []ShapeDescription   `toml:"frame"`
	Reading  []ReadingDescription `toml:"reading"`
	Command  []CommandDescription `toml:"command"`
	Ask      []AskDescription     `toml:"ask"`
}

// StuffingDescription tells how frames lie between delimiters. Frames, requests and examples are written without
// delimiters and escapes.
type StuffingDescription struct {
	Kind string `toml:"kind"` // "slip" (RFC 1055), "cobs" (ended by 00), "hdlc" (between 7E, escaped by 7D and xor 20)
	Also string `toml:"also"` // of hdlc: bytes that are escaped besides
}

// SimulateDescription is how the pretended device behaves.
type SimulateDescription struct {
	Period string `toml:"period"` // between frames that it sends by itself; "": it only answers
}

// SendDescription is what all requests share unless they say otherwise.
type SendDescription struct {
	Checksum *ChecksumDescription `toml:"checksum"` // of {sum}
	Within   string               `toml:"within"`   // how long an answer may take, default "1s"
}

// OptionDescription is a key of the device's table whose bytes stand for {NAME} in requests.
type OptionDescription struct {
	Name    string `toml:"name"`
	Bytes   int    `toml:"bytes"`
	Default string `toml:"default"`
	Text    string `toml:"text"`
}

// ShapeDescription is one shape of frame. Its size is fixed, told by a length field, or ended by bytes; between
// delimiters and silences it may be whatever lies between them. Several may begin alike.
type ShapeDescription struct {
	Name     string               `toml:"name"`
	Start    string               `toml:"start"`
	End      string               `toml:"end"`
	Tail     int                  `toml:"tail"` // bytes behind the end
	Size     int                  `toml:"size"`
	Max      int                  `toml:"max"` // the greatest size of one that its end tells, or that lies between delimiters
	Length   *LengthDescription   `toml:"length"`
	Checksum *ChecksumDescription `toml:"checksum"`
	Need     map[string]string    `toml:"need"`    // offset = bytes that must stand there
	Blank    *RangeDescription    `toml:"blank"`   // all zero here: the device lives and has measured nothing yet
	Example  string               `toml:"example"` // a valid frame, from which the pretended device makes its own
}

// LengthDescription is a length field: frame size = its value + add.
type LengthDescription struct {
	At      int    `toml:"at"`
	Bytes   int    `toml:"bytes"` // 1 or 2
	Order   string `toml:"order"`
	Add     int    `toml:"add"`
	Allowed []int  `toml:"allowed"` // values that occur; a header with another one is garbage
	Max     int    `toml:"max"`     // the largest value, where they can't be listed
}

// ChecksumDescription is a checksum over the bytes from…to, standing at at. By default it stands just before the end
// bytes and covers all bytes from `from` up to itself.
type ChecksumDescription struct {
	Kind    string  `toml:"kind"` // one of checksum.Names; crc8, crc16 and crc32 with poly are one of your own
	From    int     `toml:"from"`
	To      *int    `toml:"to"`
	At      *int    `toml:"at"`
	Order   string  `toml:"order"`  // of those with more than one byte
	Digits  bool    `toml:"digits"` // it is written in hexadecimal digits
	Over    string  `toml:"over"`   // "digits": it covers the bytes that hexadecimal digits stand for
	Poly    *uint32 `toml:"poly"`
	Init    uint32  `toml:"init"`
	XorOut  uint32  `toml:"xorout"`
	Reflect bool    `toml:"reflect"` // refin and refout
}

// RangeDescription is a part of a frame.
type RangeDescription struct {
	From int `toml:"from"`
	To   int `toml:"to"`
}

// FieldDescription is where a value stands in a frame and how it is read.
type FieldDescription struct {
	field.Description
	At   int  `toml:"at"`
	Rest bool `toml:"rest"` // of hex and text: all up to the checksum or end
}

// ReadingDescription is a reading. A name may stand there twice with different when.
type ReadingDescription struct {
	FieldDescription
	Name     string             `toml:"name"`
	Frame    string             `toml:"frame"` // default: the first
	When     *WhenDescription   `toml:"when"`
	Repeat   *RepeatDescription `toml:"repeat"`
	Unit     string             `toml:"unit"`
	Class    string             `toml:"class"`
	Total    bool               `toml:"total"`
	Min      *float64           `toml:"min"`
	Max      *float64           `toml:"max"`
	Text     string             `toml:"text"`
	Simulate *RangeOfSimulated  `toml:"simulate"`
}

// RepeatDescription makes one reading after another of a row of fields, as far as the frame reaches up to its checksum
// and end; {n} in the name is its number, from 1.
type RepeatDescription struct {
	Count int `toml:"count"` // the most that there may be
	Step  int `toml:"step"`  // bytes from one to the next; default: the field's own
}

// RangeOfSimulated is between what a pretended device's value wanders.
type RangeOfSimulated struct {
	Low  float64 `toml:"low"`
	High float64 `toml:"high"`
}

// WhenDescription limits a reading to some of its shape's frames.
type WhenDescription struct {
	Length []int             `toml:"length"` // values of the length field
	Bytes  map[string]string `toml:"bytes"`  // as need of a frame
}

// CommandDescription is a command: a key of the JSON published on `set`.
type CommandDescription struct {
	Name     string               `toml:"name"`
	Kind     string               `toml:"kind"` // bool number enum hex trigger
	Text     string               `toml:"text"`
	Unit     string               `toml:"unit"`
	Values   map[string]string    `toml:"values"` // of bool and enum: value = bytes
	Type     string               `toml:"type"`   // of number
	Order    string               `toml:"order"`
	Scale    *float64             `toml:"scale"` // of number: value = what is sent × scale
	Bytes    int                  `toml:"bytes"` // of hex
	Min      *float64             `toml:"min"`
	Max      *float64             `toml:"max"`
	Send     string               `toml:"send"` // bytes, {value}, {sum} and {OPTION}
	Checksum *ChecksumDescription `toml:"checksum"`
	Within   string               `toml:"within"`
	Data     bool                 `toml:"data"`   // the answer is a frame of readings
	Silent   []string             `toml:"silent"` // values that the device does not answer
	Answer   *AnswerDescription   `toml:"answer"`
	Effects  map[string]string    `toml:"effects"` // value = what the pretended device does: sleep wake stream quiet send
}

// AnswerDescription is how the answer to a command is recognised, and where the value read back stands in it.
type AnswerDescription struct {
	FieldDescription
	Frame   string            `toml:"frame"`
	Need    map[string]string `toml:"need"`
	Plain   bool              `toml:"plain"`   // it acknowledges and tells no value back
	Example string            `toml:"example"` // for the pretended device; default: the frame's
}

// AskDescription is one request of a round of asking.
type AskDescription struct {
	Send     string               `toml:"send"`
	Checksum *ChecksumDescription `toml:"checksum"`
	Within   string               `toml:"within"`
	Frame    string               `toml:"frame"` // the shape that answers; default: the first that has readings
}
