// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Check runs a known answer against its driver. Its error says what came instead.
func Check(d *Driver, t TestDescription) error {
	dec, err := d.New(t.Options)
	if err != nil {
		return err
	}
	if t.Command != nil {
		return checkCommand(dec, t)
	}
	raw, err := ParseHex(t.Bytes)
	if err != nil {
		return err
	}
	var got []Sample
	collect := func(s Sample) {
		s.Readings = slices.Clone(s.Readings)
		if s.Refusal == "" {
			got = append(got, s)
		}
	}
	request, err := ParseHex(t.Request)
	if err != nil {
		return err
	}
	if h, ok := dec.(Hearer); ok && len(request) > 0 {
		h.Sent(request)
	} else if len(request) > 0 {
		return errors.New("the driver has no use for a request")
	}
	dec.Feed(raw, time.Time{}, collect)
	dec.End(collect)
	switch c := dec.Counts(); {
	case len(raw) == 0:
		return errors.New("a test needs bytes or a command")
	case t.Reject != "" && len(got) > 0:
		return fmt.Errorf("gives %s, want it refused: %s", AppendObject(nil, got[0].Readings), t.Reject)
	case t.Reject != "":
		return nil
	case len(got) != 1:
		return fmt.Errorf("gives %d samples, want 1 (%d bad frames, %d bytes of garbage)", len(got), c.Bad, c.Garbage)
	case got[0].Answer != t.Answer:
		return fmt.Errorf("answers %q, want %q", got[0].Answer, t.Answer)
	}
	return compare(got[0].Readings, t.Readings)
}

func checkCommand(dec Decoder, t TestDescription) error {
	c, ok := dec.(Commander)
	if !ok || len(t.Command) != 1 {
		return errors.New("a test of a command has one name and value, and a driver with commands")
	}
	want, err := ParseHex(t.Send)
	if err != nil {
		return err
	}
	for name, x := range t.Command {
		v, ok := ValueOf(x)
		if !ok {
			return fmt.Errorf("%s: %v is no value", name, x)
		}
		r, err := c.Command(name, v)
		if t.Reject != "" && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if t.Reject != "" || !bytes.Equal(r.Bytes, want) {
			return fmt.Errorf("%s = %v sends % x, want % x", name, x, r.Bytes, want)
		}
	}
	return nil
}

// compare says how readings differ from those wanted.
func compare(got []Reading, want map[string]any) error {
	var all []error
	for _, r := range got {
		x, expected := want[r.Name]
		v, _ := ValueOf(x)
		if a, ok := r.Value.Float(); ok && v.Kind() == Number {
			b, _ := v.Float()
			if math.Abs(a-b) <= 1e-9*math.Abs(b) {
				continue
			}
		}
		if !expected || r.Value != v {
			all = append(all, fmt.Errorf("%s is %v, want %v", r.Name, r.Value, x))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.ContainsFunc(got, func(r Reading) bool { return r.Name == name }) {
			all = append(all, fmt.Errorf("%s is absent, want %v", name, want[name]))
		}
	}
	return errors.Join(all...)
}
