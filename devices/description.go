// SPDX-License-Identifier: Apache-2.0

package devices

// Description is a driver as a file tells it, with the file's keys. Bytes are written in hexadecimal, blanks between
// them as one likes; offsets count from the frame's first byte, negative ones from its end.
type Description struct {
	Name     string               `toml:"driver"` // the driver's name
	Title    string               `toml:"title"`
	Model    string               `toml:"model"`
	Also     []string             `toml:"also"`
	Class    string               `toml:"class"`
	Protocol string               `toml:"protocol"` // "frame"
	Serial   string               `toml:"serial"`
	Source   string               `toml:"source"` // where the protocol is documented
	Notes    string               `toml:"notes"`
	Every    string               `toml:"every"`    // how often it is asked; absent: it speaks by itself
	Simulate SimulateDescription  `toml:"simulate"` // the pretended device
	Send     SendDescription      `toml:"send"`     // what all requests share
	Option   []OptionDescription  `toml:"option"`
	Frame    []FrameDescription   `toml:"frame"`
	Reading  []ReadingDescription `toml:"reading"`
	Command  []CommandDescription `toml:"command"`
	Ask      []AskDescription     `toml:"ask"`
	Test     []TestDescription    `toml:"test"`
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

// FrameDescription is one shape of frame. Its size is fixed or told by a length field. Several may begin alike.
type FrameDescription struct {
	Name     string               `toml:"name"`
	Start    string               `toml:"start"`
	End      string               `toml:"end"`
	Size     int                  `toml:"size"`
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
	Kind  string `toml:"kind"` // sum8 neg8 xor8 sum16 neg16
	From  int    `toml:"from"`
	To    *int   `toml:"to"`
	At    *int   `toml:"at"`
	Order string `toml:"order"` // of the 16 bit kinds
}

// RangeDescription is a part of a frame.
type RangeDescription struct {
	From int `toml:"from"`
	To   int `toml:"to"`
}

// FieldDescription is where a value stands in a frame and how it is read.
type FieldDescription struct {
	At     int            `toml:"at"`
	Type   string         `toml:"type"`  // u8 s8 u16 s16 u32 s32 f32; hex, text (of len bytes); date (year-2000, month, day)
	Order  string         `toml:"order"` // "big" (default) or "little"
	Len    int            `toml:"len"`
	Scale  *float64       `toml:"scale"`
	Offset float64        `toml:"offset"` // value = number × scale + offset, exact in decimal
	Bit    *int           `toml:"bit"`    // this bit of the number, as a boolean
	Map    map[string]any `toml:"map"`    // number = value; a number that is not listed gives no value
	Absent []int64        `toml:"absent"` // numbers that mean "not measured"
}

// ReadingDescription is a reading. A name may stand there twice with different when.
type ReadingDescription struct {
	FieldDescription
	Name     string            `toml:"name"`
	Frame    string            `toml:"frame"` // default: the first
	When     *WhenDescription  `toml:"when"`
	Unit     string            `toml:"unit"`
	Class    string            `toml:"class"`
	Total    bool              `toml:"total"`
	Min      *float64          `toml:"min"`
	Max      *float64          `toml:"max"`
	Text     string            `toml:"text"`
	Simulate *RangeOfSimulated `toml:"simulate"`
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
	Type     string               `toml:"type"`   // of number: u8 s8 u16 s16 u32 s32
	Order    string               `toml:"order"`
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
	Example string            `toml:"example"` // for the pretended device; default: the frame's
}

// AskDescription is one request of a round of asking.
type AskDescription struct {
	Send     string               `toml:"send"`
	Checksum *ChecksumDescription `toml:"checksum"`
	Within   string               `toml:"within"`
}

// TestDescription is a known answer: bytes and their readings, bytes that are refused, bytes and the value read back,
// or a command and its bytes.
type TestDescription struct {
	Name     string         `toml:"name"`
	Options  map[string]any `toml:"options"`
	Bytes    string         `toml:"bytes"`    // what the device sends
	Readings map[string]any `toml:"readings"` // all readings of the one sample that they give; others must be absent
	Answer   string         `toml:"answer"`   // name of the command that they answer
	Reject   string         `toml:"reject"`   // why they give nothing
	Command  map[string]any `toml:"command"`  // one name = value
	Send     string         `toml:"send"`     // bytes that edged sends for it
}
