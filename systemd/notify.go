// SPDX-License-Identifier: Apache-2.0

// Package systemd tells the service manager how the gateway stands: ready, stopping, alive, and in words.
//
// Every function does nothing and returns nil when no service manager started the process (NOTIFY_SOCKET is not set).
// An error means that there is one and it could not be told.
package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the start, or a reload that [Reloading] announced, is done.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Reloading says that the configuration is being read again; [Ready] must follow.
func Reloading() error {
	return notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping says that an orderly stop has begun.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Alive says that the gateway did real work a moment ago. It is due at least once per [WatchdogInterval].
func Alive() error { return notify(daemon.SdNotifyWatchdog) }

// Status sets the line that systemctl status shows. Line breaks become spaces, since one would end the value.
func Status(text string) error {
	return notify("STATUS=" + strings.Join(strings.FieldsFunc(text, lineBreak), " "))
}

func lineBreak(r rune) bool { return r == '\n' || r == '\r' }

// WatchdogInterval is how long the service manager waits for [Alive] before it kills the process; 0: for ever. Call
// Alive at half of it.
func WatchdogInterval() (time.Duration, error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("read the watchdog's interval: %w", err)
	}
	return interval, nil
}

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("tell the service manager %q: %w", state, err)
	}
	return nil
}
