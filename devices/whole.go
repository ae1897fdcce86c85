// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// whole decodes what comes in measurements whose ends are known: a chip gives so many bytes, a file so many lines. There
// is no search for a beginning.
type whole struct {
	next   func(b []byte) int
	limit  int
	read   func(b []byte) ([]Reading, error)
	buf    []byte
	begun  time.Time
	counts Counts
}

// NewWhole makes a decoder of measurements. next gives the size of the first in b, 0 while it is not whole, which has to
// be told within limit bytes; read gives what is in one, and an error where it can't be right.
func NewWhole(limit int, next func(b []byte) int, read func(b []byte) ([]Reading, error)) Decoder {
	return &whole{next: next, limit: limit, read: read}
}

// NewFixed makes a decoder of measurements of size bytes.
func NewFixed(size int, read func(b []byte) ([]Reading, error)) Decoder {
	return NewWhole(size, func(b []byte) int {
		if len(b) < size {
			return 0
		}
		return size
	}, read)
}

// Feed takes bytes.
func (w *whole) Feed(p []byte, at time.Time, emit func(Sample)) {
	w.counts.Bytes += uint64(len(p))
	for len(p) > 0 {
		if len(w.buf) == 0 {
			w.begun = at
		}
		n := min(len(p), w.limit-len(w.buf))
		w.buf, p = append(w.buf, p[:n]...), p[n:]
		for {
			size := w.next(w.buf)
			if size == 0 {
				break
			}
			w.take(w.buf[:size], emit)
			w.buf = append(w.buf[:0], w.buf[size:]...)
			w.begun = at
		}
		if len(w.buf) == w.limit {
			w.counts.Garbage += uint64(len(w.buf))
			w.buf = w.buf[:0]
		}
	}
	w.counts.Pending = len(w.buf)
}

func (w *whole) take(b []byte, emit func(Sample)) {
	rs, err := w.read(b)
	if err != nil {
		w.counts.Bad++
		return
	}
	w.counts.Frames++
	emit(Sample{At: w.begun, Readings: rs})
}

// End gives up what is not whole.
func (w *whole) End(func(Sample)) {
	w.counts.Garbage += uint64(len(w.buf))
	w.buf, w.counts.Pending = w.buf[:0], 0
}

// Counts gives what was seen.
func (w *whole) Counts() Counts { return w.counts }

// ReadText reads a small file of the kernel, without the white space around it.
func ReadText(f fs.FS, name string) (string, error) {
	b, err := fs.ReadFile(f, name)
	return strings.TrimSpace(string(b)), err
}

// Choose finds the one that is meant by an address among what there is: by its name, or, without one, the only one. what
// is the kind of thing, for people.
func Choose(address, what string, there []string) (string, error) {
	for _, name := range there {
		if name == address {
			return name, nil
		}
	}
	t := &Trouble{Code: Absent, Text: "there is no " + what, Do: "look at its wires and at the overlay that announces it in config.txt"}
	switch {
	case len(there) == 1 && address == "":
		return there[0], nil
	case len(there) == 0:
	case address == "":
		t.Text, t.Do = fmt.Sprintf("there are %d of %s", len(there), what), "say which, by address: "+QuoteAll(there)
	default:
		t.Text, t.Do = fmt.Sprintf("there is no %s %q", what, address), "there are "+QuoteAll(there)
	}
	return "", t
}
