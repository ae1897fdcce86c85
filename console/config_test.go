// SPDX-License-Identifier: Apache-2.0

package console

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		listen  string
		local   bool
		problem string
	}{
		{"", true, ""},
		{"127.0.0.1:8080", true, ""},
		{"[::1]:0", true, ""},
		{"localhost:8080", true, ""},
		{"127.8.8.8:1", true, ""},
		{":8080", false, ""},
		{"0.0.0.0:8080", false, ""},
		{"[::]:8080", false, ""},
		{"localhost.example:8080", false, ""},
		{"8080", false, "is no address"},
		{"http://127.0.0.1:8080", false, "is no address"},
		{"127.0.0.1:http", true, "is no port"},
		{"127.0.0.1:65536", true, "is no port"},
	} {
		got := ""
		Config{c.listen}.Validate(func(key, problem string) { got += key + ": " + problem })
		if (c.problem == "") != (got == "") || !strings.Contains(got, c.problem) {
			t.Errorf("%q: %q, want %q", c.listen, got, c.problem)
		}
		if local := (Config{c.listen}).Local(); local != c.local {
			t.Errorf("%q is local: %v", c.listen, local)
		}
	}
}
