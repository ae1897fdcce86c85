// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"edged/config"
	"edged/devices"
	"edged/devices/catalog"
)

func newDrivers(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "drivers [NAME]",
		Short: "every driver, or one with its options, readings and commands",
		Example: `  edged drivers
  edged drivers pms5003`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return g.listDrivers()
			}
			d, err := g.driver(args[0])
			if err != nil {
				return err
			}
			return g.showDriver(d)
		},
	}
}

// driver finds a driver by its name, or makes the one that a description file tells.
func (g *globals) driver(name string) (*devices.Driver, error) {
	if strings.HasSuffix(name, ".toml") {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, exitWith(exitUsage, fmt.Errorf("read the description: %w", err))
		}
		d, _, err := catalog.ParseDescription(name, text)
		if err != nil {
			return nil, exitWith(exitConfig, err)
		}
		return d, nil
	}
	drivers, err := config.Described(g.config)
	d, ok := drivers.Get(name)
	if !ok && err != nil {
		return nil, g.problems(err)
	}
	if !ok {
		return nil, exitWith(exitUsage, fmt.Errorf("there is no driver %q; edged drivers lists all", name))
	}
	return d, nil
}

// listDrivers lists what is right, and tells what is wrong with descriptions of the user's.
func (g *globals) listDrivers() error {
	drivers, faulty := config.Described(g.config)
	if faulty != nil {
		faulty = g.problems(faulty)
	}
	if g.json {
		type entry struct {
			Name  string   `json:"name"`
			Title string   `json:"title"`
			Also  []string `json:"also,omitempty"`
			Class string   `json:"class,omitempty"`
			File  string   `json:"file,omitempty"`
		}
		var all []entry
		for _, d := range drivers.All() {
			f, _ := drivers.File(d.Name)
			all = append(all, entry{d.Name, d.Title, d.Also, d.Class, f.Name})
		}
		return errors.Join(faulty, json.NewEncoder(g.out).Encode(all))
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	for _, d := range drivers.All() {
		title := d.Title
		if f, ok := drivers.File(d.Name); ok {
			title += "  (" + f.Name + ")"
		}
		fmt.Fprintf(w, "%s\t%s\n", d.Name, title)
	}
	return errors.Join(faulty, w.Flush())
}

// showDriver prints what a user has to know to use the driver.
func (g *globals) showDriver(d *devices.Driver) error {
	if g.json {
		return json.NewEncoder(g.out).Encode(struct {
			Name     string                `json:"name"`
			Title    string                `json:"title"`
			Model    string                `json:"model,omitempty"`
			Also     []string              `json:"also,omitempty"`
			Serial   string                `json:"serial,omitempty"`
			Notes    string                `json:"notes,omitempty"`
			Readings []devices.Info        `json:"readings,omitempty"`
			Commands []devices.CommandInfo `json:"commands,omitempty"`
			Options  []devices.OptionInfo  `json:"options,omitempty"`
		}{d.Name, d.Title, d.Model, d.Also, d.Serial, d.Notes, d.Readings, d.Commands, d.Options})
	}
	fmt.Fprintf(g.out, "%s  %s\n", d.Name, d.Title)
	if len(d.Also) > 0 {
		fmt.Fprintf(g.out, "also    %s\n", strings.Join(d.Also, ", "))
	}
	if d.Serial != "" {
		fmt.Fprintf(g.out, "serial  %s\n", d.Serial)
	}
	if d.Notes != "" {
		fmt.Fprintf(g.out, "\n%s\n", d.Notes)
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	if len(d.Readings) > 0 {
		fmt.Fprintln(w, "\nReadings")
	}
	for _, r := range d.Readings {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", r.Name, r.Unit, r.Text)
	}
	if len(d.Commands) > 0 {
		fmt.Fprintln(w, "\nCommands (JSON on the topic …/set)")
	}
	for _, c := range d.Commands {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Name, takes(c.Kind, c.Values, c.Min, c.Max, c.Unit), c.Text)
	}
	if len(d.Options) > 0 {
		fmt.Fprintln(w, "\nOptions (keys of the device's table)")
	}
	for _, o := range d.Options {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", o.Name, takes(o.Kind, o.Values, nil, nil, ""), o.Text)
	}
	return w.Flush()
}

// takes tells in words what a command or an option takes.
func takes(kind string, values []string, lo, hi *float64, unit string) string {
	switch {
	case len(values) > 0:
		return strings.Join(values, " | ")
	case kind == devices.KindBool:
		return "true | false"
	case kind == devices.KindTrigger:
		return "true"
	case lo != nil && hi != nil:
		return strings.TrimSpace(fmt.Sprintf("%v to %v %s", *lo, *hi, unit))
	}
	return kind
}
