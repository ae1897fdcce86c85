// SPDX-License-Identifier: Apache-2.0

package line

import (
	"slices"

	"edged/devices"
)

// Driver is the driver of sensors that write a line of text for each measurement.
func Driver() *devices.Driver {
	return &devices.Driver{
		Name: "line", Title: "Lines of text: template, JSON, CSV, regular expression or key=value", Class: "text",
		Serial: "9600 8N1", Text: true,
		Notes: "A line ends with CR, LF or both. Names that come from the device are lower-cased, other characters than " +
			"[a-z0-9_] become _; nested JSON is joined by _, list items get _1, _2, …",
		Options: []devices.OptionInfo{
			{
				Name: "format", Kind: devices.KindEnum, Values: lineFormats(), Required: true,
				Text: "how a line is read",
			},
			{
				Name: "parse", Kind: devices.KindText,
				Text: `template: the whole line, numbers as {NAME}, anything else as {}: "T={temperature},H={humidity}". ` +
					`regex: named groups: "T=(?P<temperature>[0-9.]+)". ` +
					`csv: names of the columns, one without a name is left out: "temperature,,humidity"; ` +
					`absent: the first line names them, else column_1, column_2, …`,
			},
			{
				Name: "start", Kind: devices.KindText,
				Text: "what a line begins with, such as \"\\u0002\"; what stands before it is left out, a line without it is not read",
			},
			{
				Name: "end", Kind: devices.KindText, Default: "CR, LF or both",
				Text: "what a line ends with instead, such as \";\" or \"\\u0003\"; CR and LF around the line are left out",
			},
			{Name: "separator", Kind: devices.KindText, Default: ",", Text: `csv: the one character between columns`},
		},
		New: func(o devices.Options) (devices.Decoder, error) {
			f, err := newFormat(o)
			if err != nil {
				return nil, err
			}
			return &lineDecoder{format: f, start: []byte(o.Text("start", "")), end: []byte(o.Text("end", ""))}, nil
		},
		Simulate: newLineSimulator,
		Expects:  expectedOfLine,
	}
}

func lineFormats() []string { return []string{"template", "json", "csv", "regex", "kv"} }

// newFormat makes the format that the options name.
func newFormat(o devices.Options) (format, error) {
	kind, parse := o.Text("format", ""), o.Text("parse", "")
	_, given := o["parse"]
	var faults devices.Faults
	for _, key := range []string{"start", "end"} {
		if text, ok := o[key]; ok && (text == "" || len(o.Text(key, "")) > maxMarker) {
			faults.Add(key, "must be 1 to %d bytes", maxMarker)
		}
	}
	if given && (kind == "json" || kind == "kv") {
		faults.Add("parse", "format %q has no use for it: the line itself names its values", kind)
	}
	if _, ok := o["separator"]; ok && kind != "csv" {
		faults.Add("separator", "only format \"csv\" has columns")
	}
	if (kind == "template" || kind == "regex") && parse == "" {
		faults.Add("parse", "format %q needs it", kind)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	switch kind {
	case "template":
		return newTemplate(parse)
	case "regex":
		return newRegex(parse)
	case "csv":
		return newCSV(parse, o.Text("separator", ","))
	case "json":
		return &jsonFormat{}, nil
	case "kv":
		return kvFormat{}, nil
	}
	faults.Add("format", "%q is not known; possible: %s", kind, devices.QuoteAll(lineFormats()))
	return nil, faults
}

// expectedOfLine tells the readings that a template, an expression or named columns give.
func expectedOfLine(o devices.Options) []devices.Info {
	f, err := newFormat(o)
	if err != nil {
		return nil
	}
	var names []string
	switch f := f.(type) {
	case *patternFormat:
		names = f.names
	case *csvFormat:
		if f.fixed {
			names = f.names
		}
	}
	var infos []devices.Info
	for _, name := range names {
		if name != "" {
			infos = append(infos, devices.Info{Name: name})
		}
	}
	return infos
}

// checkNames finds names that can't be used.
func checkNames(names []string, faults *devices.Faults) {
	for i, name := range names {
		switch {
		case name == "":
		case !devices.IsName(name):
			faults.Add("parse", "%q is not a name: lower-case letters, digits and _; did you mean %q?", name, devices.CleanName(name))
		case devices.Reserved(name):
			faults.Add("parse", "%q is reserved; name it otherwise, such as %q", name, devices.DataName(name))
		case slices.Contains(names[:i], name):
			faults.Add("parse", "%q stands there twice", name)
		}
	}
}
