// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"edged/mqtt"
)

const (
	unacked     = 100             // readings that the broker has not acknowledged; beyond, the oldest that are not sent are given up
	inFlight    = 64              // of these, how many may be on their way; they cannot be given up
	goodbye     = time.Second     // how long an orderly end waits for the broker
	eventWait   = 5 * time.Second // how long data waits for an event that is to come before it
	backlogTime = 2 * time.Second // what the broker kept for us comes within it, after a connect
	sessionLife = time.Hour       // how long the broker keeps the session of a device that is gone
	redialMin   = 100 * time.Millisecond
	redialMax   = 5 * time.Second
)

// link is an MQTT session with the local broker: it connects again whenever the connection ends, and publishes what
// is in its outbox.
type link struct {
	dial      Dialer
	config    mqtt.Config // OnMessage is set by the link
	session   *mqtt.Session
	out       *outbox
	log       *slog.Logger
	subscribe []mqtt.Subscription
	greet     func()                            // called at each connection, before anything is published; may be nil
	receive   func(mqtt.Message, time.Duration) // a delivery and how old it may be, negative: nobody knows; must not block
	event     func(Event) <-chan struct{}

	flying flights
	down   time.Time      // when the last connection ended; zero: there was none
	full   time.Time      // since when the window is; zero: it is not
	asking sync.WaitGroup // SUBSCRIBE
	client *mqtt.Client   // the present one, or one to go on with
}

// run keeps the session until ctx ends, then says goodbye: what the outbox holds by then is published, followed by
// DISCONNECT. When kill ends first the connection is dropped, so that the broker publishes the will.
func (l *link) run(ctx, kill context.Context) error {
	until, cancel := context.WithCancel(kill) // the broker may hold us back, but not at a stop
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, cancel) })
	defer stop()
	wait := redialMin
	for {
		err := l.connect(ctx)
		if err == nil {
			wait = redialMin
			if err = l.pump(ctx, until, kill); err == nil {
				return nil
			}
			l.log.Warn("connection to the broker lost", "err", err)
			l.down = time.Now()
		} else if ctx.Err() == nil {
			l.log.Warn("connection to the broker refused", "err", err, "in", wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-until.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		}
		wait = min(2*wait, redialMax)
	}
}

// connect opens the session and subscribes.
func (l *link) connect(ctx context.Context) error {
	nc, err := l.dial(l.config.ClientID)
	if err != nil {
		return err
	}
	cfg := l.config
	var live atomic.Bool // what comes did not wait for us
	opened := time.Now()
	if l.receive != nil {
		cfg.OnMessage = func(d *mqtt.Delivery) {
			if live.Load() || time.Since(opened) > backlogTime {
				l.receive(d.Message, 0)
				return
			}
			l.receive(d.Message, age(l.down))
		}
	}
	c, ack, err := mqtt.Connect(ctx, nc, l.session, cfg)
	if err != nil {
		return err
	}
	if !ack.SessionPresent {
		live.Store(true)
	}
	// The gateway's broker knows the subscription before it hears that the device is there. Its answer waits for the disk, and
	// what there is to publish does not wait for the answer: a disk that takes nothing must not take a device offline.
	if len(l.subscribe) == 0 {
		live.Store(true)
	} else if answer, err := c.SendSubscribe(0, l.subscribe...); err != nil {
		l.unconfirmed(ctx, c, err)
	} else {
		l.asking.Go(func() {
			if _, err := answer(ctx); err != nil {
				l.unconfirmed(ctx, c, err)
				return
			}
			live.Store(true)
		})
	}
	l.client = c
	if l.greet != nil {
		l.greet()
	}
	return nil
}

// unconfirmed logs that a subscription failed, unless the connection has ended, which is told elsewhere.
func (l *link) unconfirmed(ctx context.Context, c *mqtt.Client, err error) {
	if ctx.Err() == nil && c.Err() == nil {
		l.log.Warn("the broker does not confirm the subscription", "err", err)
	}
}

// age is how old a message at most is that came right after a connection was lost at down.
func age(down time.Time) time.Duration {
	if down.IsZero() {
		return -1
	}
	return time.Since(down)
}

// pump publishes until the connection ends, which is an error, or ctx does; when until ends first the connection is dropped.
func (l *link) pump(ctx, until, kill context.Context) error {
	c := l.client
	defer l.asking.Wait() // every way out has ended the connection
	defer func() { l.client = nil }()
	for {
		l.reap()
		i, ok := l.out.pop()
		if ok {
			if err := l.send(until, c, i); err != nil {
				if until.Err() != nil {
					return l.ended(c, nil)
				}
				return l.ended(c, err)
			}
			continue
		}
		if kill.Err() != nil {
			return l.ended(c, nil)
		}
		if ctx.Err() != nil {
			return l.leave(until, kill, c)
		}
		select {
		case <-l.out.wake:
		case <-l.flying.landed():
		case <-l.flying.due:
			l.out.renew(l.flying.retry())
		case <-c.Done():
			return l.ended(c, c.Err())
		case <-until.Done():
			return l.ended(c, nil)
		case <-ctx.Done():
		}
	}
}

// send publishes one item.
func (l *link) send(until context.Context, c *mqtt.Client, i item) error {
	if i.event.Code != "" {
		if l.event == nil {
			return nil
		}
		late := time.NewTimer(eventWait)
		defer late.Stop()
		select {
		case <-l.event(i.event):
		case <-late.C:
		case <-c.Done():
		case <-until.Done():
		}
		return nil
	}
	p, err := l.publish(until, c, i.Message)
	switch {
	case errors.Is(err, mqtt.ErrUnsendable):
		l.log.Warn("message not published", "topic", i.Topic, "err", err)
	case err != nil:
		l.out.back(i)
		return err
	case i.QoS > 0:
		l.flying.add(i, p)
	}
	if err == nil && i.done != nil {
		select {
		case <-p.Done():
		case <-c.Done():
		case <-until.Done():
		}
	}
	i.settle()
	return nil
}

// reap looks at what became of what was published.
func (l *link) reap() {
	n := l.flying.reap()
	if n == 0 {
		return
	}
	if l.out.refused(n) == n {
		l.log.Warn("readings are refused: the queue for the cloud is full, and when_full is \"reject\"")
	}
}

// ended waits for the client's goroutines.
func (l *link) ended(c *mqtt.Client, err error) error {
	if cerr := c.Close(); cerr != nil {
		l.log.Debug("closing a connection to the broker", "err", cerr)
	}
	<-c.Done()
	return err
}

// leave waits a moment for acknowledgements and disconnects.
func (l *link) leave(until, kill context.Context, c *mqtt.Client) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.session.Unacknowledged() > 0 {
		select {
		case <-tick.C:
			continue
		case <-c.Done():
		case <-until.Done():
		}
		break
	}
	if kill.Err() != nil {
		return l.ended(c, nil)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(until), goodbye/2)
	defer cancel()
	if err := c.Disconnect(last); err != nil {
		l.log.Debug("disconnecting from the broker", "err", err)
	}
	return nil
}
