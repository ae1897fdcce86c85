// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/catalog"
)

const (
	docs  = "../../docs/devices.md"
	begun = "<!-- from here on written by go test ./devices/catalog -run TestDocs -update -->\n"
)

// TestDocsTellEveryDriver compares docs/devices.md with what the catalogue says; -update writes it.
func TestDocsTellEveryDriver(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), begun)
	if !found {
		t.Fatalf("%s has no line %s", docs, begun)
	}
	want := before + begun + catalogue()
	if string(text) == want {
		return
	}
	if flag.Lookup("update").Value.String() != "true" {
		t.Fatalf("%s differs from the catalogue; go test ./devices/catalog -run TestDocs -update writes it anew", docs)
	}
	if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

var _ = flag.Bool("update", false, "write docs/devices.md anew")

// catalogue writes a table of the drivers and a section for each.
func catalogue() string {
	var b strings.Builder
	b.WriteString("\n## The drivers\n\n| driver | device | speaks | written as |\n|---|---|---|---|\n")
	for _, d := range catalog.All() {
		title := d.Title
		if len(d.Also) > 0 {
			title += "; " + strings.Join(d.Also, ", ")
		}
		_, described := catalog.Description(d.Name)
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s |\n", d.Name, d.Name, title, speaks(d), map[bool]string{true: "description", false: "Go"}[described])
	}
	for _, d := range catalog.All() {
		section(&b, d)
	}
	return b.String()
}

func speaks(d *devices.Driver) string {
	switch {
	case d.Event:
		return "when something happens"
	case d.Every > 0:
		return "when asked, each " + strings.TrimSuffix(d.Every.Round(time.Millisecond).String(), "0m0s")
	}
	return "by itself"
}

func section(b *strings.Builder, d *devices.Driver) {
	fmt.Fprintf(b, "\n### %s\n%s", d.Name, d.Title)
	if d.Serial != "" {
		fmt.Fprintf(b, ", `serial = %q`", d.Serial)
	}
	b.WriteString(".")
	if d.Notes != "" {
		b.WriteString(" " + d.Notes)
	}
	b.WriteString("\n")
	if d.Readings != nil {
		b.WriteString("\n| reading | unit | what |\n|---|---|---|\n")
		for i, r := range d.Readings {
			row := strings.ReplaceAll(r.Name, "_1", "_N")
			if i > 0 && row == r.Name && rowOf(d.Readings[i-1].Name) == rowOf(r.Name) && rowOf(r.Name) != r.Name {
				continue // the next of a row
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", r.Name, r.Unit, r.Text)
		}
	}
	if len(d.Commands) > 0 {
		b.WriteString("\n| command | takes | what |\n|---|---|---|\n")
	}
	for _, c := range d.Commands {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", c.Name, takes(c.Kind, c.Values, c.Min, c.Max, c.Unit), c.Text)
	}
	if len(d.Options) > 0 {
		b.WriteString("\n| option | takes | default | what |\n|---|---|---|---|\n")
	}
	for _, o := range d.Options {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Name, takes(o.Kind, o.Values, o.Min, o.Max, ""), o.Default, strings.ReplaceAll(o.Text, "|", `\|`))
	}
}

// rowOf is a name with each number in it replaced.
func rowOf(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words {
		if strings.Trim(w, "0123456789") == "" {
			words[i] = "N"
		}
	}
	return strings.Join(words, "_")
}

func takes(kind string, values []string, low, high *float64, unit string) string {
	switch {
	case len(values) > 0:
		return "`" + strings.Join(values, "`, `") + "`"
	case kind == devices.KindBool:
		return "`true`, `false`"
	case kind == devices.KindTrigger:
		return "`true`"
	case low != nil && high != nil:
		return strings.TrimSpace(fmt.Sprintf("%v to %v %s", *low, *high, unit))
	}
	return kind
}
