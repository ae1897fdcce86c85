// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"edged/bridge"
	"edged/broker"
	"edged/console"
)

// web is the console and what runs it; the zero value is none.
type web struct {
	console *console.Console
	part    *part
}

// startWeb opens the console of the configuration in force, if it has one.
func (g *Gateway) startWeb() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cfg.Console.Listen == "" {
		g.web = web{}
		return
	}
	c := console.New(g.cfg.Console, console.Deps{
		Log: g.log.With("part", "console"), Status: func() any { return g.Status() }, Unready: g.unready, Figures: g.figures,
		Doctor: g.doctorReport,
		Login:  g.login, Certificate: g.certificate, Trouble: g.tellTrouble,
	})
	g.web = web{c, launch("console", c.Run)}
}

// endWeb closes the console, if there is one.
func (g *Gateway) endWeb() {
	g.mu.Lock()
	p := g.web.part
	g.mu.Unlock()
	if p != nil {
		p.end(stopWeb, g.log)
	}
}

// changeWeb closes the console and opens the one of the configuration in force.
func (g *Gateway) changeWeb() {
	g.endWeb()
	g.startWeb()
}

func (g *Gateway) tellTrouble(t console.Trouble) {
	g.own.Event(bridge.Event{Time: time.Now(), Code: t.Code, Level: "warning", Text: t.Text})
}

// webStatus tells where the console is, and why there is none.
func (g *Gateway) webStatus() (Console, []Problem) {
	g.mu.Lock()
	c := g.web.console
	g.mu.Unlock()
	if c == nil {
		return Console{}, nil
	}
	if t, there := c.Trouble(); there {
		return Console{}, []Problem{{Code: t.Code, Level: "warning", Text: t.Text, Do: t.Do}}
	}
	return Console{URL: c.URL()}, nil
}

// certificate reads that of [broker.tls].
func (g *Gateway) certificate() (tls.Certificate, error) {
	cfg, _ := g.config()
	return tls.LoadX509KeyPair(cfg.Broker.TLS.Cert, cfg.Broker.TLS.Key)
}

// login lets a user of the broker in that may read all the topics which say what the console shows.
func (g *Gateway) login(ctx context.Context, address, user string, password []byte) error {
	who, err := g.broker.Login(ctx, address, user, password)
	switch {
	case errors.Is(err, broker.ErrCredentials):
		return console.ErrLogin
	case err != nil:
		return errors.Join(console.ErrBusy, err)
	}
	topic := "edged/" + g.id + "/"
	shown := []string{topic + "status", topic + "info", topic + "health"}
	for _, b := range g.bridges() {
		for _, leaf := range []string{"status", "health", "data"} {
			shown = append(shown, topic+"dev/"+b.Name()+"/"+leaf)
		}
	}
	for _, t := range shown {
		if !who.MayRead(t) {
			return console.ErrRights
		}
	}
	return nil
}

// phase is where in its life a gateway is.
type phase int32

const (
	starting phase = iota
	accepting
	stopping
)

// unready tells why the broker does not accept or its journal cannot be written.
func (g *Gateway) unready() []string {
	var why []string
	switch phase(g.phase.Load()) {
	case starting:
		why = append(why, "the broker is starting")
	case stopping:
		why = append(why, "the gateway is stopping")
	}
	alarms := g.broker.Status().Alarms
	for _, code := range []string{"E601", "E602"} {
		if text := alarms[code]; text != "" {
			why = append(why, code+": "+text)
		}
	}
	return why
}
