// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestADescriptionOfTheUsersOwnIsADriver runs a sensor by it, and has a changed one take effect by a reload.
func TestADescriptionOfTheUsersOwnIsADriver(t *testing.T) {
	t.Parallel()
	const text = "driver = \"depth\"\ntitle = \"A gauge\"\nprotocol = \"frame\"\n[[frame]]\nstart = \"55 aa\"\nsize = 4\nchecksum = { kind = \"sum8\" }\n" +
		"[[reading]]\nname = \"depth\"\nat = 2\nscale = 0.5\n"
	dir, y := t.TempDir(), newTTY(t)
	describe := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "devices"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "devices", "depth.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	describe(text)
	e := gateway{dir: dir, config: "[gateway]\nid = \"gw\"\n[device.well]\ndriver = \"depth\"\nport = \"" + y.name + "\"\n"}.start(t)
	near := subscribe(t, e.port, "near", "edged/gw/dev/well/data")
	shows := func(want string) {
		t.Helper()
		eventually(t, 10*time.Second, "a reading "+want, func() bool {
			y.send(t, []byte{0x55, 0xaa, 7, 6})
			return strings.Contains(near.last("edged/gw/dev/well/data"), want)
		})
	}
	shows(`"depth":3.5`)

	describe(strings.Replace(text, "0.5", "2", 1))
	e.signal(syscall.SIGHUP)
	e.ready(t)
	shows(`"depth":14`)

	describe(strings.Replace(text, "size", "sise", 1))
	out, exit := e.run(t, "config", "apply")
	if exit != 78 {
		t.Errorf("a faulty description: exit %d, %s", exit, out)
	}
	shows(`"depth":14`)
}
