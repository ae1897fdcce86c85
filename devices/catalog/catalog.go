// SPDX-License-Identifier: Apache-2.0

// Package catalog knows every driver by its name: those written in Go, and the descriptions in TOML beside this file.
package catalog

import (
	"slices"

	"edged/devices"
)

// All gives every driver, ordered by name.
func All() []*devices.Driver {
	return slices.SortedFunc(slices.Values(list()), devices.ByName)
}

// Get finds a driver by its name.
func Get(name string) (*devices.Driver, bool) {
	all := list()
	i := slices.IndexFunc(all, func(d *devices.Driver) bool { return d.Name == name })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

func list() []*devices.Driver { return nil }
