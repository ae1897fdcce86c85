// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"io"
	"time"
)

// Decode reads a device's bytes from r to its end and writes the readings of each valid frame as one line of JSON to
// w. Answers to commands and refusals are counted as frames
// and not written. request, which may be nil, is what had been sent to
// the device before. An unfinished frame at the end counts as garbage.
func Decode(d *Driver, o Options, request []byte, r io.Reader, w io.Writer) (Counts, error) {
	dec, err := d.New(o)
	if err != nil {
		return Counts{}, err
	}
	if len(request) > 0 {
		h, ok := dec.(Hearer)
		if !ok {
			return Counts{}, fmt.Errorf("driver %s understands its frames without the request that they answer", d.Name)
		}
		h.Sent(request)
	}
	var line []byte
	var failed error
	emit := func(s Sample) {
		if s.Answer == "" && s.Refusal == "" && failed == nil {
			line = append(AppendObject(line[:0], s.Readings), '\n')
			_, failed = w.Write(line)
		}
	}
	buf := make([]byte, 4096)
	for failed == nil {
		n, err := r.Read(buf)
		dec.Feed(buf[:n], time.Time{}, emit)
		if err == io.EOF {
			dec.End(emit)
			return dec.Counts(), failed
		}
		if err != nil {
			return dec.Counts(), err
		}
	}
	return dec.Counts(), failed
}
