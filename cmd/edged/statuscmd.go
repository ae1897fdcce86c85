// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"edged/bridge"
	"edged/cmd/edged/gateway"
)

func newStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status [DEVICE]",
		Short: "is everything working? exit 1 if not",
		Example: `  edged status
  edged status office
  edged status --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			s, err := g.askStatus(ctx)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if s, err = only(s, args[0]); err != nil {
					return err
				}
			}
			if err := g.showStatus(s, len(args) == 1); err != nil {
				return err
			}
			if !s.OK {
				return exitWith(exitProblem, errQuiet)
			}
			return nil
		},
	}
}

func (g *globals) askStatus(ctx context.Context) (s gateway.Status, err error) {
	c, _, answer, err := g.request(ctx, http.MethodGet, "/status", nil)
	if err != nil {
		return s, err
	}
	if answer.StatusCode != http.StatusOK {
		return s, exitWith(exitUnavailable, errors.Join(fmt.Errorf("the gateway answers %s", answer.Status), c.Close()))
	}
	err = json.NewDecoder(answer.Body).Decode(&s)
	return s, errors.Join(err, c.Close())
}

// only leaves in a status what concerns one device.
func only(s gateway.Status, device string) (gateway.Status, error) {
	s.Devices = slices.DeleteFunc(s.Devices, func(d bridge.Status) bool { return d.Name != device })
	if len(s.Devices) == 0 {
		return s, exitWith(exitUsage, fmt.Errorf("there is no device %q; edged status lists all", device))
	}
	s.Problems = slices.DeleteFunc(s.Problems, func(p gateway.Problem) bool { return p.Device != device })
	s.OK = len(s.Problems) == 0
	return s, nil
}

func (g *globals) showStatus(s gateway.Status, oneDevice bool) error {
	if g.json {
		e := json.NewEncoder(g.out)
		return e.Encode(s)
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	if !oneDevice {
		fmt.Fprintf(w, "Gateway\t%s\tedged %s, up %s\n", s.Gateway, s.Version, age(time.Duration(s.UptimeS)*time.Second))
		fmt.Fprintf(w, "Cloud\t%s\t%s\n", g.mark(s.Cloud.State, s.Cloud.State == "up" || s.Cloud.State == "off"), cloudLine(s.Cloud))
		fmt.Fprintf(w, "Broker\t%s\t%d clients, %d sessions, %d retained\n", strings.Join(s.Broker.Listeners, " "), s.Broker.Clients, s.Broker.Sessions, s.Broker.Retained)
		if s.Console.URL != "" {
			fmt.Fprintf(w, "Console\t%s\t\n", s.Console.URL)
		}
		if s.Disk != nil {
			fmt.Fprintf(w, "Disk\t%s\t%s\n", g.mark(map[bool]string{true: "ok", false: "not written"}[s.Disk.Writable], s.Disk.Writable), diskLine(s.Disk))
		}
		if !s.Clock.Believed {
			fmt.Fprintf(w, "Clock\t%s\t\n", g.mark("not set", false))
		}
		if len(s.Devices) > 0 {
			fmt.Fprintln(w)
		}
	}
	for _, d := range s.Devices {
		fmt.Fprintf(w, "%s\t%s\t%s\n", d.Name, g.mark(d.State, d.State == "online"), deviceLine(d))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range s.Problems {
		where := p.Device
		if where == "" {
			where = "gateway"
		}
		fmt.Fprintf(g.out, "\n%s: %s (%s)\n   %s\n", where, p.Text, cmp.Or(p.Code, p.Level), p.Do)
	}
	return nil
}

// mark gives a word the colour of good or bad, where colours may be used.
func (g *globals) mark(word string, good bool) string {
	if !g.color() {
		return word
	}
	if good {
		return "\x1b[32m" + word + "\x1b[0m"
	}
	return "\x1b[31m" + word + "\x1b[0m"
}

func cloudLine(c gateway.Cloud) string {
	if c.State == "off" {
		return "not configured"
	}
	said := "nothing acknowledged yet"
	if c.LastAckAgeS != nil {
		said = "last acknowledged " + age(time.Duration(*c.LastAckAgeS*float64(time.Second))) + " ago"
	}
	waiting := "nothing waits"
	if c.Backlog.Messages > 0 {
		classes := map[string]uint64{}
		for name, b := range c.Backlog.Classes {
			classes[name] = b.Messages
		}
		waiting = fmt.Sprintf("%d messages (%s) wait%s, the oldest since %s", c.Backlog.Messages, amount(uint64(c.Backlog.Bytes)),
			reasons(classes), age(time.Duration(c.Backlog.OldestS*float64(time.Second))))
	}
	return fmt.Sprintf("%s, %s, %d given up%s, %d reconnects%s", said, waiting, c.Dropped, reasons(c.DroppedBy), c.Reconnects, reasons(c.ReconnectsBy))
}

// reasons lists what is not 0, in parentheses.
func reasons(counts map[string]uint64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			all = append(all, fmt.Sprintf("%s %d", strings.ReplaceAll(name, "_", " "), n))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

func diskLine(d *bridge.Disk) string {
	line := amount(d.FreeBytes) + " free, journal wrote " + amount(d.JournalBytes)
	if d.WrittenBytes != nil {
		line += ", all of this machine " + amount(*d.WrittenBytes)
	}
	if d.LifeYears != nil {
		line += fmt.Sprintf(", lasts about %.0f years so", *d.LifeYears)
	}
	return line
}

// amount writes a number of bytes as people say it.
func amount(n uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func deviceLine(d bridge.Status) string {
	if d.State != "online" {
		return strings.TrimSpace(d.Reason + " " + d.Code)
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(d.Readings)) {
		b, err := json.Marshal(d.Readings[name])
		if err == nil {
			parts = append(parts, name+" "+string(b))
		}
	}
	line := strings.Join(parts, "  ")
	if d.Seen != nil {
		line += "  (" + age(time.Since(*d.Seen)) + " ago)"
	}
	return line
}

// age writes a duration as people say it: its largest unit.
func age(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}
