// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// Gateway is [gateway].
type Gateway struct {
	ID   string // "" until Identify when the files name none
	Tags map[string]string
}

const (
	gatewayLetters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	deviceLetters  = gatewayLetters + "_"
	readingLetters = "abcdefghijklmnopqrstuvwxyz0123456789_"
	userLetters    = deviceLetters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ.@"
	maxID          = 32
	maxUser        = 64
)

func gatewayFields(g *Gateway) []field {
	return []field{
		{"id", func(v value) {
			if s, ok := v.text(); ok && v.id(s, v.node.value, gatewayLetters, maxID, "a-z, 0-9 and -") {
				g.ID = s
			}
		}},
		{"tags", tags(&g.Tags)},
	}
}

// id reports a name that has a letter it must not have, or too few or too many.
func (v value) id(s string, at span, letters string, longest int, allowed string) bool {
	if problem := badID(s, letters, longest); problem != "" {
		v.report(v.node, at, BadValue, v.key, problem, fmt.Sprintf("allowed: 1 to %d of %s", longest, allowed))
		return false
	}
	return true
}

// badID says what is wrong with an id, or "".
func badID(s, letters string, longest int) string {
	for _, r := range s {
		if !contains(letters, r) {
			return fmt.Sprintf("%q holds the character %q", s, r)
		}
	}
	switch n := len(s); {
	case n == 0:
		return "is empty"
	case n > longest:
		return fmt.Sprintf("%q has %d characters", s, n)
	}
	return ""
}

func contains(letters string, r rune) bool {
	for _, l := range letters {
		if l == r {
			return true
		}
	}
	return false
}
