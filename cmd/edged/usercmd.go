// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"edged/config"
)

func newUser(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "who may use the broker",
		Long: `Who may use the broker.

Users stand in the configuration as [broker.user.NAME]: in conf.d/users.toml, or wherever their table is already, or in
the file that --config names. These commands keep everything else in it, and have a running gateway read it at once.`,
		Example: `  edged user add nodered --publish 'edged/+/dev/+/set' --subscribe 'edged/#'
  edged user list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserAdd(g), newUserPasswd(g), newUserRm(g), newUserList(g), newUserImport(g))
	return cmd
}

// rights are the flags that say what a user may do.
type rights struct {
	publish, subscribe, clientIDs []string
}

func (r *rights) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&r.publish, "publish", nil, "topic filter that the user may publish to; {client_id} and {user} stand for whole levels (repeatable)")
	f.StringArrayVar(&r.subscribe, "subscribe", nil, "topic filter that the user may read (repeatable)")
	f.StringArrayVar(&r.clientIDs, "client-id", nil, "ClientId that the user may use, or PREFIX* (repeatable; default NAME and NAME-*)")
}

// keys are those of a user's table.
func (r *rights) keys() []config.KeyValue {
	var keys []config.KeyValue
	for _, k := range []struct {
		key  string
		list []string
	}{{"client_ids", r.clientIDs}, {"publish", r.publish}, {"subscribe", r.subscribe}} {
		if len(k.list) > 0 {
			keys = append(keys, config.KeyValue{Key: k.key, Value: k.list})
		}
	}
	return keys
}

// none tells whether nobody could do anything with these.
func (r *rights) none() bool { return len(r.publish) == 0 && len(r.subscribe) == 0 }

func newUserAdd(g *globals) *cobra.Command {
	var r rights
	var cert string
	var generate bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "add a user; the password is asked for twice, or is the first line of standard input",
		Long: `Add a user. The password is asked for twice on a terminal, else it is the first line of standard input; its hash is
what the configuration keeps. What no --publish or --subscribe names is denied.`,
		Example: `  edged user add nodered --publish 'edged/+/dev/+/set' --subscribe 'edged/#'
  edged user add panel --generate --subscribe 'edged/#' > panel.password
  edged user add plc --cert CN=plc-7 --publish 'plc/{client_id}/#'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			name := args[0]
			d, err := g.draftOfUsers(name)
			if err != nil {
				return err
			}
			if file, ok := d.Find(config.UserTable(name)...); ok {
				return exitWith(exitUsage, fmt.Errorf("there is a user %s already, in %s; to change the password: edged user passwd %s", name, file, name))
			}
			var keys []config.KeyValue
			var password password
			if cert == "" || generate {
				if password, err = g.newPassword(ctx, name, generate); err != nil {
					return err
				}
				keys = append(keys, config.KeyValue{Key: "password", Value: password.hash})
			}
			if cert != "" {
				keys = append(keys, config.KeyValue{Key: "cert", Value: cert})
			}
			return g.saveUsers(ctx, d, password, func() (string, error) {
				file, err := d.Set(config.UserTable(name), append(keys, r.keys()...)...)
				return fmt.Sprintf("user %s is in %s%s", name, file, r.advice(file)), err
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&cert, "cert", "", "subject of the certificate that is this user, such as CN=plc-7, instead of a password")
	cmd.Flags().BoolVar(&generate, "generate", false, "make a password and print it, once, on standard output")
	return cmd
}

// advice says how to give rights to a user who has none.
func (r *rights) advice(file string) string {
	if !r.none() {
		return ""
	}
	return fmt.Sprintf("\nit may not publish or read anything yet: add publish = [\"…\"] and subscribe = [\"…\"] to its table in %s,\nthen run: edged config apply", file)
}

func newUserPasswd(g *globals) *cobra.Command {
	var generate bool
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "give a user another password, asked for twice or the first line of standard input",
		Example: `  edged user passwd nodered
  edged user passwd nodered --generate`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			name := args[0]
			d, err := g.draftOfUsers(name)
			if err != nil {
				return err
			}
			if _, ok := d.Find(config.UserTable(name)...); !ok {
				return noUser(name)
			}
			password, err := g.newPassword(ctx, name, generate)
			if err != nil {
				return err
			}
			return g.saveUsers(ctx, d, password, func() (string, error) {
				file, err := d.Set(config.UserTable(name), config.KeyValue{Key: "password", Value: password.hash})
				return fmt.Sprintf("user %s has another password, in %s", name, file), err
			})
		},
	}
	cmd.Flags().BoolVar(&generate, "generate", false, "make a password and print it, once, on standard output")
	return cmd
}

func newUserRm(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME",
		Short:   "remove a user; clients that are connected as it are disconnected",
		Example: "  edged user rm nodered",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			name := args[0]
			d, err := g.draftOfUsers("")
			if err != nil {
				return err
			}
			if _, ok := d.Find(config.UserTable(name)...); !ok {
				return noUser(name)
			}
			return g.saveUsers(ctx, d, password{}, func() (string, error) {
				file, err := d.Remove(config.UserTable(name)...)
				return fmt.Sprintf("user %s is no longer in %s", name, file), err
			})
		},
	}
}

func noUser(name string) error {
	return exitWith(exitUsage, fmt.Errorf("there is no user %q; edged user list shows all", name))
}

// draftOfUsers reads the files of the configuration to change a user in them; name, unless it is "", is checked.
func (g *globals) draftOfUsers(name string) (*config.Draft, error) {
	if name != "" {
		if err := config.CheckUserName(name); err != nil {
			return nil, exitWith(exitUsage, err)
		}
	}
	return g.openDraft(config.UsersFile)
}

// saveUsers makes a change in the files and puts it into force. It prints a password that was made.
func (g *globals) saveUsers(ctx context.Context, d *config.Draft, p password, change func() (said string, err error)) error {
	_, err := g.saveDraft(ctx, d, change, func(before, after *config.Config) error {
		if before != nil && after != nil && before.Broker.Anonymous && !after.Broker.Anonymous {
			g.say("from now on clients need a user name, also on this machine (anonymous = true in [broker] lets others in)")
		}
		if p.made == "" {
			return nil
		}
		if _, err := fmt.Fprintln(g.out, p.made); err != nil {
			return fmt.Errorf("print the password: %w", err)
		}
		return nil
	})
	return err
}
