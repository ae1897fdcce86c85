// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/broker/journal"
)

// writerDir, in the environment, makes TestWriterProcess write a journal there until it is killed.
const writerDir = "EDGED_TEST_JOURNAL"

func TestKillNine(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
		cmd.Env = append(os.Environ(), writerDir+"="+dir, "EDGED_TEST_FROM="+strconv.Itoa(acknowledged))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+37*round && lines.Scan(); n++ {
			acknowledged = number(t, lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had said before it died
			acknowledged = number(t, lines.Text())
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		next := 0
		alarm := &alarms{}
		j, err := journal.Open(journal.Config{Dir: dir, Alarm: alarm.set}, func(r journal.Record) {
			if n := number(t, string(r.Body[:8])); n != next {
				t.Fatalf("round %d: record %d where %d should be", round, n, next)
			}
			next++
		})
		if err != nil {
			t.Fatal(err)
		}
		if next < acknowledged {
			t.Errorf("round %d: %d records, of %d that were durable", round, next, acknowledged)
		}
		if alarm.count("E603") > 0 {
			t.Errorf("round %d: %v", round, alarm.up)
		}
		acknowledged = next
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	if acknowledged < 100 {
		t.Errorf("only %d records in all", acknowledged)
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatalf("a line of the writer: %v", err)
	}
	return n
}

// TestWriterProcess is the other process of TestKillNine; by itself it does nothing.
func TestWriterProcess(t *testing.T) {
	dir := os.Getenv(writerDir)
	if dir == "" {
		return
	}
	n := number(t, os.Getenv("EDGED_TEST_FROM"))
	j, err := journal.Open(journal.Config{Dir: dir}, func(journal.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	commits := make(chan struct{}, 1)
	go func() {
		err := j.Run(t.Context(), func(journal.Pos) {
			select {
			case commits <- struct{}{}:
			default:
			}
		})
		t.Errorf("Run ended: %v", err)
	}()
	for {
		for range 1 + n%5 {
			j.Append(kind, append(fmt.Appendf(nil, "%8d", n), make([]byte, n%40*1000)...))
			n++
		}
		for end := j.End(); j.Durable() < end; {
			<-commits
		}
		fmt.Println(n)
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	j, err := journal.Open(journal.Config{Dir: used}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"a file": file, "below a file": filepath.Join(file, "x"), "used by another": used} {
		if _, err := journal.Open(journal.Config{Dir: dir}, nil); !errors.Is(err, journal.ErrUnusable) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err = journal.Open(journal.Config{Dir: used}, nil)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// on opens a journal on the real file system and runs it until the test ends or stop is called.
func on(tb testing.TB, cfg journal.Config, replay func(journal.Record)) (j *journal.Journal, commits chan journal.Pos, stop func() error) {
	tb.Helper()
	j, err := journal.Open(cfg, replay)
	if err != nil {
		tb.Fatal(err)
	}
	j.Start()
	commits = make(chan journal.Pos, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- j.Run(ctx, func(p journal.Pos) {
			select {
			case commits <- p:
			default:
			}
		})
	}()
	done := false
	stop = func() error {
		cancel()
		if done {
			return nil
		}
		done = true
		return <-ended
	}
	tb.Cleanup(func() { _ = stop() })
	return j, commits, stop
}

// durable waits until everything appended is durable.
func durable(tb testing.TB, j *journal.Journal, commits chan journal.Pos, within time.Duration) bool {
	tb.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	for end := j.End(); j.Durable() < end; {
		select {
		case <-commits:
		case <-limit.C:
			return false
		}
	}
	return true
}

func TestMemoryDoesNotGrowWithTheBacklog(t *testing.T) {
	j, commits, _ := on(t, journal.Config{Dir: t.TempDir()}, nil)
	use := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	body := make([]byte, 1000)
	add := func(bytes int) {
		for range bytes / len(body) {
			j.Append(kind, body)
		}
		if !durable(t, j, commits, time.Minute) {
			t.Fatal("not committed within a minute")
		}
	}
	add(1 << 20)
	before := use()
	for range 24 {
		add(1 << 20)
	}
	if grown := int64(use()) - int64(before); grown > 2<<20 {
		t.Errorf("the heap grew by %d bytes with a backlog of %d", grown, j.Bytes())
	}
	r := j.Read(0)
	defer r.Close()
	n := 0
	for _, ok := r.Next(); ok; _, ok = r.Next() {
		n++
	}
	if want := 25 * (1 << 20 / len(body)); n != want {
		t.Errorf("read %d records of %d", n, want)
	}
}
