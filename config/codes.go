// SPDX-License-Identifier: Apache-2.0

package config

// The codes of what can be wrong with a configuration.
const (
	Syntax      = "E500"
	UnknownKey  = "E501"
	WrongType   = "E502"
	BadValue    = "E503"
	Duplicate   = "E504"
	TwoFiles    = "E505"
	Missing     = "E506"
	NotYet      = "E507"
	PortTwice   = "E508"
	NoSecret    = "E509"
	PlainSecret = "E510"
	NoFile      = "E511"
)

// Code is one entry of the list that a user can look up.
type Code struct {
	ID      string
	Meaning string
	Do      string
}

// Codes returns what every E5xx code means and what to do about it, in order.
func Codes() []Code {
	return []Code{
		{
			Syntax, "The file is not valid TOML; nothing after this place can be read.",
			"Correct the line. Strings need quotes, tables are written [device.NAME], every key stands on its own line.",
		},
		{
			UnknownKey, "A key or a table that edged does not know.",
			"Correct the spelling (the message names the nearest key) or remove it. All keys are in docs/configuration.md; `edged drivers NAME` lists those of a driver.",
		},
		{
			WrongType, "A value of the wrong type, such as a number where a string belongs.",
			"Write the type that the message names. Durations and sizes are strings with a unit: \"30s\", \"64MiB\".",
		},
		{
			BadValue, "A value that cannot be: out of range, misspelt, or in contradiction to another one.",
			"Choose a value that the message allows; docs/configuration.md has the range of every key.",
		},
		{
			Duplicate, "A key or a table stands twice in one file.",
			"Keep one of the two places that the message names.",
		},
		{
			TwoFiles, "A table stands in two files.",
			"Move all its keys into one of the two files that the message names.",
		},
		{
			Missing, "A key that is needed here is not there.",
			"Add the key; the message says which and gives an example.",
		},
		{
			NotYet, "A key or a value that belongs to edged but is not available in this version.",
			"Remove it, or install a version that has it.",
		},
		{
			PortTwice, "Two devices that are enabled use the same port.",
			"Give each its own port, or set disabled = true on one of them.",
		},
		{
			NoSecret, "A secret cannot be read: its file, environment variable or credential is missing, empty or readable by every user.",
			"Create what the reference names, for example: install -m 0640 -g edged /dev/stdin /etc/edged/secrets/NAME. A file that everybody can read: chmod o= FILE.",
		},
		{
			PlainSecret, "A secret stands in the configuration itself.",
			"Move it to a file of its own and write \"file:/etc/edged/secrets/NAME\", or use \"env:NAME\" or \"cred:NAME\". Change a password that others may have seen.",
		},
		{
			NoFile, "A configuration file cannot be read.",
			"Check the path and its permissions: the user edged must be able to read it.",
		},
	}
}
