// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// card makes an SD card of 32 GB with a partition, on which sectors were written.
func card(t *testing.T, sectors string) (m machine, partition uint64) {
	t.Helper()
	const device = "sys/devices/platform/mmc/block/mmcblk0/"
	m = board(t, map[string]string{
		device + "stat": "1 2 3 4 5 6 " + sectors + " 8 9 10 11\n", device + "size": "62500000\n", device + "queue/rotational": "0\n",
		device + "mmcblk0p2/partition": "2\n", device + "mmcblk0p2/stat": "0 0 0 0 0 0 1 0\n", device + "mmcblk0p2/size": "5\n",
		"sys/dev/block/README": "",
	})
	if err := os.Symlink(filepath.Join(m.root, device, "mmcblk0p2"), filepath.Join(m.root, "sys/dev/block/179:2")); err != nil {
		t.Fatal(err)
	}
	return m, 179<<8 | 2
}

func TestWearOfACard(t *testing.T) {
	m, dev := card(t, "1000000")
	block := m.blockOf(dev)
	if filepath.Base(block) != "mmcblk0" {
		t.Fatalf("the device is %q, not the whole card", block)
	}
	if n := written(block); n == nil || *n != 512_000_000 {
		t.Errorf("written: %v, want 512000000", n)
	}
	// 3.2 TB of small writes at 512 MB a day: 17.1 years.
	years := lifeYears(block, 24*time.Hour)
	if years == nil || math.Abs(*years-17.11) > 0.01 {
		t.Errorf("years: %v, want 17.11", years)
	}
	if years := lifeYears(block, time.Hour-time.Second); years != nil {
		t.Errorf("%v years are told from less than an hour", *years)
	}
}

func TestWearThatIsNotKnown(t *testing.T) {
	m, dev := card(t, "1000000")
	if block := m.blockOf(dev + 1); block != "" {
		t.Errorf("a device that the kernel does not list is %q", block)
	}
	block := m.blockOf(dev)
	for name, text := range map[string]string{"stat": "1 2 3", "size": "x", "queue/rotational": "1"} {
		m, dev := card(t, "1000000")
		if err := os.WriteFile(filepath.Join(m.blockOf(dev), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if years := lifeYears(m.blockOf(dev), 24*time.Hour); years != nil {
			t.Errorf("with %s %q the card lasts %v years", name, text, *years)
		}
	}
	if m, dev := card(t, "0"); lifeYears(m.blockOf(dev), 24*time.Hour) != nil {
		t.Error("a card that nothing was written to has a life")
	}
	if written("") != nil || lifeYears("", time.Hour) != nil {
		t.Errorf("a file system without a device has a life; %s", block)
	}
}

// The minor and major number of a device are spread over dev_t as glibc spreads them.
func TestLargeDeviceNumbers(t *testing.T) {
	m := board(t, map[string]string{"sys/dev/block/4096:300000/stat": "1 2 3 4 5 6 7 8"})
	dev := uint64(0x1000)<<32 | uint64(300000&^0xff)<<12 | 300000&0xff
	if n := written(m.blockOf(dev)); n == nil || *n != 7*512 {
		t.Errorf("written: %v", n)
	}
}

func TestUptimeOfThisMachine(t *testing.T) {
	if up := machineUptime(); up <= 0 {
		t.Errorf("the machine has run for %v", up)
	}
}
