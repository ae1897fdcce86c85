// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/field"
)

// table is one of the four of Modbus; its value is the function that reads it.
type table int

const (
	coil     table = 1
	discrete table = 2
	holding  table = 3
	input    table = 4
)

// bits reports whether the table holds single bits.
func (t table) bits() bool { return t <= discrete }

// model is a description that was understood. It is shared by all decoders of its driver and never changed.
type model struct {
	address    int
	gap, limit int
	every      time.Duration
	within     time.Duration
	readings   []reading
	commands   []*command
	reads      []read
}

// reading is a field of registers.
type reading struct {
	field  field.Field
	name   string
	table  table
	at     int
	count  int // registers, or bits
	byte   int // of a field of one byte: which one of the register
	rounds int // it is read in one round of so many
	wander *RangeOfSimulated
}

// read is one request of a round, and what its registers hold.
type read struct {
	table    table
	at       int
	count    int
	rounds   int
	given    bool // by the description
	readings []reading
}

// plan merges readings into as few requests as gap and limit allow. Those that are read less often are apart.
func (m *model) plan() {
	order := make([]int, len(m.readings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := m.readings[i], m.readings[j]
		return cmp.Or(cmp.Compare(a.rounds, b.rounds), cmp.Compare(a.table, b.table), cmp.Compare(a.at, b.at))
	})
	given := len(m.reads)
	for _, i := range order {
		r := m.readings[i]
		if m.whole(r) {
			continue
		}
		limit := m.limit
		if r.table.bits() {
			limit = 16 * m.limit
		}
		n := len(m.reads) - 1
		if n >= given {
			last := &m.reads[n]
			end := max(last.at+last.count, r.at+r.count)
			if last.rounds == r.rounds && last.table == r.table && r.at <= last.at+last.count+m.gap && end-last.at <= limit {
				last.count = end - last.at
				last.readings = append(last.readings, r)
				continue
			}
		}
		m.reads = append(m.reads, read{table: r.table, at: r.at, count: r.count, rounds: r.rounds, readings: []reading{r}})
	}
}

// whole puts a reading into a block that the description gives.
func (m *model) whole(r reading) bool {
	for i := range m.reads {
		x := &m.reads[i]
		if x.given && x.table == r.table && r.at >= x.at && r.at+r.count <= x.at+x.count {
			x.readings = append(x.readings, r)
			return true
		}
	}
	return false
}

// values appends what the bytes of an answer say.
func (r *read) values(b []byte, to []devices.Reading) []devices.Reading {
	for i := range r.readings {
		x := &r.readings[i]
		v := x.value(b, r.at)
		if v.Kind() != devices.None {
			to = append(to, devices.Reading{Name: x.name, Value: v})
		}
	}
	return to
}

func (x *reading) value(b []byte, from int) devices.Value {
	if x.table.bits() {
		bit := x.at - from
		return devices.Flag(b[bit/8]>>(bit%8)&1 == 1)
	}
	return x.field.Read(x.place(b, from))
}

// place gives the bytes of a field in an answer whose first register is from.
func (x *reading) place(b []byte, from int) []byte {
	at := 2*(x.at-from) + x.byte
	return b[at : at+x.field.Width]
}

// command is something that can be written.
type command struct {
	info   devices.CommandInfo
	table  table
	at     uint16
	field  field.Field
	many   bool
	values map[string]uint64
	send   []byte // function and data; nil: a coil or registers
}

// pdu gives function and data of the command.
func (c *command) pdu(v devices.Value) ([]byte, error) {
	if c.send != nil {
		if on, _ := v.Truth(); !on {
			return nil, c.refuse(v, "true")
		}
		return c.send, nil
	}
	raw, err := c.raw(v)
	if err != nil {
		return nil, err
	}
	function := byte(6)
	switch {
	case c.table == coil:
		function = 5
	case len(raw) > 2 || c.many:
		b := binary.BigEndian.AppendUint16([]byte{16}, c.at)
		b = binary.BigEndian.AppendUint16(b, uint16(len(raw)/2))
		return append(append(b, byte(len(raw))), raw...), nil
	}
	return append(binary.BigEndian.AppendUint16([]byte{function}, c.at), raw...), nil
}

// raw gives the bytes of the registers.
func (c *command) raw(v devices.Value) ([]byte, error) {
	b := make([]byte, c.field.Width)
	if c.info.Kind == devices.KindNumber {
		x, ok := v.Float()
		if !ok || x < *c.info.Min || x > *c.info.Max || !c.field.Scaled() && x != math.Trunc(x) {
			return nil, c.refuse(v, fmt.Sprintf("a number from %v to %v", *c.info.Min, *c.info.Max))
		}
		c.field.Put(b, v)
		return b, nil
	}
	n, ok := c.values[v.String()]
	if isText := v.Kind() == devices.String; !ok || isText != (c.info.Kind == devices.KindEnum) && !(c.info.Kind == devices.KindEnum && v.Kind() == devices.Number) {
		return nil, c.refuse(v, "one of "+strings.Join(c.words(), ", "))
	}
	for i := range b {
		b[len(b)-1-i] = byte(n >> (8 * i))
	}
	return b, nil
}

func (c *command) words() []string {
	var words []string
	for word := range c.values {
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

func (c *command) refuse(v devices.Value, takes string) error {
	return fmt.Errorf("%s takes %s, not %s", c.info.Name, takes, v.AppendJSON(nil))
}

// echoed reports whether the answer to the command tells its value.
func (c *command) echoed() bool {
	return c.send == nil && (c.table == coil || c.field.Width == 2 && !c.many)
}

// readable reports whether the value can be asked for, and needs to be.
func (c *command) readable() bool {
	return c.send == nil && c.table == holding && !c.echoed() && c.info.Kind != devices.KindTrigger
}

// back gives the value that the device tells in the bytes of its registers.
func (c *command) back(b []byte) devices.Value {
	if c.info.Kind == devices.KindNumber {
		return c.field.Read(b)
	}
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	for word, x := range c.values {
		if x != n {
			continue
		}
		if c.info.Kind == devices.KindEnum {
			return devices.Str(word)
		}
		return devices.Flag(word == "true")
	}
	return devices.Value{}
}
