// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// served checks that clients which need no disk are served, within a second each.
func served(t *testing.T, e *edged) {
	t.Helper()
	live := start(t, exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1", "-t", "live"))
	eventually(t, 10*time.Second, "QoS 1 reaches a live subscriber", func() bool {
		return exec.Command("timeout", "1", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1", "-t", "live",
			"-m", "yes").Run() == nil && strings.Contains(live.out.String(), "yes")
	})
	live.kill()
}

// fill writes a file until the file system is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size >= 4096; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 4
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A full disk is told of, holds back only who needs it, loses nothing, and is forgotten within 5 s of space.
func TestFullDiskServesAndRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := newVolumeOf(t, "ext4", 32, filepath.Join(dir, "state"))
	e := gateway{config: "[gateway]\nid = \"gw\"\n", dir: dir}.start(t)
	subscribe(t, e.port, "keeper", "plant/#", "-c").kill()
	filler := filepath.Join(v.mount, "filler")
	fill(t, filler)
	payload := filepath.Join(dir, "payload")
	if err := os.WriteFile(payload, bytes.Repeat([]byte("x"), 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(n int) bool {
		return exec.Command("timeout", "2", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1",
			"-t", fmt.Sprint("plant/", n), "-f", payload).Run() == nil
	}
	acked := 0
	for ; put(acked); acked++ {
		if acked > 200 {
			t.Fatal("40 MB went onto 32 MiB")
		}
	}
	eventually(t, 5*time.Second, "E601 is told", func() bool { return strings.Contains(e.err.String(), "E601") })
	served(t, e)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "a publisher is acknowledged again", func() bool { return put(acked) })
	e.kill()
	e = e.again(t, "[gateway]\nid = \"gw\"\n")
	keeper := subscribeWithin(t, time.Minute, e.port, "keeper", "plant/#", "-c")
	for n := range acked + 1 {
		if len(keeper.on(fmt.Sprint("plant/", n))) == 0 {
			t.Errorf("message %d of %d was acknowledged and is lost", n, acked+1)
		}
	}
}

// A disk that hangs is told of, and holds back only who needs it, until it answers.
func TestHangingDiskServesAndRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := newVolumeOf(t, "ext4", 64, filepath.Join(dir, "state"))
	e := gateway{config: "[gateway]\nid = \"gw\"\n", dir: dir}.start(t)
	live := subscribe(t, e.port, "live", "plant/#")
	command(t, "fsfreeze", "-f", v.mount)
	frozen := true
	thaw := func() {
		if frozen {
			frozen = false
			command(t, "fsfreeze", "-u", v.mount)
		}
	}
	t.Cleanup(thaw) // before edged is killed, which a hanging disk does not let happen
	if exec.Command("timeout", "2", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1", "-r",
		"-t", "plant/1", "-m", "y").Run() == nil {
		t.Error("a retained message was acknowledged although the disk hangs")
	}
	if live.last("plant/1") != "y" {
		t.Error("a live subscriber did not get it at once")
	}
	eventually(t, 10*time.Second, "E602 is told", func() bool { return strings.Contains(e.err.String(), "E602") })
	served(t, e)
	thaw()
	eventually(t, 5*time.Second, "a publisher is acknowledged again", func() bool { return acknowledged(e.port, "-r") })
}
