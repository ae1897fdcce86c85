// SPDX-License-Identifier: Apache-2.0

package hardware_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/bridge/hardware"
	"edged/devices"
)

func TestFilesOfTheMachine(t *testing.T) {
	root := t.TempDir()
	name := filepath.Join(root, "sys/class/x")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := hardware.Machine(root, root)
	if got, err := devices.ReadText(m.Files, "sys/class/x"); got != "1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := m.Files.WriteFile("sys/class/x", "2"); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(name); string(got) != "2\n" || err != nil { // a file of the kernel's is not cut
		t.Errorf("%q, %v", got, err)
	}
	if err := m.Files.WriteFile("sys/class/y", "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is made that is not the kernel's: %v", err)
	}
	if err := m.Files.WriteFile("../x", "2"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("outside: %v", err)
	}
	free, total, err := m.Usage()
	if err != nil || total == 0 || free > total {
		t.Errorf("%d of %d bytes free, %v", free, total, err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	m := hardware.Machine(t.TempDir(), "/nowhere")
	_, noBus := m.Bus("i2c-987")
	_, badBus := m.Bus("spi-1")
	_, noLine := m.Line(devices.LineConfig{Name: "GPIO17"})
	for what, err := range map[string]error{
		"there is no bus i2c-987": noBus, `"spi-1" is no I²C bus`: badBus, "this machine has no GPIO lines": noLine,
	} {
		if trouble := new(devices.Trouble); !errors.As(err, &trouble) || trouble.Code != devices.Absent || !strings.HasPrefix(err.Error(), what) || trouble.Do == "" {
			t.Errorf("%v, want %s", err, what)
		}
	}
	if _, _, err := m.Usage(); err == nil {
		t.Error("a directory that is not there has room")
	}
}
