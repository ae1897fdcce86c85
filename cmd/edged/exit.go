// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"edged/broker"
	"edged/broker/journal"
	"edged/config"
	"edged/mqtt"
)

// Exit codes are those of sysexits.h, which systemctl status names.
const (
	exitFine        = 0
	exitProblem     = 1  // a check found a problem
	exitUsage       = 64 // EX_USAGE
	exitUnavailable = 69 // EX_UNAVAILABLE: daemon, cloud or port
	exitIO          = 74 // EX_IOERR
	exitTimeout     = 75 // EX_TEMPFAIL
	exitPermission  = 77 // EX_NOPERM
	exitConfig      = 78 // EX_CONFIG
)

// exitError is an error with the exit code that it ends the program with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitWith(code int, err error) error { return &exitError{code, err} }

// errQuiet ends a command whose output has said all already.
var errQuiet = errors.New("see above")

// exitCode tells what a command's error ends the program with.
func exitCode(err error) int {
	var e *exitError
	var problems config.Problems
	var refused *mqtt.RefusedError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &problems):
		return exitConfig
	case errors.Is(err, broker.ErrAddressInUse):
		return exitUnavailable
	case errors.Is(err, broker.ErrCertificate):
		return exitConfig
	case errors.Is(err, journal.ErrUnusable):
		return exitIO
	case errors.As(err, &refused):
		return exitUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	case errors.Is(err, syscall.ECONNREFUSED):
		return exitUnavailable
	}
	return exitProblem
}
