// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// listener5 is a client of MQTT 5 that tells how its connection ended.
func listener5(t *testing.T, port int, id string) (reason <-chan int) {
	t.Helper()
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, nc.Close()) })
	b := wire.AppendConnect(nil, &wire.ConnectPacket{Level: 5, Clean: true, ClientID: id})
	b = wire.AppendSubscribe(b, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "#"}}}, 5)
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	ended, subscribed := make(chan int, 1), make(chan struct{})
	go func() {
		var buf []byte
		part := make([]byte, 4096)
		for {
			h, body, size, _, f := wire.Frame(buf)
			switch {
			case f != nil:
				ended <- -2
				return
			case size == 0:
				n, err := nc.Read(part)
				if buf = append(buf, part[:n]...); n == 0 && err != nil {
					ended <- -1 // without a word
					return
				}
				continue
			case h>>4 == wire.Suback:
				close(subscribed)
			case h>>4 == wire.Disconnect && len(body) > 0:
				ended <- int(body[0])
				return
			}
			buf = buf[size:]
		}
	}()
	select {
	case <-subscribed:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no SUBACK", id)
	}
	return ended
}

// over tells whether all of the process has ended that can: what is left of its threads waits in the kernel.
func (p *process) over(t *testing.T) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range threads {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if !strings.ContainsAny(rest[:1], "ZXD") {
			return false
		}
	}
	return true
}

// A stop on a disk that answers nothing is over within 5 s, and every live client is told. The kernel keeps the threads that
// wait in it for the disk, and with them the process's number, until the disk answers; nothing else is left.
func TestStopOnAHangingDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := newVolumeOf(t, "ext4", 64, filepath.Join(dir, "state"))
	y := newTTY(t)
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + uplinkTo(freePort(t)) + jsonDevice("dev", y), dir: dir}.start(t)
	var ended []<-chan int
	for i := range 5 {
		ended = append(ended, listener5(t, e.port, fmt.Sprint("live-", i)))
	}
	y.send(t, []byte("{\"n\":1}\n"))
	command(t, "fsfreeze", "-f", v.mount)
	frozen := true
	thaw := func() {
		if frozen {
			frozen = false
			command(t, "fsfreeze", "-u", v.mount)
		}
	}
	t.Cleanup(thaw) // before edged is killed, which a hanging disk does not let happen
	if exec.Command("timeout", "1", "mosquitto_pub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-q", "1", "-r",
		"-t", "plant/1", "-m", "y").Run() == nil {
		t.Error("a retained message was acknowledged although the disk hangs")
	}
	eventually(t, 10*time.Second, "E602 is told", func() bool { return strings.Contains(e.err.String(), "E602") })
	began := time.Now()
	e.signal(syscall.SIGTERM)
	for i, c := range ended {
		select {
		case reason := <-c:
			if reason != wire.ServerShuttingDown {
				t.Errorf("client %d: its connection ended with 0x%02x", i, reason)
			}
		case <-time.After(6 * time.Second):
			t.Errorf("client %d is told nothing", i)
		}
	}
	told := time.Since(began)
	eventually(t, 6*time.Second, "the process has ended", func() bool { return e.over(t) })
	took := time.Since(began)
	if took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	thaw()
	if code := e.wait(t, 5*time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
	t.Logf("clients were told after %v, the process ended after %v", told.Round(time.Millisecond), took.Round(time.Millisecond))
}
