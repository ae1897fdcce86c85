// SPDX-License-Identifier: Apache-2.0

// Package asked remembers, over restarts, what was subscribed to in the cloud. A server that keeps a session keeps its
// subscriptions, whether the configuration still has them or not, and tells nobody which they are.
package asked

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// mostSessions is how many are remembered; those that are noted least are forgotten first.
const mostSessions = 16

// session is one at a server.
type session struct {
	Name    string   `json:"session"`
	Filters []string `json:"filters"`
}

// Book is what was subscribed to. It is for one goroutine.
type Book struct {
	path string
	all  []session // the one that was noted last is the last
}

// Open reads a book; a file that cannot be read is one that knows nothing. An empty path is one that forgets.
func Open(path string) (*Book, error) {
	b := &Book{path: path}
	if path == "" {
		return b, nil
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &b.all)
	}
	if err != nil {
		b.all = nil
		if errors.Is(err, fs.ErrNotExist) {
			return b, nil
		}
		return b, fmt.Errorf("read what was subscribed to in the cloud: %w", err)
	}
	return b, nil
}

// Beyond returns what any session may have besides filters. Several addresses may lead to the same one.
func (b *Book) Beyond(filters []string) []string {
	old := map[string]bool{}
	for _, s := range b.all {
		for _, f := range s.Filters {
			if !slices.Contains(filters, f) {
				old[f] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(old))
}

// Note notes what a session has; that is on disk when Note returns without an error.
func (b *Book) Note(name string, filters []string) error {
	s := session{name, slices.Sorted(slices.Values(filters))}
	i := slices.IndexFunc(b.all, func(o session) bool { return o.Name == name })
	switch {
	case i >= 0 && slices.Equal(b.all[i].Filters, s.Filters):
		return nil
	case i >= 0:
		b.all = slices.Delete(b.all, i, i+1)
	}
	b.all = append(b.all, s)
	b.all = b.all[max(0, len(b.all)-mostSessions):]
	if b.path == "" {
		return nil
	}
	raw, err := json.Marshal(b.all)
	if err == nil {
		err = replace(b.path, raw)
	}
	if err != nil {
		return fmt.Errorf("note what was subscribed to in the cloud: %w", err)
	}
	return nil
}

// replace puts another content into a file, whole or not at all, whatever happens to the machine.
func replace(path string, raw []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
