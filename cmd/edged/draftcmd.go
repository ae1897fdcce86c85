// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"edged/config"
)

// openInput opens a file for reading, or standard input for "" and "-".
func (g *globals) openInput(path string) (*os.File, error) {
	if path == "" || path == "-" {
		if f, ok := g.in.(*os.File); ok {
			return f, nil
		}
		return nil, exitWith(exitUsage, errors.New("name a file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	return f, nil
}

// openDraft reads the files of the configuration to change them; tables that are in none of them go to home.
func (g *globals) openDraft(home string) (*config.Draft, error) {
	d, err := config.OpenDraft(g.config, home)
	if err != nil {
		return nil, g.problems(err)
	}
	return d, nil
}

// saveDraft makes a change in the files, unless it brings faults into the configuration, calls saved, and has the running
// gateway read them; inForce tells whether one did.
func (g *globals) saveDraft(ctx context.Context, d *config.Draft, change func() (said string, err error), saved func(before, after *config.Config) error) (inForce bool, err error) {
	before, faults := d.Check()
	said, err := change()
	if err != nil {
		return false, exitWith(exitConfig, err)
	}
	after, faulty := d.Check()
	if faulty != nil && moreFaults(faults, faulty) {
		err = g.problems(faulty)
		g.say("edged: nothing was changed")
		return false, err
	}
	if err := d.Save(); err != nil {
		if errors.Is(err, config.ErrChanged) {
			return false, exitWith(exitTimeout, err)
		}
		return false, saveError(err)
	}
	g.say("%s", said)
	if err := saved(before, after); err != nil {
		return false, err
	}
	r, unreachable := g.askReload(ctx)
	switch {
	case unreachable == nil:
		return r.OK, g.showReload(r)
	case !errors.Is(unreachable, errNotRunning):
		return false, unreachable
	case faulty != nil:
		g.say("edged is not running, and the configuration has other faults; see edged config check")
	default:
		g.say("edged is not running; this counts from its next start on")
	}
	return false, nil
}

// moreFaults tells whether a change brought faults in. Some may have been there, and some of them only seem to be: what is
// in a credential of the service, no other program can read.
func moreFaults(before, after error) bool {
	var was, is config.Problems
	if !errors.As(after, &is) {
		return true
	}
	return !errors.As(before, &was) || len(is) > len(was)
}

// saveError gives a file that cannot be written its exit code.
func saveError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return exitWith(exitPermission, fmt.Errorf("%w; try sudo", err))
	}
	return exitWith(exitIO, err)
}
