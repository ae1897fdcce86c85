// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"edged/config"
)

func newConfig(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "look at the configuration, and put it into force",
		Example: "  edged config check && edged config apply",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check [FILE]",
		Short: "tell everything that is wrong with the configuration; exit 78 if anything is",
		Example: `  edged config check
  edged config check ./edged.toml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := g.config
			if len(args) > 0 {
				path = args[0]
			}
			return g.checkConfig(path)
		},
	}, newConfigShow(g), newConfigApply(g))
	return cmd
}

func (g *globals) checkConfig(path string) error {
	cfg, err := config.Load(path)
	if g.json {
		return g.checkedJSON(err)
	}
	if err != nil {
		return g.problems(err)
	}
	if len(cfg.Files) == 0 {
		g.say("there is no configuration at %s: edged runs with its defaults", config.Dir)
		return nil
	}
	for _, f := range cfg.Files {
		g.say("%s: fine", f)
	}
	return nil
}

// problems prints what is wrong with a configuration, each fault with its line, and ends with exit code 78.
func (g *globals) problems(err error) error {
	var all config.Problems
	if !errors.As(err, &all) {
		return err
	}
	_, failed := fmt.Fprint(g.err, all.Pretty())
	return errors.Join(exitWith(exitConfig, errQuiet), failed)
}

// checkedJSON prints the problems as a list, empty if there are none.
func (g *globals) checkedJSON(err error) error {
	type problem struct {
		Code   string `json:"code"`
		File   string `json:"file"`
		Line   int    `json:"line,omitempty"`
		Column int    `json:"column,omitempty"`
		Key    string `json:"key,omitempty"`
		Text   string `json:"text"`
		Do     string `json:"do,omitempty"`
	}
	list := []problem{}
	var all config.Problems
	if err != nil && !errors.As(err, &all) {
		return err
	}
	for _, p := range all {
		list = append(list, problem{p.Code, p.File, p.Line, p.Column, p.Key, p.Text, p.Hint})
	}
	if err := json.NewEncoder(g.out).Encode(map[string]any{"ok": len(list) == 0, "problems": list}); err != nil {
		return err
	}
	if len(list) > 0 {
		return exitWith(exitConfig, errQuiet)
	}
	return nil
}
