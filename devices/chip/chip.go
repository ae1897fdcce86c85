// SPDX-License-Identifier: Apache-2.0

// Package chip reads and sets chips on an I²C bus.
package chip

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/checksum"
)

// model is one kind of chip: how it is set up and asked, and what the bytes of a measurement mean. The bytes come from the
// chip one measurement at a time, and are read by the same decoder that `edged decode` has.
type model struct {
	size  int // bytes of a measurement
	start func(c *conn) error
	ask   func(c *conn, b []byte) error // fills a measurement of size bytes
	read  func(b []byte) ([]devices.Reading, error)
	set   func(c *conn, name string, v devices.Value) ([]devices.Reading, error) // nil: there are no commands
}

// describe completes a driver whose options make a model.
func describe(d devices.Driver, make func(o devices.Options) (*model, error), simulate func(o devices.Options, seed uint64, m devices.Machine) fake) *devices.Driver {
	d.New = func(o devices.Options) (devices.Decoder, error) {
		m, err := make(o)
		if err != nil {
			return nil, err
		}
		return devices.NewFixed(m.size, m.read), nil
	}
	d.Sensor = &devices.Opening{
		Open: func(o devices.Options, m devices.Machine) (devices.Sensor, error) {
			model, err := make(o)
			if err != nil {
				return nil, err
			}
			return open(o, d.Options, model, m)
		},
		Check: func(o devices.Options) error {
			_, err := make(o)
			return err
		},
		Place: func(o devices.Options) string {
			bus, address := where(o, d.Options)
			return fmt.Sprintf("%s:0x%02x", bus, address)
		},
		Pretend: func(o devices.Options, seed uint64, m devices.Machine) devices.Machine {
			chip := simulate(o, seed, m)
			_, address := where(o, d.Options)
			m.Bus = func(string) (devices.Bus, error) { return pretended{address, chip}, nil }
			return m
		},
	}
	return &d
}

// where tells bus and address of a chip.
func where(o devices.Options, infos []devices.OptionInfo) (bus string, address uint16) {
	for _, i := range infos {
		switch i.Name {
		case "bus":
			bus = o.Text("bus", i.Default)
		case "address":
			var n uint16
			_, _ = fmt.Sscanf(i.Default, "0x%x", &n)
			address = n
			if v, ok := devices.ValueOf(o["address"]); ok {
				x, _ := v.Float()
				address = uint16(x)
			}
		}
	}
	return "i2c-" + strings.TrimPrefix(strings.TrimPrefix(bus, "/dev/"), "i2c-"), address
}

// conn is a chip on its bus.
type conn struct {
	bus  devices.Bus
	name string
	addr uint16
	wait func(time.Duration) error
}

// tx writes w to the chip, then reads into r.
func (c *conn) tx(w, r []byte) error {
	err := c.bus.Tx(c.addr, w, r)
	if err == nil {
		return nil
	}
	t := &devices.Trouble{
		Code: devices.Silent, Text: fmt.Sprintf("no chip answers at 0x%02x of %s", c.addr, c.name), Err: err,
		Do: "look at its wires, its supply and its address (i2cdetect -y " + strings.TrimPrefix(c.name, "i2c-") + ")",
	}
	// Periph's buses keep the text of the kernel's errors and not their numbers: these two say that nobody acknowledged.
	if text := err.Error(); !strings.Contains(text, "remote I/O error") && !strings.Contains(text, "no such device or address") {
		t.Text = fmt.Sprintf("the bus %s failed at 0x%02x", c.name, c.addr)
	}
	return t
}

// write writes bytes, of which the first is a register or command.
func (c *conn) write(b ...byte) error { return c.tx(b, nil) }

// get reads from a register on.
func (c *conn) get(register byte, b []byte) error { return c.tx([]byte{register}, b) }

// strange is the error of a chip that is another than it should be.
func (c *conn) strange(format string, args ...any) error {
	return &devices.Trouble{
		Code: devices.Strange, Text: fmt.Sprintf("0x%02x of %s: %s", c.addr, c.name, fmt.Sprintf(format, args...)),
	}
}

// late is the error of a chip that does not get ready.
func (c *conn) late() error {
	return &devices.Trouble{Code: devices.Silent, Text: fmt.Sprintf("0x%02x of %s does not finish its measurement", c.addr, c.name)}
}

// sensor is an opened chip.
type sensor struct {
	*conn
	model *model
	now   func() time.Time
	buf   []byte
}

// writable is one that takes commands.
type writable struct{ *sensor }

func open(o devices.Options, infos []devices.OptionInfo, model *model, m devices.Machine) (devices.Sensor, error) {
	name, addr := where(o, infos)
	bus, err := m.Bus(name)
	if err != nil {
		return nil, err
	}
	s := &sensor{&conn{bus: bus, name: name, addr: addr, wait: m.Wait}, model, m.Now, make([]byte, model.size)}
	if model.start != nil {
		if err := model.start(s.conn); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if model.set != nil {
		return writable{s}, nil
	}
	return s, nil
}

// Close closes the bus. The chip stays as it is.
func (s *sensor) Close() error {
	if c, ok := s.bus.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Read makes one measurement.
func (s *sensor) Read(emit func(devices.Sample)) error {
	at := s.now()
	if err := s.model.ask(s.conn, s.buf); err != nil {
		return err
	}
	rs, err := s.model.read(s.buf)
	if err != nil {
		return &devices.Trouble{
			Code: devices.Unreadable, Text: fmt.Sprintf("what 0x%02x of %s says can't be right", s.addr, s.name), Err: err,
			Do: "look at its wires: they should be short, with one pair of pull-ups",
		}
	}
	emit(devices.Sample{At: at, Readings: rs})
	return nil
}

// Set carries out a command.
func (w writable) Set(name string, v devices.Value) ([]devices.Reading, error) {
	return w.model.set(w.conn, name, v)
}

// sensirion is the checksum behind each word of Sensirion's and Aosong's chips.
var sensirion = checksum.NewCRC(checksum.CRC{Bits: 8, Poly: 0x31, Init: 0xff})

var errSum = errors.New("the checksum is wrong")

// words reads 16 bit words, each with its checksum.
func words(b []byte) ([]uint16, error) {
	var all []uint16
	for ; len(b) >= 3; b = b[3:] {
		if byte(sensirion.Sum(b[:2])) != b[2] {
			return nil, errSum
		}
		all = append(all, uint16(b[0])<<8|uint16(b[1]))
	}
	return all, nil
}

// appendWord appends a word with its checksum.
func appendWord(b []byte, x uint16) []byte {
	b = append(b, byte(x>>8), byte(x))
	return append(b, byte(sensirion.Sum(b[len(b)-2:])))
}

// number is a reading, rounded to what the chip can tell.
func number(name string, x float64, decimals int) devices.Reading {
	var f float64 = 1
	for range decimals {
		f *= 10
	}
	n := int64(x*f + 0.5)
	if x < 0 {
		n = int64(x*f - 0.5)
	}
	return devices.Reading{Name: name, Value: devices.Num(float64(n) / f)}
}

// fake is a chip that a simulator pretends: it takes w and fills r.
type fake func(w, r []byte) error

var errSilent = errors.New("remote I/O error")

// pretended is a bus with one chip on it.
type pretended struct {
	addr uint16
	chip fake
}

// Tx talks to the chip.
func (p pretended) Tx(addr uint16, w, r []byte) error {
	if addr != p.addr {
		return errSilent
	}
	return p.chip(w, r)
}

// info describes a number that a chip measures.
func info(name, unit, class, text string, low, high float64) devices.Info {
	return devices.Info{Name: name, Unit: unit, Class: class, Text: text, Kind: devices.Number, Min: &low, Max: &high}
}
