// SPDX-License-Identifier: Apache-2.0

package port

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Listed is a serial port of this machine.
type Listed struct {
	Path     string   // /dev/ttyUSB0
	Name     string   // by which the configuration best names it: it stays the same whatever is plugged in besides
	Hardware string   // what it is, for people
	USB      *USBPort // nil: it is on no USB adapter
	Links    []string // in /dev/serial/by-id, then in /dev/serial/by-path
	Holder   string   // which program has it open, as far as that can be seen; "": none
	Console  bool     // the kernel's own console
}

// List lists the serial ports that there are, ordered by path. It opens none of them.
func (s *System) List() ([]Listed, error) {
	class := filepath.Join(s.root, "/sys/class/tty")
	all, err := os.ReadDir(class)
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	usb, err := s.USB()
	if err != nil {
		return nil, err
	}
	consoles := strings.Fields(attribute(filepath.Join(class, "console"), "active"))
	var found []Listed
	for _, tty := range all {
		dir := filepath.Join(class, tty.Name())
		if !exists(dir, "device") || attribute(dir, "type") == "0" { // no hardware, or a place for an 8250 that is not there
			continue
		}
		l := Listed{
			Path: filepath.Join(s.root, "/dev", tty.Name()), Console: slices.Contains(consoles, tty.Name()),
			Hardware: s.hardware(dir),
		}
		if i := slices.IndexFunc(usb, func(u USBPort) bool { return u.Path == l.Path }); i >= 0 {
			l.USB = &usb[i]
		}
		l.Links = s.links(l.Path)
		l.Name = bestName(l, usb)
		l.Holder = s.holder(l.Path)
		found = append(found, l)
	}
	return found, nil
}

// links are the symbolic links that udev has made to a port.
func (s *System) links(path string) []string {
	var links []string
	for _, by := range []string{"by-id", "by-path"} {
		dir := filepath.Join(s.root, "/dev/serial", by)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // no udev, or no USB
		}
		for _, e := range entries {
			link := filepath.Join(dir, e.Name())
			if to, err := filepath.EvalSymlinks(link); err == nil && to == path {
				links = append(links, link)
			}
		}
	}
	return links
}

// bestName is the shortest USB name that fits this port alone, else a link by its place, else the path.
func bestName(l Listed, usb []USBPort) string {
	if l.USB == nil {
		if len(l.Links) > 0 {
			return l.Links[0]
		}
		return l.Path
	}
	u := l.USB
	ids := usbScheme + u.Vendor + ":" + u.Product
	names := []string{ids + "@" + u.PortPath, ids + "@" + u.Interface}
	if u.Serial != "" {
		names = slices.Insert(names, 0, ids+":"+u.Serial)
	}
	for _, name := range names {
		n, err := parseUSB(name)
		if err != nil {
			continue // a serial number with characters that a name can't have
		}
		if !slices.ContainsFunc(usb, func(o USBPort) bool { return o.Path != u.Path && n.fits(o) }) {
			return name
		}
	}
	return l.Path
}

// hardware says what a port is: the adapter's maker and product, or the kernel's driver.
func (s *System) hardware(class string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(class, "device"))
	if err != nil {
		return ""
	}
	driver, _ := os.Readlink(filepath.Join(dir, "driver")) // "" tells nothing
	for up := dir; len(up) > len(s.root)+1; up = filepath.Dir(up) {
		if exists(up, "idVendor") {
			words := strings.TrimSpace(attribute(up, "manufacturer") + " " + attribute(up, "product"))
			if words != "" {
				return words
			}
			break
		}
	}
	if driver == "" {
		return "serial port"
	}
	return "serial port (" + filepath.Base(driver) + ")"
}

// Locate returns the path of the serial port with that name, which is opened by nobody for that.
func (s *System) Locate(name string) (string, error) {
	if strings.HasPrefix(name, usbScheme) {
		return s.findUSB(name)
	}
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", s.explain(name, err)
	}
	return path, nil
}

// Holder tells which program other than this one has the port at a path open, as far as that can be seen; "": none.
func (s *System) Holder(path string) string { return s.holder(path) }
