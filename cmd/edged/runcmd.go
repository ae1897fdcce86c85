// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edged/cmd/edged/gateway"
	"edged/config"
	"edged/systemd"
)

func newRun(g *globals) *cobra.Command {
	var debug bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "the gateway itself (systemd starts this)",
		Example: `  edged run
  edged run --config ./edged.toml --state ./state`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return g.run(debug) },
	}
	cmd.Flags().BoolVar(&debug, "debug", false, "log every detail")
	return cmd
}

// logger writes the log to standard error, without times where the service manager adds its own.
func (g *globals) logger(level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(g.err, o))
}

// run is the gateway's life: until SIGTERM or SIGINT; a second one ends it at once.
func (g *globals) run(debug bool) error {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	} else if g.quiet {
		level = slog.LevelWarn
	}
	log := g.logger(level)
	state := g.stateDir()
	cfg, rejected, err := g.configured(state)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		tellSystemd(log, systemd.Stopping)
		stop() // the next signal has its usual effect
		time.AfterFunc(stopWithin, func() {
			log.Error("something does not stop in time, as on a disk that does not answer; it is left behind", "after", stopWithin)
			os.Exit(exitFine)
		})
	})
	good := keepGood(log, state)
	defer good.end()
	gw, err := gateway.New(gateway.Options{
		Config: cfg, Rejected: rejected, State: state, Socket: filepath.Join(g.socketDir(), socketName),
		Version: version, Built: built(), Log: log,
		Ready: func() {
			inForce(log, cfg, rejected != nil, good)
			time.AfterFunc(startOver, func() {
				if err := dropStartPages(); err != nil {
					log.Debug("the pages of the start stay in memory", "err", err)
				}
			})
		},
		Load: func() (*config.Config, error) {
			tellSystemd(log, systemd.Reloading)
			return config.Load(g.config)
		},
		Reloaded: func(r gateway.Reloaded) { inForce(log, r.Config, !r.OK, good) },
	})
	if err != nil {
		return err
	}
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	reloading, done := context.WithCancel(ctx)
	var reloads sync.WaitGroup
	reloads.Go(func() { reloadOn(reloading, hangUps, gw) })
	err = gw.Run(ctx)
	done()
	reloads.Wait()
	return err
}

// reloadOn has the configuration read again at each signal, until ctx ends. What comes of it is logged.
func reloadOn(ctx context.Context, hangUps <-chan os.Signal, gw *gateway.Gateway) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUps:
			if _, err := gw.Reload(ctx); err != nil {
				return // only ctx ends a wait
			}
		}
	}
}

// inForce tells the service manager that the gateway stands, and keeps the configuration that it stands on.
func inForce(log *slog.Logger, cfg *config.Config, rejected bool, good *goodKeeper) {
	tellSystemd(log, systemd.Ready)
	text := ""
	if rejected {
		text = "config-rejected: the last good configuration runs; see edged config check"
	}
	tellSystemd(log, func() error { return systemd.Status(text) })
	if rejected {
		return
	}
	good.keep(cfg)
}

// configured reads the configuration. Where it has faults and the gateway ran before, it returns the last good one and
// the faults.
func (g *globals) configured(state string) (cfg *config.Config, rejected, err error) {
	cfg, err = config.Load(g.config)
	if err == nil {
		return cfg, nil, nil
	}
	rejected = g.problems(err)
	var all config.Problems
	if !errors.As(err, &all) {
		return nil, nil, err
	}
	good, noGood := config.LoadGood(state)
	if noGood != nil {
		return nil, nil, rejected
	}
	fmt.Fprintln(g.err, "edged: the last good configuration runs instead (config-rejected)")
	return good, err, nil
}

func tellSystemd(log *slog.Logger, tell func() error) {
	if err := tell(); err != nil {
		log.Warn("telling the service manager", "err", err)
	}
}

// built is the time of the sources.
func built() time.Time {
	s, err := strconv.ParseInt(buildTime, 10, 64)
	if err != nil {
		return time.Unix(0, 0)
	}
	return time.Unix(s, 0)
}
