// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"
	"strings"
)

// Reserved reports whether `data`, `set` or `result` use name for something else than a reading.
func Reserved(name string) bool {
	return slices.Contains([]string{"time", "seq", "clock", "uptime_ms", "id", "ok", "code", "expires"}, name)
}

// DataName is the name of a reading in `data` and `meta`: the driver's own, with an underscore added where that is
// reserved.
func DataName(name string) string {
	if Reserved(name) {
		return name + "_"
	}
	return name
}

// IsName reports whether s can be the name of a reading: [a-z0-9_]+.
func IsName(s string) bool { return s != "" && s == CleanName(s) }

// CleanName makes a name out of one that a device sent: lower-case, and _ for every character but [a-z0-9_].
func CleanName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, s)
}
