// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"edged/bridge/scan"
	"edged/config"
	"edged/devices"
)

// printScan prints the ports and what was found on them.
func (g *globals) printScan(all []*scanned, drivers []*devices.Driver) error {
	for _, s := range all {
		if s.Report == nil || s.Report.Match == nil {
			continue
		}
		m := s.Report.Match
		var err error
		if s.Block, err = config.Block([]string{"device", blockName(m)}, matchKeys(s.Name, m, drivers)...); err != nil {
			return err
		}
	}
	if g.json {
		return g.scanJSON(all)
	}
	if len(all) == 0 {
		g.say("there is no serial port here: plug one in, or see `edged scan --help`")
		return nil
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PORT\tNAME TO USE\tHARDWARE\tSTATE")
	for _, s := range all {
		state := cmp.Or(s.State, "not listened to")
		if s.State == "" && s.Holder != "" {
			state = "in use by " + s.Holder
		}
		if s.Device != "" {
			state += "; it is device " + s.Device
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Path, s.Name, s.Hardware, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range all {
		if s.Report != nil && !s.Report.Silent() {
			g.printHeard(s)
		}
	}
	return nil
}

// printHeard tells what was heard on one port.
func (g *globals) printHeard(s *scanned) {
	fmt.Fprintf(g.out, "\n%s: nothing was written to it\n", s.Path)
	for _, h := range s.Report.Heard {
		fmt.Fprintf(g.out, "  %-11s  %3.0f %% readable, %d bytes, %d lines\n", h.Mode, 100*h.Readable, h.Bytes, h.Lines)
	}
	m := s.Report.Match
	if m == nil {
		fmt.Fprintf(g.out, "  %s\n", unknown(s.Report))
		return
	}
	values := string(devices.AppendObject(nil, m.Readings))
	if m.Proven {
		fmt.Fprintf(g.out, "  Speaks %s: %s, the last %s\n", m.Driver, plural(m.Frames, "valid frame"), values)
	} else {
		fmt.Fprintf(g.out, "  Looks like lines of text (format %q): %s\n", m.Options["format"], values)
	}
	if len(m.Also) > 0 {
		fmt.Fprintf(g.out, "  The same frames are those of %s: take the one that you have\n", strings.Join(m.Also, ", "))
	}
	fmt.Fprintf(g.out, "\n%s\nSave it:  edged device add %s --name NAME\n", s.Block, shellWord(s.Name))
}

// unknown says what bytes that nobody understands may be.
func unknown(r *scan.Report) string {
	best := slices.MaxFunc(r.Heard, func(a, b scan.Heard) int { return cmp.Compare(a.Readable, b.Readable) })
	if best.Readable >= 0.95 {
		return fmt.Sprintf("Readable text at %v, but too few whole lines to tell how they are to be read: --for 20s listens longer", best.Mode)
	}
	return "No rate makes text or frames with a valid checksum of it: a device that no driver knows, an unusual rate or parity " +
		"(--serial), or bytes of another level or polarity"
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shellWord quotes a word that a shell would take apart.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/:._@-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

type heardJSON struct {
	Serial   string  `json:"serial"`
	Bytes    uint64  `json:"bytes"`
	Readable float64 `json:"readable"`
	Lines    int     `json:"lines"`
}

type matchJSON struct {
	Driver   string          `json:"driver"`
	Also     []string        `json:"also,omitempty"`
	Serial   string          `json:"serial"`
	Options  map[string]any  `json:"options,omitempty"`
	Proven   bool            `json:"proven"`
	Frames   uint64          `json:"frames"`
	Readings json.RawMessage `json:"readings"`
	Config   string          `json:"config"`
}

type scannedJSON struct {
	Port     string      `json:"port"`
	Name     string      `json:"name"`
	Hardware string      `json:"hardware,omitempty"`
	Vendor   string      `json:"usb_vendor,omitempty"`
	Product  string      `json:"usb_product,omitempty"`
	Serial   string      `json:"usb_serial,omitempty"`
	Place    string      `json:"usb_place,omitempty"`
	Links    []string    `json:"links,omitempty"`
	Holder   string      `json:"holder,omitempty"`
	Device   string      `json:"device,omitempty"`
	State    string      `json:"state,omitempty"`
	Code     string      `json:"code,omitempty"`
	Heard    []heardJSON `json:"heard,omitempty"`
	Match    *matchJSON  `json:"match,omitempty"`
}

func (g *globals) scanJSON(all []*scanned) error {
	list := []scannedJSON{}
	for _, s := range all {
		j := scannedJSON{
			Port: s.Path, Name: s.Name, Hardware: s.Hardware, Links: s.Links, Holder: s.Holder, Device: s.Device,
			State: s.State, Code: s.Code,
		}
		if s.USB != nil {
			j.Vendor, j.Product, j.Serial, j.Place = s.USB.Vendor, s.USB.Product, s.USB.Serial, s.USB.PortPath
		}
		if s.Report != nil {
			for _, h := range s.Report.Heard {
				j.Heard = append(j.Heard, heardJSON{h.Mode.String(), h.Bytes, h.Readable, h.Lines})
			}
			if m := s.Report.Match; m != nil {
				j.Match = &matchJSON{
					m.Driver, m.Also, m.Mode.String(), m.Options, m.Proven, m.Frames, devices.AppendObject(nil, m.Readings), s.Block,
				}
			}
		}
		list = append(list, j)
	}
	return json.NewEncoder(g.out).Encode(map[string]any{"schema": 1, "ports": list})
}
