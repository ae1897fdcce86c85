// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"edged/cmd/edged/gateway"
)

func newConfigApply(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "have the running gateway read its configuration again; exit 78 if it has faults",
		Example: `  edged config apply
  edged config check && edged config apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			r, err := g.askReload(ctx)
			if err != nil {
				return err
			}
			return g.showReload(r)
		},
	}
}

// askReload has the running gateway read its configuration again.
func (g *globals) askReload(ctx context.Context) (r gateway.Reloaded, err error) {
	c, _, answer, err := g.request(ctx, http.MethodPost, "/reload", nil)
	if err != nil {
		return r, err
	}
	if answer.StatusCode != http.StatusOK {
		return r, exitWith(exitUnavailable, errors.Join(fmt.Errorf("the gateway answers %s", answer.Status), c.Close()))
	}
	err = json.NewDecoder(answer.Body).Decode(&r)
	return r, errors.Join(err, c.Close())
}

func (g *globals) showReload(r gateway.Reloaded) error {
	if g.json {
		if err := json.NewEncoder(g.out).Encode(r); err != nil {
			return err
		}
	}
	switch {
	case !r.OK:
		if !g.json {
			fmt.Fprintln(g.err, r.Text)
		}
		g.say("edged: the running configuration stays in force")
		return exitWith(exitConfig, errQuiet)
	case len(r.Changed) == 0 && len(r.Restart) == 0:
		g.say("in force; nothing has changed")
	case len(r.Changed) > 0:
		g.say("in force: %s", strings.Join(r.Changed, ", "))
	}
	if len(r.Restart) > 0 {
		g.say("after a restart of edged: %s", strings.Join(r.Restart, ", "))
	}
	return nil
}
