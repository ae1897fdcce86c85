// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"edged/uplink"
)

// findings prints the steps of the way to the cloud as they end, and keeps them for --json.
type findings struct {
	g      *globals
	server string
	all    []uplink.Finding
}

func (f *findings) add(x uplink.Finding) {
	f.all = append(f.all, x)
	if f.g.json {
		return
	}
	if x.Server != f.server {
		f.server = x.Server
		fmt.Fprintln(f.g.out, x.Server)
	}
	word := f.g.mark("ok", true)
	if !x.OK {
		word = f.g.mark("FAILED", false)
	}
	fmt.Fprintf(f.g.out, "  %-10s  %s  %8.1f ms  %s\n", x.Step, word, x.MS, x.Text)
	if !x.OK && x.Code != "" {
		fmt.Fprintf(f.g.out, "  %-10s  code %s\n", "", x.Code)
	}
	if x.Cause != "" {
		fmt.Fprintf(f.g.out, "  %-10s  seen: %s\n", "", x.Cause)
	}
}
