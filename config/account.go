// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// UsersFile is where users go that a command adds, below the directory of the configuration.
const UsersFile = "conf.d/users.toml"

// Account is a user of the broker as the files have it, without secrets.
type Account struct {
	Name      string   `json:"name"`
	Password  string   `json:"password,omitempty"` // where it comes from: "file:PATH", …, or the kind of its hash; "": none
	Cert      string   `json:"cert,omitempty"`
	ClientIDs []string `json:"client_ids"`
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
	File      string   `json:"file"`
}

// UserTable is the path of a user's table.
func UserTable(name string) []string { return []string{"broker", "user", name} }

// DevicesFile is where devices go that a command adds, below the directory of the configuration.
const DevicesFile = "edged.toml"

// DeviceTable is the path of a device's table.
func DeviceTable(name string) []string { return []string{"device", name} }

// CheckDeviceName says what is wrong with the name of a device.
func CheckDeviceName(name string) error {
	if problem := badID(name, deviceLetters, maxID); problem != "" {
		return fmt.Errorf("device name: %s; allowed: 1 to %d of a-z, 0-9, _ and -", problem, maxID)
	}
	return nil
}

// CheckUserName says what is wrong with the name of a user.
func CheckUserName(name string) error {
	if problem := badID(name, userLetters, maxUser); problem != "" {
		return fmt.Errorf("user name: %s; allowed: 1 to %d of A-Z, a-z, 0-9 and _ . @ -", problem, maxUser)
	}
	return nil
}

// Accounts are the users, by name, whatever else is wrong with the configuration. The error is a [Problems].
func (d *Draft) Accounts() ([]Account, error) {
	sources, err := d.sources()
	if err != nil {
		return nil, err
	}
	cfg, _ := assemble(sources, d.with)
	accounts := []Account{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Broker.Users)) {
		u := cfg.Broker.Users[name]
		a := Account{Name: name, Password: cfg.userPasswords[name].origin(), Cert: u.Cert, ClientIDs: u.ClientIDs, Publish: u.Publish, Subscribe: u.Subscribe}
		if a.ClientIDs == nil {
			a.ClientIDs = []string{name, name + "-*"}
		}
		a.Publish, a.Subscribe = slices.Concat([]string{}, a.Publish), slices.Concat([]string{}, a.Subscribe)
		a.File, _ = d.Find(UserTable(name)...)
		accounts = append(accounts, a)
	}
	return accounts, nil
}

// origin is where a secret comes from, or what kind of hash it is.
func (s Secret) origin() string {
	if !s.isHash() {
		return s.reference()
	}
	kind, _, _ := strings.Cut((*s.ref)[1:], "$")
	switch kind {
	case "7":
		return "hash (PBKDF2)"
	case "6":
		return "hash (SHA-512)"
	}
	return "hash (" + kind + ")"
}
