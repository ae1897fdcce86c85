// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"edged/broker/authority"
	"edged/config"
)

// maxPasswords is more than a password file can need, in bytes.
const maxPasswords = 4 << 20

func newUserImport(g *globals) *cobra.Command {
	var r rights
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "take over the users of a mosquitto password file, all of them or none",
		Long: `Take over the users of a mosquitto password file with their hashes, all of them or none. The rights that are named
here are given to each; without any they may do nothing yet.`,
		Example: `  edged user import /etc/mosquitto/passwd --publish '#' --subscribe '#'
  edged user import passwd --publish 'plant/{user}/#'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			users, err := g.readPasswords(args[0])
			if err != nil {
				return err
			}
			d, err := g.draftOfUsers("")
			if err != nil {
				return err
			}
			var taken []error
			for _, u := range users {
				if file, ok := d.Find(config.UserTable(u.name)...); ok {
					taken = append(taken, fmt.Errorf("%s:%d: there is a user %s already, in %s", args[0], u.line, u.name, file))
				}
			}
			if len(taken) > 0 {
				return exitWith(exitConfig, errors.Join(append(taken, errors.New("nothing was changed"))...))
			}
			return g.saveUsers(ctx, d, password{}, func() (string, error) { return addAll(d, users, &r) })
		},
	}
	r.flags(cmd)
	return cmd
}

func addAll(d *config.Draft, users []passwordLine, r *rights) (said string, err error) {
	file := ""
	for _, u := range users {
		keys := append([]config.KeyValue{{Key: "password", Value: u.hash}}, r.keys()...)
		if file, err = d.Set(config.UserTable(u.name), keys...); err != nil {
			return "", err
		}
	}
	said = fmt.Sprintf("%d users are in %s", len(users), file)
	if r.none() {
		said += "\nthey may not publish or read anything yet: add publish = [\"…\"] and subscribe = [\"…\"] to their tables,\nthen run: edged config apply"
	}
	return said, nil
}

func (g *globals) readPasswords(path string) ([]passwordLine, error) {
	f, err := g.openInput(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPasswords+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > maxPasswords {
		return nil, exitWith(exitConfig, fmt.Errorf("%s is larger than %d MiB", path, maxPasswords>>20))
	}
	users, faults := parsePasswords(path, string(b))
	if len(faults) == 0 && len(users) == 0 {
		faults = []error{fmt.Errorf("%s holds no users", path)}
	}
	if len(faults) > 0 {
		return nil, exitWith(exitConfig, errors.Join(append(faults, errors.New("nothing was changed"))...))
	}
	return users, nil
}

// passwordLine is one user of a mosquitto password file.
type passwordLine struct {
	line       int
	name, hash string
}

// parsePasswords reads a mosquitto password file: NAME:HASH in each line, but for empty lines and comments. No fault names
// what may be a password.
func parsePasswords(file, text string) (users []passwordLine, faults []error) {
	first := map[string]int{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fault := func(column int, format string, args ...any) {
			faults = append(faults, fmt.Errorf("%s:%d:%d: %s", file, i+1, column, fmt.Sprintf(format, args...)))
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok {
			fault(1, "no NAME:HASH")
			continue
		}
		if err := config.CheckUserName(name); err != nil {
			fault(1, "%v", err)
			continue
		}
		if n := first[name]; n > 0 {
			fault(1, "user %s stands here a second time, first in line %d", name, n)
			continue
		}
		first[name] = i + 1
		column := len(name) + 2
		if !authority.IsHash(hash) {
			fault(column, "no hash of a password; mosquitto_passwd -U FILE makes hashes of plain ones")
			continue
		}
		if err := authority.CheckHash(hash); err != nil {
			fault(column, "%v", err)
			continue
		}
		users = append(users, passwordLine{i + 1, name, hash})
	}
	return users, faults
}
