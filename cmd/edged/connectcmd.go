// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"edged/config"
	"edged/uplink"
)

// cloudFile is where a new [uplink] goes, below the directory of the configuration.
const cloudFile = "conf.d/cloud.toml"

// connecting is one `edged connect`.
type connecting struct {
	g            *globals
	keys         map[string]*string // of [uplink], by the flag's value
	passwordFile string
	dry          bool
	typed        []byte // the password, where it was typed or came from standard input
}

func newConnect(g *globals) *cobra.Command {
	c := &connecting{g: g, keys: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "connect URL...",
		Short: "try the cloud step by step, then save it; exit 69 and nothing saved if a step fails",
		Long: `Tries the way to a broker in the cloud step by step, and tells each with its time and, if it fails, with its reason. If
it leads there, the address is saved in [uplink] and a running gateway uses it at once. What [uplink] holds already stays,
unless an option says otherwise.

A password is never an option: it is asked for on a terminal where --username is given, or is what --password-file holds;
"-" reads one line of standard input. What was typed is saved in a file that only edged can read.

The session that is tried is the gateway's own, unless its link is up: then it is that of CLIENT_ID-connect.`,
		Example: `  edged connect mqtts://mqtt.example.com --username press-hall-3
  edged connect wss://mqtt.example.com/mqtt --username g7 --password-file /etc/edged/secrets/cloud
  edged connect mqtts://iot.example.com:443 --alpn x-amzn-mqtt-ca --cert /etc/edged/cloud/device.pem --key /etc/edged/cloud/device.key
  edged connect mqtt://192.168.1.9 --dry-run`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, urls []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return c.run(ctx, urls)
		},
	}
	f := cmd.Flags()
	for _, o := range []struct{ flag, key, text string }{
		{"username", "username", "user name; {gateway} stands for the gateway's id"},
		{"client-id", "client_id", "client id; default {gateway}"},
		{"ca", "ca", "PEM file of who may sign the server's certificate"},
		{"cert", "cert", "PEM file of our certificate"},
		{"key", "key", "PEM file of its private key"},
		{"alpn", "alpn", "the protocol that TLS offers to speak"},
		{"proxy", "proxy", "HTTP proxy, http://HOST:PORT, or file:PATH of one with user and password"},
		{"mqtt-version", "version", "version of MQTT: 3.1.1 or 5"},
	} {
		c.keys[o.key] = f.String(o.flag, "", o.text)
	}
	f.StringVar(&c.passwordFile, "password-file", "", `file that holds the password; "-" reads one line of standard input`)
	f.BoolVar(&c.dry, "dry-run", false, "try, and save nothing")
	return cmd
}

func (c *connecting) run(ctx context.Context, urls []string) error {
	d, err := config.OpenDraft(c.g.config, cloudFile)
	if err != nil {
		return c.g.problems(err)
	}
	if err := c.askPassword(ctx, urls[0]); err != nil {
		return err
	}
	if _, err := d.Set([]string{"uplink"}, c.values(urls)...); err != nil {
		return exitWith(exitConfig, err)
	}
	cfg, err := d.Check()
	if err != nil {
		err = c.g.problems(err)
		c.g.say("edged: nothing was tried or changed")
		return err
	}
	steps := &findings{g: c.g, all: []uplink.Finding{}}
	reached, err := c.try(ctx, cfg, steps.add)
	if err != nil {
		return err
	}
	if !reached || c.dry {
		return c.end(steps, reached, "")
	}
	file, err := c.save(d)
	if err != nil {
		return err
	}
	if err := c.end(steps, true, file); err != nil {
		return err
	}
	return c.apply(ctx)
}

// values are the keys of [uplink] that the command line gives.
func (c *connecting) values(urls []string) []config.KeyValue {
	url := any(urls)
	if len(urls) == 1 {
		url = urls[0]
	}
	keys := []config.KeyValue{{Key: "url", Value: url}}
	for _, key := range []string{"version", "client_id", "username", "ca", "cert", "key", "alpn", "proxy"} {
		value := *c.keys[key]
		switch key {
		case "ca", "cert", "key":
			value = absolute(value)
		}
		if value != "" {
			keys = append(keys, config.KeyValue{Key: key, Value: value})
		}
	}
	if c.passwordFile != "" && c.typed == nil {
		keys = append(keys, config.KeyValue{Key: "password", Value: "file:" + absolute(c.passwordFile)})
	}
	return keys
}

// absolute is the path as the configuration wants it; one that cannot be found out stays as it is, and is refused there.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil && path != "" {
		return full
	}
	return path
}

// askPassword asks for the password of a user who was named without one, on a terminal, or reads it where that was said.
func (c *connecting) askPassword(ctx context.Context, url string) (err error) {
	f, isFile := c.g.in.(*os.File)
	switch {
	case c.passwordFile == "-":
		line, err := bufio.NewReader(c.g.in).ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the password: %w", err)
		}
		c.typed = bytes.TrimRight(line, "\r\n")
	case c.passwordFile == "" && *c.keys["username"] != "" && isFile && term.IsTerminal(int(f.Fd())):
		if c.typed, err = c.g.ask(ctx, f, fmt.Sprintf("Password for %s at %s (empty: none): ", *c.keys["username"], url)); err != nil {
			return err
		}
		if len(c.typed) == 0 {
			c.typed = nil
		}
		return nil
	default:
		return nil
	}
	if len(c.typed) == 0 {
		return exitWith(exitUsage, errors.New("an empty password is none"))
	}
	return nil
}

// try goes the way to each address; one that leads there is enough, as it is for the link.
func (c *connecting) try(ctx context.Context, cfg *config.Config, told func(uplink.Finding)) (bool, error) {
	as := uplink.Guest{ClientID: c.g.identified(cfg)}
	if s, err := c.g.askStatus(ctx); err == nil && s.Cloud.State == uplink.Up {
		as.ClientID, as.Beside = as.ClientID+"-connect", true
	}
	if c.typed != nil {
		cfg.Uplink.Password = func() ([]byte, error) { return c.typed, nil }
	}
	reached, err := uplink.Check(ctx, *cfg.Uplink, c.g.checkDeps(cfg), as, told)
	switch {
	case ctx.Err() != nil:
		return false, errors.New("interrupted; nothing was changed")
	case err != nil:
		return false, exitWith(exitConfig, err)
	}
	return reached > 0, nil
}

// save keeps the password that was typed, and writes the configuration.
func (c *connecting) save(d *config.Draft) (file string, err error) {
	if c.typed != nil {
		path, err := c.keepPassword(d)
		if err != nil {
			return "", saveError(err)
		}
		if _, err := d.Set([]string{"uplink"}, config.KeyValue{Key: "password", Value: "file:" + path}); err != nil {
			return "", exitWith(exitConfig, err)
		}
	}
	if _, err := d.Check(); err != nil {
		return "", c.g.problems(err)
	}
	file, _ = d.Find("uplink")
	err = d.Save()
	switch {
	case errors.Is(err, config.ErrChanged):
		return "", exitWith(exitTimeout, err)
	case err != nil:
		return "", saveError(err)
	}
	return file, nil
}

// keepPassword writes the password to a file beside the configuration.
func (c *connecting) keepPassword(d *config.Draft) (string, error) {
	dir := config.Dir
	if c.g.config != "" {
		dir = filepath.Dir(absolute(c.g.config))
	}
	path := filepath.Join(dir, "secrets", "cloud")
	return path, config.WriteSecret(path, c.typed)
}

// end tells what came of it.
func (c *connecting) end(steps *findings, reached bool, file string) error {
	if c.g.json {
		answer := map[string]any{"ok": reached, "steps": steps.all}
		if file != "" {
			answer["saved"] = file
		}
		if err := json.NewEncoder(c.g.out).Encode(answer); err != nil {
			return err
		}
	}
	switch {
	case !reached:
		c.g.say("edged: the cloud is not reached; nothing was saved")
		return exitWith(exitUnavailable, errQuiet)
	case file == "":
		c.g.say("the cloud is reached; nothing was saved (--dry-run)")
	default:
		c.g.say("the cloud is reached; [uplink] is in %s", file)
	}
	return nil
}

// apply puts what was saved into force.
func (c *connecting) apply(ctx context.Context) error {
	r, err := c.g.askReload(ctx)
	if errors.Is(err, errNotRunning) {
		c.g.say("edged is not running; this counts from its next start on")
		return nil
	}
	if err != nil {
		return err
	}
	quiet := *c.g
	quiet.json = false
	return quiet.showReload(r)
}
