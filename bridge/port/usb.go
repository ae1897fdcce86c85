// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// usbName is usb:VID:PID[:SERIAL][@PORT-PATH] in parts. PORT-PATH is as the kernel writes it, "1-1.4", or with the
// interface of an adapter that has several ports, "1-1.4:1.1".
type usbName struct {
	vendor, product, serial, path string
}

var hex4 = regexp.MustCompile(`^[0-9a-f]{4}$`)

func parseUSB(name string) (usbName, error) {
	rest := strings.TrimPrefix(name, usbScheme)
	var u usbName
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest, u.path = rest[:i], rest[i+1:]
		if u.path == "" {
			return u, fmt.Errorf("%q: the port path after @ is empty, it looks like 1-1.4", name)
		}
	}
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 2 {
		return u, fmt.Errorf("%q is not usb:VID:PID[:SERIAL][@PORT-PATH]", name)
	}
	u.vendor, u.product = strings.ToLower(parts[0]), strings.ToLower(parts[1])
	for _, id := range []string{u.vendor, u.product} {
		if !hex4.MatchString(id) {
			return u, fmt.Errorf("%q: %q is not four hexadecimal digits (lsusb shows VID:PID)", name, id)
		}
	}
	if len(parts) == 3 {
		if u.serial = parts[2]; u.serial == "" {
			return u, fmt.Errorf("%q: the serial number is empty", name)
		}
	}
	return u, nil
}

// USBPort is a serial port on a USB adapter.
type USBPort struct {
	Path            string // /dev/ttyUSB0
	Vendor, Product string // four hexadecimal digits
	Serial          string // "": the adapter has none
	PortPath        string // where it is plugged in, 1-1.4
	Interface       string // 1-1.4:1.0
}

// Name returns the name by which the configuration finds exactly this port while it stays where it is plugged in.
func (u USBPort) Name() string {
	name := usbScheme + u.Vendor + ":" + u.Product
	if u.Serial != "" {
		name += ":" + u.Serial
	}
	return name + "@" + u.PortPath
}

// USB lists the serial ports on USB adapters that are plugged in, ordered by path. It opens none of them.
func (s *System) USB() ([]USBPort, error) {
	class := filepath.Join(s.root, "/sys/class/tty")
	all, err := os.ReadDir(class)
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	var found []USBPort
	for _, tty := range all {
		dir, err := filepath.EvalSymlinks(filepath.Join(class, tty.Name(), "device"))
		if err != nil {
			continue // not hardware
		}
		if u, ok := s.usbParent(dir); ok {
			u.Path = filepath.Join(s.root, "/dev", tty.Name())
			found = append(found, u)
		}
	}
	return found, nil
}

// usbParent climbs from a tty's device to the USB device that it is a part of.
func (s *System) usbParent(dir string) (USBPort, bool) {
	var u USBPort
	for ; len(dir) > len(s.root)+1; dir = filepath.Dir(dir) {
		if u.Interface == "" && strings.Contains(filepath.Base(dir), ":") && exists(dir, "bInterfaceNumber") {
			u.Interface = filepath.Base(dir)
		}
		if exists(dir, "idVendor") {
			u.Vendor, u.Product, u.Serial = attribute(dir, "idVendor"), attribute(dir, "idProduct"), attribute(dir, "serial")
			u.PortPath = filepath.Base(dir)
			return u, true
		}
	}
	return u, false
}

// onUSB says whether the tty at path is a port of a USB adapter.
func (s *System) onUSB(path string) bool {
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(s.root, "/sys/class/tty", filepath.Base(to), "device"))
	if err != nil {
		return false
	}
	_, found := s.usbParent(dir)
	return found
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// findUSB returns the path of the port with that name.
func (s *System) findUSB(name string) (string, error) {
	want, err := parseUSB(name)
	if err != nil {
		return "", &Error{Code: Missing, Port: name, Text: err.Error(), Err: err}
	}
	all, err := s.USB()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", &Error{Code: Missing, Port: name, Text: err.Error(), Err: err}
	}
	var names []string
	var fit []USBPort
	for _, u := range all {
		names = append(names, fmt.Sprintf("%s (%s)", u.Name(), u.Path))
		if want.fits(u) {
			fit = append(fit, u)
		}
	}
	switch len(fit) {
	case 1:
		return fit[0].Path, nil
	case 0:
		e := &Error{Code: Missing, Port: name, Text: "no such USB adapter is plugged in", Do: "plug it in"}
		if len(names) > 0 {
			e.Do += "; there are " + strings.Join(names, ", ")
		}
		return "", e
	default:
		names = names[:0]
		for _, u := range fit {
			n := u.Name()
			if slices.ContainsFunc(fit, func(o USBPort) bool { return o.Path != u.Path && o.Name() == n }) {
				n = strings.TrimSuffix(n, u.PortPath) + u.Interface
			}
			names = append(names, fmt.Sprintf("%s (%s)", n, u.Path))
		}
		return "", &Error{
			Code: Missing, Port: name, Text: fmt.Sprintf("%d ports have this name", len(fit)),
			Do: "name one of " + strings.Join(names, ", "),
		}
	}
}

func (n usbName) fits(u USBPort) bool {
	return n.vendor == u.Vendor && n.product == u.Product &&
		(n.serial == "" || n.serial == u.Serial) && (n.path == "" || n.path == u.PortPath || n.path == u.Interface)
}
