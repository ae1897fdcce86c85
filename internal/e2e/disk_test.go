// SPDX-License-Identifier: Apache-2.0

package e2e

import (
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

// volume is a file system of its own, in a file.
type volume struct{ image, mount string }

// newVolume makes an ext4 of some MiB. It needs root and a loop device.
func newVolume(t *testing.T, size int64) *volume {
	t.Helper()
	return newVolumeOf(t, "ext4", size, filepath.Join(t.TempDir(), "mount"))
}

// newVolumeOf makes a file system of a type and mounts it at a directory, which it makes.
func newVolumeOf(t *testing.T, fs string, size int64, dir string) *volume {
	t.Helper()
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(known), "\t"+fs+"\n") {
		t.Fatalf("this kernel has no %s, so nothing can be shown about it: run the test where it is known", fs)
	}
	v := &volume{filepath.Join(t.TempDir(), "image"), dir}
	if err := errors.Join(os.Mkdir(v.mount, 0o700), os.WriteFile(v.image, nil, 0o600), os.Truncate(v.image, size<<20)); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs."+fs, "-q", v.image)
	v.attach(t)
	t.Cleanup(func() { v.detach(t) })
	return v
}

func (v *volume) attach(t *testing.T) {
	t.Helper()
	command(t, "mount", "-o", "loop", v.image, v.mount)
}

// detach unmounts, once nobody has anything open there: a child that is just being started has what its parent has.
func (v *volume) detach(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "nobody uses "+v.mount, func() bool { return unix.Unmount(v.mount, 0) == nil })
}

func (v *volume) remount(t *testing.T, how string) {
	t.Helper()
	command(t, "mount", "-o", "remount,"+how, v.mount)
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if cmd.Err != nil { // not on the test's own path
		cmd = exec.Command("/usr/sbin/"+name, args...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s(this test needs root and a loop device)", name, strings.Join(args, " "), err, out)
	}
}

func TestReadOnlyDiskStartsWithAnAlarmAndRecovers(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 64)
	dir := filepath.Join(v.mount, "gw")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	y := newTTY(t)
	config := "[gateway]\nid = \"gw\"\n" + jsonDevice("s", y)
	e := gateway{config: config, dir: dir}.start(t)
	opened(t, e, 1)
	y.send(t, []byte("{\"n\":0}\n"))
	near := subscribe(t, e.port, "before", "edged/#")
	eventually(t, 5*time.Second, "the first reading", func() bool { return near.last("edged/gw/dev/s/data") != "" })
	e.kill()

	v.remount(t, "ro")
	e = e.relaunch(t, "RUNTIME_DIRECTORY="+t.TempDir()) // the control socket cannot be on a disk that is read-only
	e.ready(t)
	eventually(t, 10*time.Second, "E602 is told", func() bool { return strings.Contains(e.err.String(), "E602") })
	live := start(t, exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "0", "-t", "live"))
	eventually(t, 10*time.Second, "QoS 0 goes on", func() bool {
		publish(t, e.port, "live", "yes", "-q", "0")
		return strings.Contains(live.out.String(), "yes")
	})
	if acknowledged(e.port, "-r") {
		t.Error("a retained message at QoS 1 was acknowledged although no disk took it")
	}
	if !acknowledged(e.port) {
		t.Error("a message at QoS 1 that needs no disk was not acknowledged")
	}

	v.remount(t, "rw")
	eventually(t, 10*time.Second, "a publisher at QoS 1 is acknowledged again", func() bool { return acknowledged(e.port, "-r") })
	again := subscribe(t, e.port, "after", "edged/#")
	eventually(t, 30*time.Second, "the device is online", func() bool {
		y.send(t, []byte("{\"n\":9}\n"))
		return again.last("edged/gw/dev/s/status") == "online" && strings.Contains(again.last("edged/gw/dev/s/data"), "\"n\":9")
	})
}

// acknowledged publishes at QoS 1 and says whether the acknowledgement came within two seconds.
func acknowledged(port int, options ...string) bool {
	args := []string{"2", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-q", "1", "-t", "x", "-m", "y"}
	return exec.Command("timeout", append(args, options...)...).Run() == nil
}
