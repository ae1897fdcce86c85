// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"io"
	"time"
)

// Printer writes the readings of each valid frame as one line of JSON. Answers to commands and refusals are counted as
// frames and not written.
type Printer struct {
	d      *Driver
	dec    Decoder
	w      io.Writer
	line   []byte
	failed error
	last   time.Time
}

// NewPrinter makes a printer of a device's frames.
func NewPrinter(d *Driver, o Options, w io.Writer) (*Printer, error) {
	if d.New == nil {
		return nil, fmt.Errorf("a device of driver %s sends no bytes that could be decoded", d.Name)
	}
	dec, err := d.New(o)
	if err != nil {
		return nil, err
	}
	return &Printer{d: d, dec: dec, w: w}, nil
}

// Sent tells what was sent to the device.
func (p *Printer) Sent(request []byte) error {
	h, ok := p.dec.(Hearer)
	if !ok {
		return fmt.Errorf("driver %s understands its frames without the request that they answer", p.d.Name)
	}
	h.Sent(request)
	return nil
}

// Feed takes bytes of the device that were read at a time; the zero time where that is not known.
func (p *Printer) Feed(b []byte, at time.Time) error {
	if pacer, ok := p.dec.(Pacer); ok && !at.IsZero() && !p.last.IsZero() && pacer.Pause() > 0 && at.Sub(p.last) >= pacer.Pause() {
		p.dec.End(p.emit)
	}
	p.last = at
	p.dec.Feed(b, at, p.emit)
	return p.failed
}

func (p *Printer) emit(s Sample) {
	if s.Answer == "" && s.Refusal == "" && p.failed == nil {
		p.line = append(AppendObject(p.line[:0], s.Readings), '\n')
		_, p.failed = p.w.Write(p.line)
	}
}

// End says that no byte follows: an unfinished frame counts as garbage.
func (p *Printer) End() (Counts, error) {
	p.dec.End(p.emit)
	return p.dec.Counts(), p.failed
}

// Decode reads a device's bytes from r to its end and prints them to w. request, which may be nil, is what had been sent to
// the device before.
func Decode(d *Driver, o Options, request []byte, r io.Reader, w io.Writer) (Counts, error) {
	p, err := NewPrinter(d, o, w)
	if err != nil {
		return Counts{}, err
	}
	if len(request) > 0 {
		if err := p.Sent(request); err != nil {
			return Counts{}, err
		}
	}
	buf := make([]byte, 4096)
	for p.failed == nil {
		n, err := r.Read(buf)
		if failed := p.Feed(buf[:n], time.Time{}); failed != nil {
			break
		}
		if err == io.EOF {
			return p.End()
		}
		if err != nil {
			return p.dec.Counts(), err
		}
	}
	return p.dec.Counts(), p.failed
}
