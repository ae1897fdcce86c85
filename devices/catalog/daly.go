// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"slices"

	"edged/devices"
)

// dalyOptions are the keys of a device's table.
type dalyOptions struct {
	Protocol string `toml:"protocol" values:"d2 a5" default:"d2" text:"d2: like Modbus, of those made since about 2021; a5: the older one"`
}

// daly is the driver of Daly's battery management systems, which speak one of two protocols: each is a description, and
// an option chooses.
func daly() *devices.Driver {
	d2, a5 := fromFile("daly-d2"), fromFile("daly-a5")
	choose := func(o devices.Options) (*devices.Driver, error) {
		var x dalyOptions
		if err := o.Decode(&x); err != nil {
			return nil, err
		}
		if x.Protocol == "a5" {
			return a5, nil
		}
		return d2, nil
	}
	d := *d2
	d.Name, d.Title, d.Options = "daly", "Daly battery management system", devices.OptionsOf(dalyOptions{})
	for _, r := range slices.Concat(d2.Readings, a5.Readings) {
		r.Optional = true
		if !slices.ContainsFunc(d.Readings, func(x devices.Info) bool { return x.Name == r.Name }) {
			d.Readings = append(slices.Clip(d.Readings), r)
		}
	}
	d.New = func(o devices.Options) (devices.Decoder, error) {
		of, err := choose(o)
		if err != nil {
			return nil, err
		}
		return of.New(nil)
	}
	d.Simulate = func(o devices.Options, seed uint64) (devices.Simulator, error) {
		of, err := choose(o)
		if err != nil {
			return nil, err
		}
		return of.Simulate(nil, seed)
	}
	return &d
}
