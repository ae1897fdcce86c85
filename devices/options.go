// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Options are the driver's own keys of a device's table as TOML gave them: string, bool, int64, float64, []any,
// map[string]any.
type Options map[string]any

// Fault is something wrong with one key. Problem is meant for the user.
type Fault struct {
	Key     string // "parse", or in a description "reading[2].at"
	Problem string
}

// Faults is an error made of several.
type Faults []Fault

// Error lists them.
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, x := range f {
		texts[i] = x.Key + ": " + x.Problem
		if x.Key == "" {
			texts[i] = x.Problem
		}
	}
	return strings.Join(texts, "; ")
}

// Add appends one.
func (f *Faults) Add(key, format string, args ...any) {
	*f = append(*f, Fault{key, fmt.Sprintf(format, args...)})
}

// OrNil gives the faults as an error, nil when there are none.
func (f Faults) OrNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Validate reports everything wrong with the options of a device that uses this driver: keys that the driver does not
// have, wrong types and values, missing ones, and what New finds wrong with them together.
func (d *Driver) Validate(o Options, report func(key, problem string)) {
	faults := d.check(o)
	if len(faults) == 0 {
		if err := d.together(o); err != nil {
			var ok bool
			if faults, ok = err.(Faults); !ok {
				faults.Add("", "%v", err)
			}
		}
	}
	for _, f := range faults {
		report(f.Key, f.Problem)
	}
}

// together says what is wrong with options that are right each for itself.
func (d *Driver) together(o Options) error {
	switch {
	case d.Sensor != nil && d.Sensor.Check != nil:
		return d.Sensor.Check(o)
	case d.New == nil:
		return nil
	}
	_, err := d.New(o)
	return err
}

// check looks at each option alone.
func (d *Driver) check(o Options) Faults {
	var faults Faults
	for _, info := range d.Options {
		v, given := o[info.Name]
		switch {
		case !given && info.Required:
			faults.Add(info.Name, "driver %s needs it: %s", d.Name, info.Text)
		case given:
			if problem := info.check(v); problem != "" {
				faults.Add(info.Name, "%s", problem)
			}
		}
	}
	var unknown []string
	for key := range o {
		if !slices.ContainsFunc(d.Options, func(i OptionInfo) bool { return i.Name == key }) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		faults.Add(key, "driver %s has no such option", d.Name)
	}
	return faults
}

// check says what is wrong with the value of one option; "" nothing.
func (i OptionInfo) check(v any) string {
	s, isText := v.(string)
	_, isBool := v.(bool)
	switch {
	case i.Kind == KindBool:
		return unless(isBool, "must be true or false")
	case i.Kind == KindNumber:
		n, ok := ValueOf(v)
		if !ok || n.Kind() != Number {
			return "must be a number"
		}
		return i.inRange(n.num)
	case !isText:
		return "must be a string"
	case i.Kind == KindEnum:
		return unless(slices.Contains(i.Values, s), fmt.Sprintf("%q is not known; possible: %s", s, QuoteAll(i.Values)))
	case i.Kind == KindHex:
		b, err := hex.DecodeString(s)
		if i.Bytes > 0 {
			return unless(err == nil && len(b) == i.Bytes, fmt.Sprintf("%q is not %d hexadecimal digits", s, 2*i.Bytes))
		}
		return unless(err == nil, fmt.Sprintf("%q is not an even number of hexadecimal digits", s))
	}
	return ""
}

func unless(ok bool, problem string) string {
	if ok {
		return ""
	}
	return problem
}

// QuoteAll writes words for people: each in quotes, with commas between.
func QuoteAll(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}

// Text gives an option that is a string; or where it is absent.
func (o Options) Text(key, or string) string {
	if s, ok := o[key].(string); ok {
		return s
	}
	return or
}
