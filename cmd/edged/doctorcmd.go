// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"edged/cmd/edged/gateway"
	"edged/config"
	"edged/uplink"
)

func newDoctor(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor cloud",
		Short: "why is the cloud not reached? each step of the way there; exit 1 if one fails",
		Long: `Goes the way to the cloud step by step, and tells each with its time and, if it fails, with its reason.

A running gateway does this itself, with its own rights and secrets and beside the link, which is left alone: the session
that is opened is that of another client id, CLIENT_ID-doctor, and leaves nothing at the server. Where the server lets no
such client in, that is told, and is no fault.`,
		Example: `  edged doctor cloud
  edged doctor cloud --json`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"cloud"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			steps := &findings{g: g}
			end, err := g.askDoctor(ctx, steps.add)
			if errors.Is(err, errNotRunning) {
				g.say("edged is not running; the way is tried from here, as the gateway itself")
				end, err = g.doctorHere(ctx, steps.add)
			}
			if err != nil {
				return err
			}
			return g.showDoctor(steps, end)
		},
	}
}

// doctorTime is more than the slowest way to one address takes.
const doctorTime = 5 * time.Minute

// askDoctor has the running gateway look into the cloud.
func (g *globals) askDoctor(ctx context.Context, told func(uplink.Finding)) (*gateway.CloudDoctor, error) {
	c, _, answer, err := g.request(ctx, http.MethodPost, "/doctor/cloud", nil)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	end, err := readDoctor(c, answer, told)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return end, errors.Join(err, c.Close())
}

func readDoctor(c net.Conn, answer *http.Response, told func(uplink.Finding)) (*gateway.CloudDoctor, error) {
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, noCloud()
	default:
		return nil, exitWith(exitUnavailable, fmt.Errorf("the gateway answers %s", answer.Status))
	}
	if err := c.SetDeadline(time.Now().Add(doctorTime)); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		var d gateway.Diagnosis
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("read what the gateway answers: %w", err)
		}
		if d.Finding != nil {
			told(*d.Finding)
		}
		if d.End != nil {
			return d.End, nil
		}
	}
	return nil, exitWith(exitUnavailable, errors.Join(errors.New("the gateway ended the answer early; see its log"), lines.Err()))
}

func noCloud() error {
	return exitWith(exitProblem, errors.New("no cloud is configured; to have one: edged connect URL"))
}

// doctorHere looks into the cloud where no gateway runs.
func (g *globals) doctorHere(ctx context.Context, told func(uplink.Finding)) (*gateway.CloudDoctor, error) {
	cfg, err := config.Load(g.config)
	if err != nil {
		return nil, g.problems(err)
	}
	if cfg.Uplink == nil {
		return nil, noCloud()
	}
	as := uplink.Guest{ClientID: g.identified(cfg)}
	reached, err := uplink.Check(ctx, *cfg.Uplink, g.checkDeps(cfg), as, told)
	if err != nil {
		return nil, err
	}
	return &gateway.CloudDoctor{
		ClientID: as.ClientID, Reached: reached == len(cfg.Uplink.URLs), Cloud: gateway.Cloud{State: uplink.Off},
	}, nil
}

// identified gives a configuration its gateway's id, and returns the ClientId of the uplink.
func (g *globals) identified(cfg *config.Config) string {
	if err := cfg.Identify(g.stateDir()); err != nil {
		g.say("the gateway's id is %s; it could not be kept: %v", cfg.Gateway.ID, err)
	}
	return cfg.Uplink.ClientID
}

// checkDeps is what a look into the cloud from the command line needs.
func (g *globals) checkDeps(cfg *config.Config) uplink.Deps {
	return uplink.Deps{Gateway: cfg.Gateway.ID, Floor: func() time.Time { return gateway.Floor(g.stateDir(), built()) }}
}

// showDoctor prints the end, and ends with exit code 1 if the cloud is not reached or its link not up.
func (g *globals) showDoctor(steps *findings, end *gateway.CloudDoctor) error {
	report := end.Report(steps.all)
	if g.json {
		if err := json.NewEncoder(g.out).Encode(report); err != nil {
			return err
		}
	} else {
		if end.Cloud.State != uplink.Off {
			fmt.Fprintf(g.out, "the link itself: %s, %s\n", g.mark(end.Cloud.State, end.Cloud.State == uplink.Up), cloudLine(end.Cloud))
		}
		g.say("tried as client id %s", end.ClientID)
	}
	if !report.OK {
		return exitWith(exitProblem, errQuiet)
	}
	return nil
}
