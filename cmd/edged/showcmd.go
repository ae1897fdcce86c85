// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"edged/config"
)

func newConfigShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "print the configuration with every default, hashes of passwords as ***",
		Example: `  edged config show
  edged config show --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(g.config)
			if err != nil {
				return g.problems(err)
			}
			text, err := cfg.Show()
			if err != nil {
				return err
			}
			if !g.json {
				fmt.Fprint(g.out, text)
				return nil
			}
			all, err := config.ParseOptions(text)
			if err != nil {
				return err
			}
			return json.NewEncoder(g.out).Encode(all)
		},
	}
}
