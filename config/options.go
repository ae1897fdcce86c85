// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// ParseOptions reads the options of a driver as a device's table has them, a line of TOML for each: `key = value`.
func ParseOptions(text string) (map[string]any, error) {
	src, p := parse("options", 0, text)
	if p != nil {
		return nil, fmt.Errorf("line %d, column %d: %s", p.Line, p.Column, p.Text)
	}
	options, _ := src.root.raw.(map[string]any)
	return options, nil
}
