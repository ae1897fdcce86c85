// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sector is the unit of /sys/block/*/stat, in bytes.
const sector = 512

// benchDisk measures what reaches the device for each message that waits for a cloud that is away, and in idleness,
// on an ext4 file system of its own.
func benchDisk(o options) error {
	if os.Geteuid() != 0 {
		fmt.Println("bytes written                    not measured: a file system of its own needs root")
		return nil
	}
	return inDir(func(dir string) error {
		return onLoop(dir, func(mount, device string) error { return written(o, mount, device) })
	})
}

func written(o options, mount, device string) error {
	ptys, err := openPTYs()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll(ptys)) }()
	port, err := freePort()
	if err != nil {
		return err
	}
	tables := fmt.Sprintf("[uplink]\nurl = \"mqtt://127.0.0.1:%d\"\n", port)
	for i, p := range ptys {
		tables += fmt.Sprintf("[device.s%d]\ndriver = \"line\"\nport = %q\nserial = \"115200 8N1\"\nformat = \"json\"\n", i, p.Name)
	}
	g, err := startGateway(o, mount, tables)
	if err != nil {
		return err
	}
	<-time.After(6 * time.Second) // what the start wrote is on its way: ext4 commits each 5 s
	before, err := sectors(device)
	if err != nil {
		return err
	}
	s, err := load(o, ptys, g.port, "edged/bench/dev/+/data", g.process)
	if err != nil {
		return err
	}
	<-time.After(6 * time.Second)
	after, err := sectors(device)
	if err != nil {
		return err
	}
	fmt.Printf("bytes on the device a message    %d with %d messages at %d/s, cloud away (%d lost)\n",
		(after-before)*sector/max(len(s.latency), 1), len(s.latency), sensors*o.rate, s.lost)
	if err := g.stop(); err != nil {
		return err
	}
	return idle(o, mount, device)
}

// idle measures a gateway without devices.
func idle(o options, mount, device string) error {
	g, err := startGateway(o, mount, "")
	if err != nil {
		return err
	}
	<-time.After(8 * time.Second)
	before, err := sectors(device)
	if err != nil {
		return err
	}
	<-time.After(30 * time.Second)
	after, err := sectors(device)
	if err != nil {
		return err
	}
	fmt.Printf("bytes on the device when idle    %d in 30 s\n", (after-before)*sector)
	return g.stop()
}

// sectors is how many were written to a block device so far.
func sectors(device string) (int, error) {
	b, err := os.ReadFile("/sys/block/" + filepath.Base(device) + "/stat")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.Fields(string(b))[6])
}

// onLoop mounts a new ext4 file system in a file.
func onLoop(dir string, f func(mount, device string) error) (err error) {
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		return err
	}
	// No lazy initialisation: it would write in the background while we count.
	if out, err := exec.Command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop,noatime", image, mount).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	defer func() { err = errors.Join(err, exec.Command("umount", mount).Run()) }()
	device, err := exec.Command("findmnt", "-no", "SOURCE", mount).Output()
	if err != nil {
		return fmt.Errorf("findmnt: %w", err)
	}
	return f(mount, strings.TrimSpace(string(device)))
}
