// SPDX-License-Identifier: Apache-2.0

package port_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/bridge/port"
	"edged/bridge/port/capture"
)

func opened(t *testing.T, s *port.System, name string) port.Port {
	t.Helper()
	p, err := s.Open(context.Background(), port.Request{Name: name, For: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProgramIsAPort(t *testing.T) {
	p := opened(t, port.New("", slog.New(slog.DiscardHandler)), `exec:echo '{"t":21.4}'; exit 3`)
	r := bufio.NewReader(p)
	if line, err := r.ReadString('\n'); line != "{\"t\":21.4}\n" || err != nil {
		t.Fatalf("read %q, %v", line, err)
	}
	_, err := r.ReadByte()
	e := new(port.Error)
	if !errors.As(err, &e) || e.Code != port.Missing || !strings.Contains(e.Text, "exit status 3") || e.Pause == 0 {
		t.Errorf("the end: %#v", err)
	}
}

func TestACaptureIsAPort(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "office.capture")
	text := "2026-11-24T16:10:00.000Z < \"a\\n\"\n2026-11-24T16:10:00.050Z < \"b\\n\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := port.New("", slog.New(slog.DiscardHandler))
	r := bufio.NewReader(opened(t, s, "replay:"+file))
	for _, want := range []string{"a\n", "b\n", "a\n", "b\n"} {
		if line, err := r.ReadString('\n'); line != want || err != nil {
			t.Fatalf("read %q, %v, want %q", line, err, want)
		}
	}
	for name, wants := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		os.DevNull:                 "sent nothing",
	} {
		_, err := s.Open(context.Background(), port.Request{Name: "replay:" + name})
		if e := new(port.Error); !errors.As(err, &e) || e.Code != port.Missing || !strings.Contains(e.Text, wants) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATapHearsBothWays(t *testing.T) {
	s := port.New("", slog.New(slog.DiscardHandler))
	p := opened(t, s, "exec:cat")
	mine, stop := s.Tap("mine")
	other, stopOther := s.Tap("other")
	defer stopOther()
	if _, err := p.Write([]byte("x\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := p.Read(buf); string(buf[:n]) != "x\n" || err != nil {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	heard := map[bool]string{}
	for range 2 {
		var piece capture.Piece
		select {
		case piece = <-mine:
		case <-time.After(20 * time.Second):
			t.Fatal("heard nothing")
		}
		heard[piece.Sent] = string(piece.Bytes)
	}
	if heard[true] != "x\n" || heard[false] != "x\n" {
		t.Errorf("heard %v", heard)
	}
	// One that does not keep up, or has stopped, holds nobody up.
	for i := range 600 {
		if i == 500 {
			stop()
			stop()
		}
		if _, err := p.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case piece := <-other:
		t.Errorf("another port's tap heard %q", piece.Bytes)
	default:
	}
}
