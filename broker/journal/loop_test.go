// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
)

// volume is an ext4 file system of its own, on a loop device.
type volume struct {
	tb                 testing.TB
	image, dir, device string
}

func newVolume(tb testing.TB, megabytes int64) *volume {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Fatal("this test mounts a file system on a loop device: run it as root, with mkfs.ext4, mount and losetup installed")
	}
	v := &volume{tb: tb, image: filepath.Join(tb.TempDir(), "image"), dir: filepath.Join(tb.TempDir(), "mnt")}
	if err := errors.Join(os.Mkdir(v.dir, 0o700), os.WriteFile(v.image, nil, 0o600), os.Truncate(v.image, megabytes<<20)); err != nil {
		tb.Fatal(err)
	}
	v.run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", v.image)
	v.mount()
	tb.Cleanup(func() {
		if v.device != "" {
			v.unmount()
		}
	})
	return v
}

func (v *volume) run(name string, args ...string) string {
	v.tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if cmd.Err != nil { // not on the test's own path
		cmd = exec.Command("/usr/sbin/"+name, args...)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		v.tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (v *volume) mount() {
	v.tb.Helper()
	v.run("mount", "-o", "loop", v.image, v.dir)
	v.device = v.run("losetup", "-n", "-O", "NAME", "-j", v.image)
}

func (v *volume) unmount() {
	v.tb.Helper()
	v.run("umount", v.dir)
	v.device = ""
}

// cut stops all writing at once: what ext4 had not given to the device is lost.
func (v *volume) cut() {
	v.tb.Helper()
	const fsIocShutdown, noLogFlush = 0x8004587d, 2
	d, err := os.Open(v.dir)
	if err != nil {
		v.tb.Fatal(err)
	}
	if err := errors.Join(unix.IoctlSetPointerInt(int(d.Fd()), fsIocShutdown, noLogFlush), d.Close()); err != nil {
		v.tb.Fatalf("shut down %s: %v", v.dir, err)
	}
}

// gate lets no fdatasync be under way while it is locked: the kernel may let one return nil that a shutdown overtook.
type gate struct {
	journal.FS
	sync.RWMutex
}

type gatedDir struct {
	journal.Dir
	g *gate
}

type gatedFile struct {
	journal.File
	g *gate
}

func (g *gate) OpenDir(path string) (journal.Dir, error) {
	d, err := g.FS.OpenDir(path)
	return gatedDir{d, g}, err
}

func (d gatedDir) Open(name string, flag int) (journal.File, error) {
	f, err := d.Dir.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return gatedFile{f, d.g}, nil
}

func (d gatedDir) Sync() error {
	d.g.RLock()
	defer d.g.RUnlock()
	return d.Dir.Sync()
}

func (f gatedFile) Datasync() error {
	f.g.RLock()
	defer f.g.RUnlock()
	return f.File.Datasync()
}

func TestPowerCutOnExt4(t *testing.T) {
	v := newVolume(t, 64)
	said := map[journal.Pos]string{}
	safe := journal.Pos(0)
	for round := range 6 {
		read := map[journal.Pos]string{}
		g := &gate{FS: journal.OS()}
		alarm := &alarms{}
		j, commits, stop := on(t, journal.Config{Dir: filepath.Join(v.dir, "journal"), FS: g, Alarm: alarm.set}, func(r journal.Record) {
			if said[r.Pos] != string(r.Body) {
				t.Errorf("round %d: %.20q at %d was invented", round, r.Body, r.Pos)
			}
			read[r.Pos] = string(r.Body)
		})
		for p := range said {
			if _, ok := read[p]; !ok && p < safe {
				t.Errorf("round %d: the record at %d was durable (up to %d) and is lost", round, p, safe)
			}
		}
		if alarm.count("E603") > 0 {
			t.Errorf("round %d: %v", round, alarm.up)
		}
		said = read
		for n := range 30 + 11*round {
			body := strings.Repeat(fmt.Sprintf("round %d record %d ", round, n), 1+n*n%3000)
			said[j.Append(kind, []byte(body))] = body
			if n%3 == 0 && !durable(t, j, commits, time.Minute) {
				t.Fatal("not committed within a minute")
			}
		}
		g.Lock()
		safe = j.Durable()
		v.cut()
		g.Unlock()
		if err := stop(); err == nil && j.Durable() < j.End() {
			t.Errorf("round %d: the stop succeeded on a dead disk", round)
		}
		v.unmount()
		v.mount()
	}
	if safe < journal.SegmentSize {
		t.Error("nothing was ever durable")
	}
}

func TestFullExt4(t *testing.T) {
	v := newVolume(t, 48)
	alarm := &alarms{}
	dir := filepath.Join(v.dir, "journal")
	j, commits, stop := on(t, journal.Config{Dir: dir, Alarm: alarm.set}, nil)
	held := func(within time.Duration) bool {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		return j.Wait(ctx) != nil
	}
	body := bytes.Repeat([]byte("body"), 50_000)
	n := 0
	for !held(2 * time.Second) {
		j.Append(kind, body)
		if n++; n%8 == 0 && !durable(t, j, commits, time.Minute) {
			t.Fatal("what was let in is not committed")
		}
	}
	if !alarm.is("E601") {
		t.Errorf("alarms: %v", alarm.up)
	}
	for range 1000 {
		j.Append(kind+1, []byte("an acknowledgement"))
	}
	if !durable(t, j, commits, time.Minute) {
		t.Error("acknowledgements do not get through on a full disk")
	}
	first, kept := j.First()
	if kept < 4 {
		t.Errorf("only %d segments on 48 MiB", kept)
	}
	j.Release(first + 1)
	if held(5*time.Second) || !alarm.ends("E601") {
		t.Errorf("5 s after a segment was given back publishers are held, alarms %v", alarm.up)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyExt4(t *testing.T) {
	v := newVolume(t, 32)
	dir := filepath.Join(v.dir, "journal")
	j, commits, stop := on(t, journal.Config{Dir: dir}, nil)
	j.Append(kind, []byte("before"))
	if !durable(t, j, commits, time.Minute) {
		t.Fatal("not committed")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	v.run("mount", "-o", "remount,ro", v.dir)
	alarm := &alarms{}
	replayed := 0
	j, commits, stop = on(t, journal.Config{Dir: dir, Alarm: alarm.set}, func(journal.Record) { replayed++ })
	if replayed != 1 || !alarm.is("E602") || j.Writable() {
		t.Errorf("replayed %d, alarms %v", replayed, alarm.up)
	}
	j.Append(kind, []byte("meanwhile"))
	r := j.Read(0)
	defer r.Close()
	if rec, ok := r.Next(); !ok || string(rec.Body) != "before" {
		t.Errorf("read %q, %v", rec.Body, r.Err())
	}
	if _, err := journal.Open(journal.Config{Dir: dir}, nil); !errors.Is(err, journal.ErrUnusable) {
		t.Errorf("two processes on a read-only disk: %v", err)
	}
	v.run("mount", "-o", "remount,rw", v.dir)
	if !durable(t, j, commits, time.Minute) || j.Wait(t.Context()) != nil || !alarm.ends("E602") {
		t.Errorf("writable again, but alarms %v", alarm.up)
	}
	if rec, ok := r.Next(); !ok || string(rec.Body) != "meanwhile" {
		t.Errorf("read %q, %v", rec.Body, r.Err())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
