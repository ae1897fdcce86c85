// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/listener/listenertest"
	"edged/internal/built"
)

// shiftVariable names the environment variable of a file whose eight bytes are added to the wall clock, in seconds.
const shiftVariable = "EDGED_PATH_CLOCK"

// shifting is put into package time: its wall clock is that of the machine and what stands in the file, at any moment.
const shifting = `
var shiftOfClock = func() []byte {
	name, ok := syscall.Getenv("` + shiftVariable + `")
	if !ok {
		return nil
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("open " + name + ": " + err.Error())
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map " + name + ": " + err.Error())
	}
	return b
}()

func clockShift() (s int64) {
	for i, b := range shiftOfClock {
		s |= int64(b) << (8 * i)
	}
	return s
}
`

// shiftedProgram builds edged with a wall clock that can be set. What the clock says is all that differs.
func shiftedProgram(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const reading = "sec, nsec, mono := runtimeNow()\n"
	before, now, found := strings.Cut(string(text), "func Now() Time {\n\t"+reading)
	if !found || !strings.Contains(before, "import (\n") {
		t.Fatalf("%s is not as this test knows it: see how package time reads the clock there", original)
	}
	before = strings.Replace(before, "import (\n", "import (\n\t\"syscall\"\n", 1)
	dir := t.TempDir()
	changed := filepath.Join(dir, "time.go")
	overlay := filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, changed, before+"func Now() Time {\n\t"+reading+"\tsec += clockShift()\n"+now+shifting)
	write(t, overlay, string(replace))
	bin := filepath.Join(dir, "edged")
	if err := built.Build(bin, stamped("edged with a shifted clock", "-overlay", overlay)); err != nil {
		t.Fatal(err)
	}
	return bin
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wall is the wall clock of a gateway.
type wall struct{ page []byte }

func newWall(t *testing.T, name string) *wall {
	t.Helper()
	write(t, name, strings.Repeat("\x00", 8))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, unix.Munmap(page)); closed(t, f.Close()) })
	return &wall{page}
}

// off sets how far the clock is from the true time.
func (w *wall) off(d time.Duration) {
	binary.LittleEndian.PutUint64(w.page, uint64(int64(d/time.Second)))
}

// clocked is a gateway with a clock of its own, a sensor, and a link over TLS.
func clocked(t *testing.T, r *road, bin string, off time.Duration) (*gateway, *wall, *counter) {
	t.Helper()
	dir := t.TempDir()
	a := listenertest.NewAuthority(t)
	cert, key := a.Issue(cloudIP)
	ca := listenertest.Write(t, dir, "ca.pem", a.PEM)
	c := newCloud(t, r, fmt.Sprintf("listener 8883 0.0.0.0\ncertfile %s\nkeyfile %s\n",
		listenertest.Write(t, dir, "cert.pem", cert), listenertest.Write(t, dir, "key.pem", key)))
	n := watch(t, c)
	g := &gateway{at: r.gateway, dir: dir, state: filepath.Join(dir, "state"), bin: bin, port: 1883, alone: true}
	w := newWall(t, filepath.Join(dir, "clock"))
	w.off(off)
	g.env = []string{shiftVariable + "=" + filepath.Join(dir, "clock")}
	config := strings.Replace(plain(fmt.Sprintf("ca = %q\n", ca)), "mqtt://"+cloudIP+":1883", "mqtts://"+cloudIP+":8883", 1)
	config = strings.Replace(config, `"plant/#"`, `"plant/#", "edged/gw/#"`, 1)
	g.launch(t, config+"[device.air]\ndriver = \"pms5003\"\nport = \"sim\"\n")
	return g, w, n
}

const year = 365 * 24 * time.Hour

// unsynced says whether the newest reading in the cloud is flagged as one of a clock that is not believed.
func unsynced(n *counter) bool {
	return strings.Contains(n.other("edged/gw/dev/air/data"), `"clock":"unsynced"`)
}

func TestClocks(t *testing.T) {
	t.Parallel()
	bin := shiftedProgram(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, bin string)
	}{{"1970", clockAt1970}, {"20 years ahead", clockAhead}, {"back a day", clockBack}} {
		t.Run(c.name, func(t *testing.T) { t.Parallel(); c.run(t, bin) })
	}
}

// A board without a battery starts in 1970: the time of the build is enough for certificates, and readings are flagged until
// the clock is set.
func clockAt1970(t *testing.T, bin string) {
	r := newRoad(t)
	g, w, n := clocked(t, r, bin, -time.Duration(time.Now().Unix())*time.Second)
	f := flow(t, g)
	t.Logf("data flows %v after a start in 1970", n.flows(t, 30*time.Second).Round(time.Millisecond))
	eventually(t, 20*time.Second, "a reading that is flagged", func() bool { return unsynced(n) })
	r.blackHole(t)
	pause(3 * time.Second)
	w.off(0)
	pause(5 * time.Second)
	r.heal(t)
	repaired(t, n, f, inflight)
	eventually(t, 20*time.Second, "a reading that is not flagged", func() bool { return n.other("edged/gw/dev/air/data") != "" && !unsynced(n) })
}

// A clock that leaps far ahead makes certificates look old, and is not believed; once it is right again, the link is back.
func clockAhead(t *testing.T, bin string) {
	r := newRoad(t)
	g, w, n := clocked(t, r, bin, 0)
	f := flow(t, g)
	n.flows(t, 30*time.Second)
	r.blackHole(t)
	w.off(20 * year)
	pause(8 * time.Second)
	r.heal(t)
	g.named(t, 30*time.Second, "down", "E302")
	g.stop(t)
	g.start(t)
	g.named(t, 30*time.Second, "down", "E302")
	w.off(0)
	repaired(t, n, f, inflight)
	eventually(t, 20*time.Second, "a reading that is not flagged", func() bool { return n.other("edged/gw/dev/air/data") != "" && !unsynced(n) })
}

// A clock that goes back a day disturbs nothing; what is measured then is flagged.
func clockBack(t *testing.T, bin string) {
	r := newRoad(t)
	g, w, n := clocked(t, r, bin, 0)
	f := flow(t, g)
	n.flows(t, 30*time.Second)
	w.off(-24 * time.Hour)
	eventually(t, 20*time.Second, "a reading that is flagged", func() bool { return unsynced(n) })
	pause(2 * time.Second)
	if !g.heard(time.Time{}, "cloud down\" part=uplink code=\"\" text=\"the").IsZero() {
		t.Error("the link went down because the clock went back")
	}
	r.blackHole(t)
	pause(8 * time.Second)
	r.heal(t)
	repaired(t, n, f, inflight)
}
