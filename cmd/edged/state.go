// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
)

// stateDir is where the gateway keeps what must survive: --state, else what systemd made, else the system's place where
// that may be used, else the user's own.
func (g *globals) stateDir() string {
	if g.state != "" {
		return g.state
	}
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return filepath.SplitList(dir)[0]
	}
	const system = "/var/lib/edged"
	if _, err := os.Stat(system); err == nil || os.Geteuid() == 0 {
		return system
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "edged")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return system
	}
	return filepath.Join(home, ".local", "state", "edged")
}

const socketName = "edged.sock"

// socketDir is where the running gateway puts its control socket.
func (g *globals) socketDir() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.SplitList(dir)[0]
	}
	return g.stateDir()
}

// socketPath is where a command looks for the control socket.
func (g *globals) socketPath() string {
	if g.state == "" {
		const system = "/run/edged/" + socketName
		if _, err := os.Stat(system); err == nil {
			return system
		}
	}
	return filepath.Join(g.stateDir(), socketName)
}
