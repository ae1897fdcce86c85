// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// OptionsOf gives the options of a driver that is written in Go, from the tags of the struct's fields: toml (the key),
// text (one line for people), default, values (of an enum, with blanks between), min and max (of a number), hex (the
// number of bytes), required. Fields are string, bool, int or float64. A mistake in the tags is a defect of the program.
func OptionsOf(of any) []OptionInfo {
	var all []OptionInfo
	t := reflect.TypeOf(of)
	for i := range t.NumField() {
		f := t.Field(i)
		o := OptionInfo{Name: f.Tag.Get("toml"), Text: f.Tag.Get("text"), Default: f.Tag.Get("default"), Kind: KindText, Required: f.Tag.Get("required") != ""}
		switch f.Type.Kind() {
		case reflect.Bool:
			o.Kind = KindBool
		case reflect.Int, reflect.Float64:
			o.Kind, o.Whole = KindNumber, f.Type.Kind() == reflect.Int
			o.Min, o.Max = limit(f.Tag.Get("min")), limit(f.Tag.Get("max"))
		}
		if values := f.Tag.Get("values"); values != "" {
			o.Kind, o.Values = KindEnum, strings.Fields(values)
		}
		if n, isHex := f.Tag.Lookup("hex"); isHex {
			o.Kind = KindHex
			o.Bytes, _ = strconv.Atoi(n) // "" is any number
		}
		all = append(all, o)
	}
	return all
}

func limit(s string) *float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return &x
}

// Decode fills the struct that to points to, of which OptionsOf gave the driver's options, with what is given and with
// defaults.
func (o Options) Decode(to any) error {
	v := reflect.ValueOf(to).Elem()
	var faults Faults
	for i, info := range OptionsOf(v.Interface()) {
		x, given := o[info.Name]
		if !given {
			x = info.fallback()
		} else if problem := info.check(x); problem != "" {
			faults.Add(info.Name, "%s", problem)
			continue
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			b, _ := x.(bool)
			f.SetBool(b)
		case reflect.Int, reflect.Float64:
			n, _ := ValueOf(x)
			if f.Kind() == reflect.Int {
				f.SetInt(int64(n.num))
				continue
			}
			f.SetFloat(n.num)
		default:
			s, _ := x.(string)
			f.SetString(s)
		}
	}
	return faults.OrNil()
}

// fallback is the option's default as TOML would give it.
func (i OptionInfo) fallback() any {
	switch i.Kind {
	case KindBool:
		return i.Default == "true"
	case KindNumber:
		if n, err := strconv.ParseInt(i.Default, 0, 64); err == nil { // also 0x76
			return n
		}
		x, _ := strconv.ParseFloat(i.Default, 64)
		return x
	}
	return i.Default
}

// inRange says what is wrong with a number; "" nothing.
func (i OptionInfo) inRange(x float64) string {
	switch {
	case i.Whole && x != math.Trunc(x):
		return "must be a whole number"
	case i.Min != nil && x < *i.Min, i.Max != nil && x > *i.Max:
		return fmt.Sprintf("must be %v to %v", *i.Min, *i.Max)
	}
	return ""
}
