// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"edged/cmd/edged/demo"
)

func newDemo(g *globals) *cobra.Command {
	var duration time.Duration
	var port int
	var debug bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "everything simulated, nothing to install, nothing written",
		Example: `  edged demo
  edged demo --for 60s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duration < 0 {
				return exitWith(exitUsage, fmt.Errorf("--for %v: a demonstration cannot end before it begins", duration))
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			context.AfterFunc(ctx, stop)
			level := slog.LevelError
			if debug {
				level = slog.LevelDebug
			}
			err := demo.Run(ctx, demo.Options{
				For: duration, Port: port, Version: version, Built: built(), Log: g.logger(level), Out: g.out, Talk: g.err,
			})
			if errors.Is(err, demo.ErrLost) {
				return exitWith(exitProblem, err)
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&duration, "for", 0, "end by itself after this long, exit 0 only if nothing was lost")
	cmd.Flags().IntVar(&port, "port", 1883, "of the broker; a free one is taken where it is in use")
	cmd.Flags().BoolVar(&debug, "debug", false, "log every detail")
	return cmd
}
