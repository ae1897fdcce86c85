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
	idled := make(chan error, 1)
	go func() {
		idled <- inDir(func(dir string) error {
			return onLoop(dir, func(mount, device string) error { return idle(o, mount, device) })
		})
	}()
	err := inDir(func(dir string) error {
		return onLoop(dir, func(mount, device string) error {
			return errors.Join(written(o, mount, device), durable(o, mount, device))
		})
	})
	return errors.Join(err, <-idled)
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
	<-time.After(settle)
	before, err := sectors(device)
	if err != nil {
		return err
	}
	s, err := load(o, ptys, g.port, "edged/bench/dev/+/data", g.process)
	if err != nil {
		return err
	}
	<-time.After(settle)
	after, err := sectors(device)
	if err != nil {
		return err
	}
	fmt.Printf("bytes on the device a message    %d with %d messages at %d/s, cloud away (%d lost)\n",
		(after-before)*sector/max(len(s.latency), 1), len(s.latency), sensors*o.rate, s.lost)
	return g.stop()
}

// durable measures what 50 publishers write that are each acknowledged once the message is on the disk, for a client that
// is away.
func durable(o options, mount, device string) error {
	dir := filepath.Join(mount, "durable")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	g, err := startGateway(o, dir, "")
	if err != nil {
		return err
	}
	<-time.After(settle)
	before, err := sectors(device)
	if err != nil {
		return err
	}
	r := row{pubs: 50, qos: 1, offline: true}
	out, err := r.measure(g.port, g.process, o.length/4)
	if err != nil {
		return err
	}
	<-time.After(settle)
	after, err := sectors(device)
	if err != nil {
		return err
	}
	fmt.Printf("bytes on the device a message    %d with %d messages of 64 bytes, 50 publishers at QoS 1, %.0f/s (goal 500, 5000/s)\n",
		(after-before)*sector/max(int(out.sent), 1), out.sent, out.rate)
	return g.stop()
}

// settle is how long what was written is on its way to the device: ext4 commits each 5 s.
const settle = 6 * time.Second

// startWritten is how long a gateway's start is on its way to the disk: retained messages that nobody waits for are
// written after a minute, and ext4 writes the times of files after 30 s more.
const startWritten = 100 * time.Second

// idle measures a gateway without devices.
func idle(o options, mount, device string) error {
	g, err := startGateway(o, mount, "")
	if err != nil {
		return err
	}
	<-time.After(startWritten)
	before, err := sectors(device)
	if err != nil {
		return err
	}
	<-time.After(time.Minute)
	after, err := sectors(device)
	if err != nil {
		return err
	}
	fmt.Printf("bytes on the device when idle    %d in a minute (goal 0)\n", (after-before)*sector)
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
