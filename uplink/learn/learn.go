// SPDX-License-Identifier: Apache-2.0

// Package learn finds out how long a connection may be idle in a network before something on the way (NAT, a firewall)
// forgets it, and remembers that for each network.
package learn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// Start is the keep-alive while nothing is known: mappings that live shorter are rare (RFC 5382 asks for two hours,
	// carriers were seen at four minutes).
	Start = time.Minute
	// Most is the longest that is tried: more saves next to nothing.
	Most  = 20 * time.Minute
	least = 10 * time.Second
	// mostNetworks is how many networks are remembered; the one that was looked at longest ago goes first.
	mostNetworks = 32
	// mostDoubts is how many links in a row may die while idle until what was learnt is not believed any more.
	mostDoubts = 2
)

// Search is what is known of one network.
type Search struct {
	Lived  time.Duration `json:"lived"`            // the longest idle time after which a connection was alive; 0: none yet
	Died   time.Duration `json:"died"`             // the shortest after which one was dead; 0: none yet
	Doubts int           `json:"doubts,omitempty"` // links in a row that died since
}

// Next is the idle time to try next; false: more need not be known. limit is the longest that the server allows.
func (s Search) Next(limit time.Duration) (time.Duration, bool) {
	limit = min(limit, Most)
	switch {
	case s.Died == 0 && s.Lived == 0:
		return min(2*Start, limit), true
	case s.Died == 0:
		return min(2*s.Lived, limit), s.Lived < limit
	case s.Lived == 0:
		return max(s.Died/2, least), s.Died > least
	}
	return ((s.Lived + s.Died) / 2).Round(time.Second), s.Died-s.Lived > max(s.Lived/8, 2*time.Second)
}

// Learn notes what came of a try.
func (s Search) Learn(idle time.Duration, lived bool) Search {
	s.Doubts = 0
	if lived {
		s.Lived = max(s.Lived, idle)
		return s
	}
	if s.Died == 0 || idle < s.Died {
		s.Died = idle
	}
	if s.Lived >= s.Died { // the network is another by now
		s.Lived = 0
	}
	return s
}

// KeepAlive is what to use: no longer than a connection was seen to live, or than the server allows.
func (s Search) KeepAlive(limit time.Duration) time.Duration {
	use := Start
	switch {
	case s.Lived > 0:
		use = s.Lived
	case s.Died > 0:
		use = min(Start, max(s.Died/2, least))
	}
	return min(max(use, least), limit).Truncate(time.Second)
}

// known is one network in the file.
type known struct {
	Network string `json:"network"`
	Search
}

// Memory remembers networks.
type Memory struct {
	mu   sync.Mutex
	path string
	all  []known // the one that was looked at last is the last
}

// Open reads a memory; a file that cannot be read is a memory that knows nothing. An empty path is one that forgets.
func Open(path string) (*Memory, error) {
	m := &Memory{path: path}
	if path == "" {
		return m, nil
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &m.all)
	}
	if err != nil {
		m.all = nil
		if errors.Is(err, fs.ErrNotExist) {
			return m, nil
		}
		return m, fmt.Errorf("read what was learnt of networks: %w", err)
	}
	m.all = slices.DeleteFunc(m.all, func(k known) bool { return k.Lived < 0 || k.Died < 0 || k.Network == "" })
	return m, nil
}

// Of is what is known of a network.
func (m *Memory) Of(network string) Search {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.all {
		if k.Network == network {
			return k.Search
		}
	}
	return Search{}
}

// Keep notes what is known of a network, on disk too.
func (m *Memory) Keep(network string, s Search) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = slices.DeleteFunc(m.all, func(k known) bool { return k.Network == network })
	m.all = append(m.all, known{network, s})
	m.all = m.all[max(0, len(m.all)-mostNetworks):]
	if m.path == "" {
		return nil
	}
	raw, err := json.Marshal(m.all)
	if err != nil {
		return err
	}
	// A rename without fsync may leave an empty file after a power cut. Then this is learnt again.
	next := m.path + ".next"
	if err := errors.Join(os.MkdirAll(filepath.Dir(m.path), 0o700), os.WriteFile(next, raw, 0o600)); err != nil {
		return fmt.Errorf("note what was learnt of a network: %w", err)
	}
	return os.Rename(next, m.path)
}

// Doubt notes that a link of a network died, or that one lived long. What was learnt of a network whose links die one
// after the other is forgotten.
func (m *Memory) Doubt(network string, died bool) error {
	s := m.Of(network)
	switch {
	case s == Search{}, !died && s.Doubts == 0:
		return nil
	case !died:
		s.Doubts = 0
	case s.Doubts+1 >= mostDoubts:
		s = Search{}
	default:
		s.Doubts++
	}
	return m.Keep(network, s)
}
