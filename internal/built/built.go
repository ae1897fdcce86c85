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

// Program is one that the tests run.
type Program struct {
	Name   string
	Flags  []string // of go build
	In     string   // the folder of the module that Source is of; "": where the tests run
	Source string   // its package
}

// Edged is the package of the program itself.
const Edged = "edged/cmd/edged"

// Tagged is edged as it is shipped, but for build tags; "" is none.
func Tagged(tags string) Program {
	return Program{Name: "edged" + tags, Flags: []string{"-tags", tags}, Source: Edged}
}

// Main builds the programs, then runs the tests and removes what it built. It returns the exit code; what went wrong is said
// on standard error.
func Main(run func() int, programs ...Program) (code int) {
	code, err := with(run, programs)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Path is where Main built the program of this name.
func Path(name string) string { return filepath.Join(os.Getenv(dirVariable), name) }

// Build builds one more program, whose file is file.
func Build(file string, p Program) error {
	args := append([]string{"build"}, p.Flags...)
	cmd := exec.Command("go", append(args, "-o", file, p.Source)...)
	cmd.Dir = p.In
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.Name, err, out)
	}
	return nil
}

func with(run func() int, programs []Program) (code int, err error) {
	dir, err := os.MkdirTemp("", "edged-built")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv(dirVariable, dir); err != nil {
		return 1, err
	}
	for _, p := range programs {
		if err := Build(Path(p.Name), p); err != nil {
			return 1, err
		}
	}
	return run(), nil
}
