// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// globals are the flags that every command has, and where it reads and writes.
type globals struct {
	config  string
	state   string
	json    bool
	quiet   bool
	noColor bool

	in       io.Reader
	out, err io.Writer
}

// say writes talk, as opposed to data, unless --quiet was given.
func (g *globals) say(format string, args ...any) {
	if !g.quiet {
		fmt.Fprintf(g.err, format+"\n", args...)
	}
}

// color says whether output may hold colours: on a terminal, and unless NO_COLOR or --no-color ask for none.
func (g *globals) color() bool {
	f, ok := g.out.(*os.File)
	if !ok || g.noColor || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// execute runs one command line and returns the exit code.
func execute(args []string, in io.Reader, out, errOut io.Writer) int {
	g := &globals{in: in, out: out, err: errOut}
	root := newRoot(g)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.Execute()
	if err != nil && !errors.Is(err, errQuiet) {
		fmt.Fprintln(errOut, "edged: "+strings.TrimPrefix(err.Error(), "edged: "))
	}
	return exitCode(err)
}

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "edged",
		Short: "edged connects serial sensors to MQTT, here and in the cloud.",
		Example: `  edged demo                       everything simulated, nothing to install
  edged run --config edged.toml    the gateway itself
  edged sub 'edged/#'              what an MQTT client sees`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("no command %q%s", args[0], suggestion(cmd, args[0]))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&g.config, "config", "", "configuration file (default /etc/edged/edged.toml and conf.d/*.toml)")
	f.StringVar(&g.state, "state", "", "state directory (default $STATE_DIRECTORY, /var/lib/edged or $XDG_STATE_HOME/edged)")
	f.BoolVar(&g.json, "json", false, "machine-readable output")
	f.BoolVar(&g.quiet, "quiet", false, "only data and errors")
	f.BoolVar(&g.noColor, "no-color", false, "no colours")
	root.AddCommand(newDemo(g), newRun(g), newSub(g), newPub(g), newStatus(g), newScan(g), newWatch(g), newConfig(g), newConnect(g), newDoctor(g), newUser(g), newDrivers(g), newDecode(g), newDecodeBatch(g), newDevice(g), newVersion(g))
	usageErrors(root)
	return root
}

func suggestion(cmd *cobra.Command, name string) string {
	if s := cmd.SuggestionsFor(name); len(s) > 0 {
		return fmt.Sprintf(". Did you mean %q?", s[0])
	}
	return "; see edged --help"
}

// usageErrors makes every fault of the command line itself end with exit code 64.
func usageErrors(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exitWith(exitUsage, fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
	})
	if args := cmd.Args; args != nil {
		cmd.Args = func(c *cobra.Command, a []string) error {
			if err := args(c, a); err != nil {
				return exitWith(exitUsage, fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "which edged this is",
		Example: "  edged version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if g.json {
				fmt.Fprintf(g.out, "{\"version\":%q}\n", version)
				return nil
			}
			fmt.Fprintln(g.out, "edged", version)
			return nil
		},
	}
}
