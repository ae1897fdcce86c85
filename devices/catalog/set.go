// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"edged/devices"
)

// File is a description file that is not of the catalogue.
type File struct{ Name, Text string }

// Set is what there is to choose from: the drivers of the catalogue, and those that files describe, which win. Nil is the
// catalogue alone.
type Set struct {
	described map[string]override // by the driver's name
}

type override struct {
	driver *devices.Driver
	file   File
}

// With makes a set of the catalogue and of files, grouped by the directory that they are in; a later directory wins over an
// earlier one. Its error is joined Problems; the set has what is right all the same.
func With(dirs ...[]File) (*Set, error) {
	s := &Set{described: map[string]override{}}
	var failed []error
	for _, files := range dirs {
		here := map[string]string{}
		for _, f := range files {
			d, _, err := ParseDescription(f.Name, []byte(f.Text))
			if err != nil {
				failed = append(failed, err)
				continue
			}
			if first, twice := here[d.Name]; twice {
				at := locate(f.Text).find("driver")
				failed = append(failed, Problem{f.Name, at.line, at.column, "driver", fmt.Sprintf("%q is described by %s already", d.Name, first), twiceCode})
				continue
			}
			here[d.Name] = f.Name
			s.described[d.Name] = override{d, f}
		}
	}
	return s, errors.Join(failed...)
}

// Get finds a driver by its name.
func (s *Set) Get(name string) (*devices.Driver, bool) {
	if s != nil {
		if d, ok := s.described[name]; ok {
			return d.driver, true
		}
	}
	return Get(name)
}

// File gives the file that describes a driver; ok is false for one of the catalogue.
func (s *Set) File(name string) (f File, ok bool) {
	if s == nil {
		return File{}, false
	}
	d, ok := s.described[name]
	return d.file, ok
}

// All gives every driver, ordered by name.
func (s *Set) All() []*devices.Driver {
	all := All()
	if s == nil {
		return all
	}
	all = slices.DeleteFunc(all, func(d *devices.Driver) bool { _, ok := s.described[d.Name]; return ok })
	for _, d := range s.described {
		all = append(all, d.driver)
	}
	slices.SortFunc(all, devices.ByName)
	return all
}

// Files gives the files in force, ordered by name: those of which each describes a driver that no other describes better.
func (s *Set) Files() []File {
	if s == nil {
		return nil
	}
	var files []File
	for _, name := range slices.Sorted(maps.Keys(s.described)) {
		files = append(files, s.described[name].file)
	}
	return files
}
