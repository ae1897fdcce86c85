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
)

// volume is a file system of its own, in a file.
type volume struct{ mount string }

// newVolume makes an ext4 of some MiB. It needs root and a loop device.
func newVolume(t *testing.T, size int64) *volume {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	v := &volume{filepath.Join(dir, "mount")}
	if err := errors.Join(os.Mkdir(v.mount, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, size<<20)); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs.ext4", "-q", image)
	command(t, "mount", "-o", "loop", image, v.mount)
	t.Cleanup(func() { command(t, "umount", v.mount) })
	return v
}

func (v *volume) remount(t *testing.T, how string) {
	t.Helper()
	command(t, "mount", "-o", "remount,"+how, v.mount)
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
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
	if acknowledged(e.port) {
		t.Error("a message at QoS 1 was acknowledged although no disk took it")
	}

	v.remount(t, "rw")
	eventually(t, 10*time.Second, "a publisher at QoS 1 is acknowledged again", func() bool { return acknowledged(e.port) })
	again := subscribe(t, e.port, "after", "edged/#")
	eventually(t, 30*time.Second, "the device is online", func() bool {
		y.send(t, []byte("{\"n\":9}\n"))
		return again.last("edged/gw/dev/s/status") == "online" && strings.Contains(again.last("edged/gw/dev/s/data"), "\"n\":9")
	})
}

// acknowledged publishes at QoS 1 and says whether the acknowledgement came within two seconds.
func acknowledged(port int) bool {
	return exec.Command("timeout", "2", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-q", "1", "-t", "x", "-m", "y").Run() == nil
}
