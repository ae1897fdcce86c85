// SPDX-License-Identifier: Apache-2.0

// Package console answers over HTTP: figures for Prometheus, the gateway's status, and whether it lives and is ready.
//
// On loopback it speaks plain HTTP to whoever is on this machine. On any other address it speaks HTTPS only, and answers
// nobody without the name and password of one of the broker's users. Nothing that happens here, a port that is taken
// among it, keeps the gateway from its work.
package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"edged/console/metrics"
)

// Deps are what the console shows and asks for. All must be there, but Login and Certificate only where the address is not
// local.
type Deps struct {
	Log     *slog.Logger
	Status  func() any             // the document of /api/status
	Unready func() []string        // why the gateway is not ready; empty: it is
	Figures func() metrics.Figures // for /metrics
	// Doctor goes the way to the cloud and returns the document of /api/doctor/cloud; nil: there is no cloud.
	Doctor func(ctx context.Context) (any, error)
	// Login tells who has this name and password. It may take seconds, and ends with ctx. The error wraps ErrLogin,
	// ErrRights or ErrBusy.
	Login       func(ctx context.Context, address, user string, password []byte) error
	Certificate func() (tls.Certificate, error) // read anew at each call
	// Trouble is called when the listener can't be opened, once for each reason, and must not block.
	Trouble func(Trouble)
}

// Trouble is why there is no console.
type Trouble struct{ Code, Text, Do string }

// Why a login is refused.
var (
	ErrLogin  = errors.New("wrong user name or password")
	ErrRights = errors.New("this user may not read what is shown here")
	ErrBusy   = errors.New("too many failed logins from this address; try again later")
)

const (
	retryEvery = 5 * time.Second
	lastWords  = 250 * time.Millisecond // that answers on their way have at a stop
	mostConns  = 32                     // connections at a time; further ones wait until one of these ends
	mostHeader = 8 << 10

	headerTime = 5 * time.Second // of TLS, and for the head of a request
	idleTime   = time.Minute     // between two requests
	answerTime = 10 * time.Second
)

// Console is the HTTP side of a gateway.
type Console struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	handler  http.Handler
	retry    time.Duration  // to open an address that can't be opened
	answerIn time.Duration  // that a request and its answer may take
	answers  sync.WaitGroup // requests that are being answered

	doctoring sync.Mutex // one request at a time

	mu      sync.Mutex
	address net.Addr // that is listened on
	trouble *Trouble // why none is
}

// New makes the console of a configuration that is valid and has an address; [Console.Run] opens it.
func New(cfg Config, deps Deps) *Console {
	c := &Console{cfg: cfg, deps: deps, log: deps.Log, retry: retryEvery, answerIn: answerTime}
	c.handler = c.guard(c.pages())
	return c
}

// Run listens and answers until ctx ends. While the address can't be had it tries again.
func (c *Console) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		l, certificate, err := c.open(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.tell(explain(c.cfg.Listen, err))
				wait(ctx, c.retry)
			}
			continue
		}
		c.opened(l.Addr())
		if err := c.serve(ctx, l, certificate); err != nil && ctx.Err() == nil {
			c.log.Warn("the console's listener failed and is opened again", "err", err)
			wait(ctx, c.retry)
		}
	}
	c.opened(nil)
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// open reads the certificate, where one is needed, and listens.
func (c *Console) open(ctx context.Context) (net.Listener, *tls.Certificate, error) {
	var certificate *tls.Certificate
	if !c.cfg.Local() {
		x, err := c.deps.Certificate()
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errCertificate, err)
		}
		certificate = &x
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.cfg.Listen)
	return l, certificate, err
}

var errCertificate = errors.New("the certificate cannot be used")

// explain says what to do about an error of open.
func explain(address string, err error) Trouble {
	switch {
	case errors.Is(err, errCertificate):
		return Trouble{"E411", "no console: " + err.Error(), "mend the file or its name in [broker.tls]"}
	case errors.Is(err, syscall.EADDRINUSE):
		return Trouble{"E401", "no console: " + address + " is in use by another program", "stop it, or give [console] listen another address; edged tries again by itself"}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return Trouble{"E412", "no console: " + err.Error(), "use a port above 1023 in [console] listen"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return Trouble{"E412", "no console: this machine has no address " + address, `correct [console] listen; ":PORT" means all that it has`}
	}
	return Trouble{"E412", "no console: " + err.Error(), "correct [console] listen"}
}

// tell notes a trouble, and tells of it unless it is the one that was told last.
func (c *Console) tell(t Trouble) {
	c.mu.Lock()
	told := c.trouble != nil && *c.trouble == t
	c.trouble, c.address = &t, nil
	c.mu.Unlock()
	if told {
		return
	}
	c.log.Warn(t.Text, "code", t.Code, "do", t.Do)
	c.deps.Trouble(t)
}

func (c *Console) opened(at net.Addr) {
	c.mu.Lock()
	c.trouble, c.address = nil, at
	c.mu.Unlock()
	if at != nil {
		c.log.Info("the console is open", "address", c.URL())
	}
}

// Trouble tells why there is no console, if there should be one.
func (c *Console) Trouble() (t Trouble, there bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble == nil {
		return t, false
	}
	return *c.trouble, true
}

// URL is where the console is found; "" while it is not open.
func (c *Console) URL() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.address == nil:
		return ""
	case c.cfg.Local():
		return "http://" + c.address.String()
	}
	return "https://" + c.address.String()
}

// serve answers on a listener until ctx ends, and returns when no request is being answered any more.
func (c *Console) serve(ctx context.Context, l net.Listener, certificate *tls.Certificate) error {
	s := &http.Server{
		Handler:           c.handler,
		ReadHeaderTimeout: headerTime, ReadTimeout: c.answerIn, WriteTimeout: c.answerIn, IdleTimeout: idleTime,
		MaxHeaderBytes: mostHeader,
		ErrorLog:       slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
		Protocols:      new(http.Protocols),
		BaseContext:    func(net.Listener) context.Context { return ctx },
	}
	s.Protocols.SetHTTP1(true) // HTTP/2 would let one connection ask for everything at a time
	l = &bounded{Listener: l, places: make(chan struct{}, mostConns), closed: make(chan struct{})}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		c.close(s)
	})
	var err error
	if certificate == nil {
		err = s.Serve(l)
	} else {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
		err = s.ServeTLS(l, "", "")
	}
	if stop() { // the listener failed by itself
		c.close(s)
	} else {
		<-closed
	}
	c.answers.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the console: %w", err)
}

// close lets answers on their way arrive, for a moment, and closes every connection.
func (c *Console) close(s *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if err := errors.Join(s.Shutdown(ctx), s.Close()); err != nil {
		c.log.Debug("closing the console", "err", err)
	}
}
