// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestWatchPrintsLines has no terminal.
func TestWatchPrintsLines(t *testing.T) {
	y := newTTY(t)
	e := gateway{config: jsonDevice("office", y) + "reading.t = { unit = \"°C\" }\n"}.start(t)
	opened(t, e, 1)
	y.speak(t, []byte("{\"t\":21.5}\n"), 100*time.Millisecond)
	w := start(t, exec.Command(e.bin, "watch", "office", "--state", e.state()))
	eventually(t, 20*time.Second, "readings are printed", func() bool { return strings.Contains(w.out.String(), "  office  t 21.5 °C\n") })
	w.signal(syscall.SIGINT)
	if code := w.wait(t, 10*time.Second); code != 0 || strings.Contains(w.out.String(), "\x1b") {
		t.Errorf("exit %d, %q", code, w.out.String())
	}
	j := start(t, exec.Command(e.bin, "watch", "--json", "--state", e.state()))
	eventually(t, 20*time.Second, "objects are printed", func() bool { return strings.Contains(j.out.String(), `"device":"office","gateway":"`) })
	j.kill()
	if _, talk, code := e.command(t, "", "watch", "attic"); code != 64 || !strings.Contains(talk, `no device "attic"`) {
		t.Errorf("a device that is not there: exit %d, %q", code, talk)
	}
	e.signal(syscall.SIGTERM)
	e.wait(t, 10*time.Second)
	if _, talk, code := e.command(t, "", "watch"); code != 69 || !strings.Contains(talk, "not running") {
		t.Errorf("without a gateway: exit %d, %q", code, talk)
	}
}

// TestWatchDrawsOnATerminal presses its keys on a pseudo terminal.
func TestWatchDrawsOnATerminal(t *testing.T) {
	y := newTTY(t)
	e := gateway{config: jsonDevice("office", y)}.start(t)
	opened(t, e, 1)
	y.speak(t, []byte("{\"t\":1}\n{\"t\":5}\n"), 100*time.Millisecond)
	desk := newTTY(t)
	size := [4]uint16{30, 100, 0, 0}
	f, err := os.OpenFile(desk.name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
		t.Fatal(errno)
	}
	cmd := exec.Command(e.bin, "watch", "--state", e.state())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	shown := desk.listen(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	text := func() string {
		shown.mu.Lock()
		defer shown.mu.Unlock()
		return string(shown.b)
	}
	eventually(t, 20*time.Second, "a curve is drawn", func() bool {
		return strings.Contains(text(), "▁█▁█") && strings.Contains(text(), "min 1  max 5")
	})
	desk.send(t, []byte("r"))
	eventually(t, 20*time.Second, "the bytes are shown", func() bool { return strings.Contains(text(), `< "{\"t\":5}\n"`) })
	desk.send(t, []byte("q"))
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end:\n%q", tail(text()))
	}
	eventually(t, 10*time.Second, "the terminal is given back", func() bool { return strings.HasSuffix(text(), "\x1b[?1049l") })
	closed(t, f.Close())
}
