// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edged/devices/catalog"
)

// goodFile keeps, in the state directory, the files of the last configuration that a gateway started with.
const goodFile = "good-config.json"

// goodSource is one of these files. It holds no secret: these are kept by reference only.
type goodSource struct {
	Name string `json:"name"`
	Text string `json:"text"`

	Device bool `json:"device,omitempty"` // it describes a device
}

// KeepGood keeps the files that cfg was read from in the state directory, so that a gateway whose files are spoilt later
// can go on with them. It writes only where they are not what is kept already.
func (cfg *Config) KeepGood(stateDir string) error {
	files := []goodSource{}
	for _, src := range cfg.sources {
		files = append(files, goodSource{Name: src.name, Text: src.text})
	}
	for _, f := range cfg.Drivers.Files() {
		files = append(files, goodSource{Name: f.Name, Text: f.Text, Device: true})
	}
	b, err := json.Marshal(files)
	if err != nil {
		return fmt.Errorf("keep the last good configuration: %w", err)
	}
	name := filepath.Join(stateDir, goodFile)
	if kept, err := os.ReadFile(name); err == nil && bytes.Equal(kept, b) {
		return nil
	}
	if err := keep(name, string(b)); err != nil {
		return fmt.Errorf("keep the last good configuration: %w", err)
	}
	return nil
}

// ErrNoGood is returned by LoadGood for a gateway that never ran.
var ErrNoGood = errors.New("there is no last good configuration")

// LoadGood reads what KeepGood kept.
func LoadGood(stateDir string) (*Config, error) {
	b, err := os.ReadFile(filepath.Join(stateDir, goodFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoGood
	}
	if err != nil {
		return nil, fmt.Errorf("read the last good configuration: %w", err)
	}
	var files []goodSource
	if err := json.Unmarshal(b, &files); err != nil {
		return nil, fmt.Errorf("read the last good configuration: %w", err)
	}
	var sources []*source
	var devices []catalog.File
	for i, f := range files {
		if f.Device {
			devices = append(devices, catalog.File{Name: f.Name, Text: f.Text})
			continue
		}
		src, p := parse(f.Name, i, f.Text)
		if p != nil {
			return nil, Problems{*p}
		}
		sources = append(sources, src)
	}
	return build(sources, describeAs(devices))
}
