// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
)

// suggest returns `did you mean "…"?` with the nearest name, or "".
func suggest(misspelt string, names []string) string {
	if name := nearest(misspelt, names); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	return ""
}

// nearest returns the name that the misspelt one was meant to be, or "" where none is near.
func nearest(misspelt string, names []string) string {
	best, least := "", max(1, min(3, len(misspelt)/3))+1
	for _, name := range names {
		if d := distance(plain(misspelt), plain(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// plain makes equal what is only written in another manner.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}

// distance counts the letters that were left out, added, changed or swapped with their neighbour between a and b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
