// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bufio"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	talkLines = 10          // that go to the log in a window; those beyond are counted
	talkTime  = time.Minute // a window
	talkBytes = 200         // of a line
)

// talk is what a program writes to its standard error.
type talk struct {
	from *os.File
	log  *slog.Logger
	done chan struct{}

	mu   sync.Mutex
	line string // newest

	begun    time.Time // of the window
	told     int
	withheld int
}

func newTalk(from *os.File, log *slog.Logger) *talk {
	t := &talk{from: from, log: log, done: make(chan struct{})}
	go t.listen()
	return t
}

// listen reads to the end, since a program whose standard error nobody reads stands still.
func (t *talk) listen() {
	defer close(t.done)
	r := bufio.NewReaderSize(t.from, 4096)
	for {
		line, _, err := r.ReadLine() // a long one comes in parts
		if err != nil {
			t.summary()
			return
		}
		if text := strings.TrimSpace(strings.ToValidUTF8(string(line[:min(len(line), talkBytes)]), "?")); text != "" {
			t.tell(text, time.Now())
		}
	}
}

// tell logs a line while there is room in the window.
func (t *talk) tell(text string, now time.Time) {
	t.mu.Lock()
	t.line = text
	t.mu.Unlock()
	if t.begun.IsZero() || now.Sub(t.begun) >= talkTime {
		t.summary()
		t.begun, t.told = now, 0
	}
	if t.told >= talkLines {
		t.withheld++
		return
	}
	t.told++
	t.log.Info("the program says", "text", text)
}

func (t *talk) summary() {
	if t.withheld > 0 {
		t.log.Info("the program said more than is logged", "lines", t.withheld)
	}
	t.withheld = 0
}

// last is the newest line.
func (t *talk) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line
}

// end waits for the rest, but not for a process that has left the group and still holds the pipe.
func (t *talk) end() {
	late := time.AfterFunc(grace, func() { _ = t.from.SetReadDeadline(time.Now()) }) // the reader ends then
	defer late.Stop()
	<-t.done
	_ = t.from.Close() // it was only read
}
