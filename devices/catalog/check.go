// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"errors"
	"fmt"

	"edged/devices"
)

// Check makes a driver of a description file and runs its known answers; count is how many there are. Its error is joined
// Problems: what is wrong with the description, or each answer that came out otherwise, with its place.
func Check(file string, text []byte) (d *devices.Driver, count int, err error) {
	d, tests, err := ParseDescription(file, text)
	if err != nil {
		return nil, 0, err
	}
	var failed []error
	l := locate(string(text))
	for i, test := range tests {
		if err := devices.Check(d, test); err != nil {
			at := l.find(fmt.Sprintf("test[%d]", i))
			failed = append(failed, Problem{file, at.line, at.column, "test", fmt.Sprintf("%q: %v", test.Name, err), ""})
		}
	}
	return d, len(tests), errors.Join(failed...)
}
