// SPDX-License-Identifier: Apache-2.0

// Package built builds edged for tests that run the real program.
package built

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// dirVariable names the environment variable that tells the tests where Main built the programs.
const dirVariable = "EDGED_BUILT_DIR"

// Main builds edged as it is shipped, once for each set of build tags, where "" is none. Then it runs the tests and removes
// what it built. It returns the exit code; what went wrong is said on standard error.
func Main(run func() int, tags ...string) (code int) {
	code, err := with(run, tags)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Path is where Main built edged with these tags.
func Path(tags string) string { return filepath.Join(os.Getenv(dirVariable), "edged"+tags) }

func with(run func() int, all []string) (code int, err error) {
	dir, err := os.MkdirTemp("", "edged-built")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv(dirVariable, dir); err != nil {
		return 1, err
	}
	for _, tags := range all {
		cmd := exec.Command("go", "build", "-tags", tags, "-o", Path(tags), "edged/cmd/edged")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return run(), nil
}
