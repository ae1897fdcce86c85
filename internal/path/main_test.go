// SPDX-License-Identifier: Apache-2.0

package path

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	// What the program is made of: results that go test kept count no more when it changes.
	_ "edged/broker"
	_ "edged/config"
	_ "edged/uplink"
)

const (
	// dirVariable names the environment variable that tells the tests where TestMain built the program.
	dirVariable = "EDGED_PATH_DIR"
	// fullVariable names the one that asks for the whole campaign: each fault as long as it is promised for.
	fullVariable = "EDGED_PATH_FULL"
	// together is how many rows run at once. They wait most of the time, so it has little to do with processors.
	together = "10"
)

// full says whether this is the whole campaign.
func full() bool { return os.Getenv(fullVariable) != "" }

// either is for how long a fault lasts, or how many there are.
func either[T any](short, long T) T {
	if full() {
		return long
	}
	return short
}

// grace is what the short form grants on top of what is promised: it runs beside other tests, on a machine that may be busy.
func grace() time.Duration { return either(3*time.Second, 0) }

// TestMain builds edged as it is shipped. Without root there are no namespaces; then nothing is run, and `make test` says so.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "NOT RUN: internal/path needs root, for network namespaces")
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		panic(err)
	}
	code, err := withProgram(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withProgram(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "edged-path")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv(dirVariable, dir); err != nil {
		return 1, err
	}
	if out, err := build(program()); err != nil {
		return 1, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return run(), nil
}

func build(file string, flags ...string) ([]byte, error) {
	args := append([]string{"build", "-ldflags", fmt.Sprintf("-X main.buildTime=%d", time.Now().Unix()), "-o", file}, flags...)
	cmd := exec.Command("go", append(args, "edged/cmd/edged")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd.CombinedOutput()
}

// program is the path of edged.
func program() string { return filepath.Join(os.Getenv(dirVariable), "edged") }
