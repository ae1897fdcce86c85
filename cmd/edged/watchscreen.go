// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// watchView is how the devices are shown.
type watchView struct {
	selected string // gateway/device; "": the first
	raw      bool   // its bytes are shown
	rawLines []string
	rawNote  string // why there are none
}

// names are the devices in the order in which they are shown.
func (w *watched) names() []string { return slices.Sorted(maps.Keys(w.devices)) }

// move selects another device.
func (v *watchView) move(w *watched, by int) {
	names := w.names()
	if len(names) == 0 {
		return
	}
	i := max(slices.Index(names, v.selected), 0)
	v.selected = names[(i+by+len(names))%len(names)]
}

// draw gives the lines of a screen of that size.
func (w *watched) draw(v *watchView, width, height int, now time.Time, mark func(string, bool) string) []string {
	var body []string
	names := w.names()
	if len(names) > 0 && !slices.Contains(names, v.selected) {
		v.selected = names[0]
	}
	top := 0
	for _, key := range names {
		if key == v.selected {
			top = len(body)
		}
		body = append(body, w.drawDevice(key, key == v.selected && len(names) > 1, width, now, mark)...)
	}
	if len(names) == 0 {
		body = append(body, "waiting for readings")
	}
	foot := []string{cut("q quit   r raw bytes   ↑↓ device", width)}
	if v.raw {
		foot = append(v.drawRaw(width, height/2), foot...)
	}
	room := max(height-len(foot), 1)
	from := max(0, min(top, len(body)-room))
	body = body[from:min(len(body), from+room)]
	for len(body) < room {
		body = append(body, "")
	}
	all := append(body, foot...)
	return all[max(0, len(all)-height):]
}

func (w *watched) drawDevice(key string, selected bool, width int, now time.Time, mark func(string, bool) string) []string {
	d := w.devices[key]
	pointer := "  "
	if selected {
		pointer = "> "
	}
	head := fmt.Sprintf("%s%-16s", pointer, d.title(w.several))
	rest := fmt.Sprintf("  %.1f msg/s", d.rate(now))
	if !d.seen.IsZero() {
		rest += "  measured " + age(now.Sub(d.seen)) + " ago"
	}
	if d.status == "offline" && d.reason != "" {
		rest = "  " + d.reason
	}
	state := d.status
	if state == "" {
		state = "?"
	}
	lines := []string{cut(head, width) + mark(cut(state, max(width-len([]rune(head)), 0)), state == "online") + cut(rest, max(width-len([]rune(head+state)), 0))}
	for _, name := range slices.Sorted(maps.Keys(d.readings)) {
		r := d.readings[name]
		line := fmt.Sprintf("    %-18s %-14s", name, d.withUnit(name, r.value))
		if len(r.history) > 0 {
			line += fmt.Sprintf(" %-*s  min %g  max %g", sparkWidth, sparkline(r.history), r.min, r.max)
		}
		lines = append(lines, cut(line, width))
	}
	return append(lines, "")
}

// drawRaw gives the newest bytes of the selected device.
func (v *watchView) drawRaw(width, height int) []string {
	_, name, _ := strings.Cut(v.selected, "/")
	lines := []string{cut("── bytes of "+name+" ──", width)}
	if v.rawNote != "" {
		return append(lines, cut(v.rawNote, width))
	}
	n := min(len(v.rawLines), max(height-1, 1))
	for _, s := range v.rawLines[len(v.rawLines)-n:] {
		lines = append(lines, cut(s, width))
	}
	return lines
}

// cut makes text fit into a line, and harmless.
func cut(s string, width int) string {
	r := []rune(printable(s))
	return string(r[:min(len(r), width)])
}

// screen is the terminal while it is drawn on.
type screen struct {
	tty  *os.File
	out  io.Writer
	was  *term.State
	keys chan byte // holds some; a key more is lost
	done chan struct{}
}

// openScreen takes the terminal. It must be closed.
func openScreen(out io.Writer) (*screen, error) {
	// A description of its own, so that closing it ends a read that waits.
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the terminal: %w", err)
	}
	s := &screen{tty: tty, out: out, keys: make(chan byte, 16), done: make(chan struct{})}
	if err := s.control(func(fd int) (err error) { s.was, err = term.MakeRaw(fd); return err }); err != nil {
		_ = tty.Close() // the error is told
		return nil, fmt.Errorf("set the terminal: %w", err)
	}
	go s.read()
	_, err = io.WriteString(out, "\x1b[?1049h\x1b[?25l") // another screen, no cursor
	return s, err
}

func (s *screen) control(do func(fd int) error) error {
	raw, err := s.tty.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// read takes keys until the screen is closed. An arrow is its last letter, after ESC and [.
func (s *screen) read() {
	defer close(s.done)
	buf := make([]byte, 16)
	for {
		n, err := s.tty.Read(buf)
		if err != nil {
			return
		}
		for _, k := range buf[:n] {
			select {
			case s.keys <- k:
			default:
			}
		}
	}
}

// size is that of the terminal, or a usual one.
func (s *screen) size() (width, height int) {
	err := s.control(func(fd int) (err error) { width, height, err = term.GetSize(fd); return err })
	if err != nil || width < 1 || height < 1 {
		return 80, 24
	}
	return width, height
}

// show draws lines, each over the one that was there.
func (s *screen) show(lines []string) error {
	_, err := io.WriteString(s.out, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J")
	return err
}

// close gives the terminal back as it was.
func (s *screen) close() {
	_, _ = io.WriteString(s.out, "\x1b[?25h\x1b[?1049l") // there is no other place to tell an error
	_ = s.control(func(fd int) error { return term.Restore(fd, s.was) })
	_ = s.tty.Close()
	<-s.done
}
