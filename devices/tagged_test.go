// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"testing"

	"edged/devices"
)

// sampleOptions has one field of each kind.
type sampleOptions struct {
	Address int     `toml:"address" min:"1" max:"250" default:"1" text:"its address"`
	Factor  float64 `toml:"factor" default:"1.5" text:"a factor"`
	Mode    string  `toml:"mode" values:"a b" default:"b" text:"how"`
	Key     string  `toml:"key" hex:"2" default:"ffff" text:"a key"`
	Loud    bool    `toml:"loud" text:"whether"`
}

func TestOptionsOfAStruct(t *testing.T) {
	d := &devices.Driver{Name: "x", Options: devices.OptionsOf(sampleOptions{}), New: func(devices.Options) (devices.Decoder, error) { return nil, nil }}
	var o sampleOptions
	if err := (devices.Options{}).Decode(&o); err != nil || o != (sampleOptions{1, 1.5, "b", "ffff", false}) {
		t.Errorf("defaults: %+v %v", o, err)
	}
	all := devices.Options{"address": int64(7), "factor": int64(2), "mode": "a", "key": "A160", "loud": true}
	if err := all.Decode(&o); err != nil || o != (sampleOptions{7, 2, "a", "A160", true}) {
		t.Errorf("given: %+v %v", o, err)
	}
	d.Validate(all, func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	for want, o := range map[string]devices.Options{
		"address: must be 1 to 250":                  {"address": int64(251)},
		"address: must be a whole number":            {"address": 1.5},
		"address: must be a number":                  {"address": "1"},
		`mode: "c" is not known; possible: "a", "b"`: {"mode": "c"},
		`key: "a1" is not 4 hexadecimal digits`:      {"key": "a1"},
		"loud: must be true or false":                {"loud": int64(1)},
	} {
		got := ""
		d.Validate(o, func(key, problem string) { got = key + ": " + problem })
		if err := o.Decode(new(sampleOptions)); got != want || err == nil || err.Error() != want {
			t.Errorf("%v: %q and %v, want %q", o, got, err, want)
		}
	}
}
