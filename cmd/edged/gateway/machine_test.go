// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"os"
	"path/filepath"
	"testing"
)

// board makes the files of a board's kernel.
func board(t *testing.T, files map[string]string) machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return machine{root}
}

func TestRaspberryPi(t *testing.T) {
	m := board(t, map[string]string{
		"proc/device-tree/model":                    "Raspberry Pi 4 Model B Rev 1.5\x00",
		"sys/class/thermal/thermal_zone0/temp":      "48312\n",
		"sys/class/hwmon/hwmon0/name":               "cpu_thermal\n",
		"sys/class/hwmon/hwmon1/name":               "rpi_volt\n",
		"sys/class/hwmon/hwmon1/in0_lcrit_alarm":    "1\n",
		"sys/class/dmi/id/product_name":             "not this\n",
		"sys/class/hwmon/hwmon0/in0_lcrit_alarm":    "0\n",
		"sys/class/thermal/thermal_zone1/temp":      "1\n",
		"proc/device-tree/compatible":               "x",
		"sys/class/hwmon/hwmon1/device/unimportant": "x",
	})
	if got := m.model(); got != "Raspberry Pi 4 Model B Rev 1.5" {
		t.Errorf("model %q", got)
	}
	if got := m.temperature(); got == nil || *got != 48.312 {
		t.Errorf("temperature %v, want 48.312", got)
	}
	if got := m.underVoltage(); got == nil || !*got {
		t.Errorf("under-voltage %v, want true", got)
	}
}

func TestBoardThatTellsNothing(t *testing.T) {
	m := board(t, map[string]string{"sys/class/thermal/thermal_zone0/temp": "broken"})
	if m.model() != "" || m.temperature() != nil || m.underVoltage() != nil {
		t.Errorf("got %q, %v, %v, want nothing", m.model(), m.temperature(), m.underVoltage())
	}
}

func TestDisk(t *testing.T) {
	d := machine{"/"}.disk(t.TempDir(), true)
	if d == nil || d.TotalBytes == 0 || d.FreeBytes > d.TotalBytes || !d.Writable {
		t.Errorf("got %+v", d)
	}
	if d := (machine{"/"}).disk("/no/such/place", true); d != nil {
		t.Errorf("a place that is not there has %+v", d)
	}
}
