// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// idFile keeps the gateway's id in the state directory.
const idFile = "gateway-id"

// fallbackID is the id of a gateway whose host name has no letter that an id may have.
const fallbackID = "gateway"

// Identify gives a gateway that was not given an id the one that stateDir keeps, or else the host name made safe, which
// stateDir keeps from then on, and replaces "{gateway}" where it may stand. With stateDir "" nothing is kept. After an
// error the gateway has an id all the same: a disk that cannot be written must not stop the start.
func (cfg *Config) Identify(stateDir string) error {
	if cfg.Gateway.ID != "" {
		return nil
	}
	id, err := DefaultID(stateDir)
	cfg.Gateway.ID = id
	cfg.name(id)
	cfg.Hash = cfg.hash()
	return err
}

// name replaces "{gateway}" by the gateway's id.
func (cfg *Config) name(id string) {
	if cfg.Uplink != nil {
		expand(cfg.Uplink, id)
	}
}

// DefaultID returns the id of a gateway that its configuration does not name: see [Config.Identify]. The id is valid
// even where the error says that it could not be kept.
func DefaultID(stateDir string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	id := SafeID(host)
	if stateDir == "" {
		return id, nil
	}
	name := filepath.Join(stateDir, idFile)
	kept, err := os.ReadFile(name)
	if s := strings.TrimSpace(string(kept)); err == nil && badID(s, gatewayLetters, maxID) == "" {
		return s, nil
	}
	if err := keep(name, id+"\n"); err != nil {
		return id, fmt.Errorf("keep the gateway's id %q: %w", id, err)
	}
	return id, nil
}

// SafeID makes an id of a host name: its first label in small letters, with "-" for what an id cannot have.
func SafeID(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	var b strings.Builder
	for _, r := range host {
		if !contains(gatewayLetters, r) {
			r = '-'
		}
		b.WriteRune(r)
	}
	id := b.String()
	for strings.Contains(id, "--") {
		id = strings.ReplaceAll(id, "--", "-")
	}
	id = strings.Trim(id, "-")
	id = strings.TrimRight(id[:min(len(id), maxID)], "-")
	if id == "" {
		return fallbackID
	}
	return id
}

// keep writes a small file of the owner's alone so that after a power cut it is there whole or not at all.
func keep(name, text string) error {
	return replace(name, text, func(*os.File) error { return nil })
}

// replace writes a small file so that after a power cut the old one or the new one is there, whole; prepare is given the
// new one before anybody else can see it under its name.
func replace(name, text string, prepare func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(text)
	if err == nil {
		err = prepare(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	err = dir.Sync()
	if closed := dir.Close(); err == nil {
		err = closed
	}
	return err
}
